"""What the control group of this process allows: processor time and memory, version 1 and 2.

A limit holds for everything below it, so the smallest on the way up counts. In a container the
path in /proc/self/cgroup may be the host's, which is not to be seen from inside; then the mount's
own root is the container's group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

__all__ = ["HERE", "Cgroups", "cpu_quota", "memory_limit"]


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The control groups of a process.

    Attributes:
        membership: the process's ``cgroup`` file.
        root: where the hierarchies are mounted.
    """

    membership: Path
    root: Path

    def cpu_quota(self) -> float | None:
        """Processors' worth of time; None where there is no limit."""
        quotas = []
        for folder in self._folders("cpu"):
            words = _words(folder / "cpu.max") or [
                *_words(folder / "cpu.cfs_quota_us"),
                *_words(folder / "cpu.cfs_period_us"),
            ]
            if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal():
                quota, period = int(words[0]), int(words[1])
                if quota > 0 and period > 0:
                    quotas.append(quota / period)
        return min(quotas, default=None)

    def memory_limit(self) -> int | None:
        """Bytes; None where there is no limit. Version 1 says "none" with a huge number."""
        limits = []
        for folder in self._folders("memory"):
            words = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
            if words and words[0].isdecimal() and 0 < int(words[0]) < 2**60:
                limits.append(int(words[0]))
        return min(limits, default=None)

    def throttled_s(self) -> float | None:
        """Seconds for which the quota has held processes of this group back, since it began."""
        for folder in self._folders("cpu"):
            counters = _pairs(folder / "cpu.stat")
            for name, per_second in (("throttled_usec", 1e6), ("throttled_time", 1e9)):
                if counters.get(name, "").isdecimal():
                    return int(counters[name]) / per_second
        return None

    def _folders(self, controller: str) -> Iterator[Path]:
        """The group's folder and those above it, the innermost first."""
        base, path = self._place(controller)
        if base is None:
            return
        inside = PurePosixPath(path.lstrip("/"))
        if ".." in inside.parts:
            inside = PurePosixPath()
        for place in (inside, *inside.parents):
            if (base / place).is_dir():
                yield base / place

    def _place(self, controller: str) -> tuple[Path | None, str]:
        unified: str | None = None
        try:
            lines = self.membership.read_text("utf-8", "replace").splitlines()
        except OSError:
            return None, ""
        for line in lines:
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controller in controllers.split(","):
                return self.root / controller, path
            if number == "0" and not controllers:
                unified = path
        if unified is None:
            return None, ""
        mixed = self.root / "unified"
        return (mixed if mixed.is_dir() else self.root), unified


HERE = Cgroups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
"""Those of this process."""


def cpu_quota() -> float | None:
    """Processors' worth of time this process may use; None where there is no limit."""
    return HERE.cpu_quota()


def memory_limit() -> int | None:
    """Bytes that this process and those beside it in its group may use; None without a limit."""
    return HERE.memory_limit()


def _words(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").split()
    except OSError:
        return []


def _pairs(path: Path) -> dict[str, str]:
    words = _words(path)
    return dict(zip(words[::2], words[1::2], strict=False))
