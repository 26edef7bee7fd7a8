"""How long a worker may take and how much memory it may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import psutil

from compaudit.machine import usable_memory

__all__ = ["Limits", "anonymous_memory", "outgrown"]

_SHARE = 0.75


class Limits(msgspec.Struct, frozen=True):
    """Limits of one worker.

    Attributes:
        timeout_s: the longest that one stage (a load, a warm-up, a batch) may take.
        memory_bytes: the most anonymous memory; mapped weights do not count.
        scratch: the folder for its temporary files, which somebody else removes; None for the
            usual one.
    """

    timeout_s: float = 300.0
    memory_bytes: int | None = None
    scratch: str | None = None

    @property
    def memory(self) -> int:
        """The memory limit in bytes: as set, else 75 % of what this process may use."""
        return self.memory_bytes or int(usable_memory() * _SHARE)


def outgrown(process: psutil.Process, limit: int) -> int | None:
    """What a process and its children hold, in bytes, where that is above the limit; else None.

    Pages that a fork shares are counted in each process at first; where that is too much, they are
    counted once, which takes the system longer.
    """
    if anonymous_memory(process) <= limit:
        return None
    used = sum(_proportional(member) for member in _family(process))
    return used if used > limit else None


def anonymous_memory(process: psutil.Process) -> int:
    """Bytes of a process and its children that no file backs, swapped out or not; 0 once gone."""
    return sum(_anonymous(member) for member in _family(process))


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _anonymous(process: psutil.Process) -> int:
    if psutil.LINUX:
        fields = _kilobytes(process.pid, "status")
        return _total(fields, ("RssAnon", "RssShmem", "VmSwap"))
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    """The same, a page that several processes share divided among them (Linux 5.10 and later)."""
    fields = _kilobytes(process.pid, "smaps_rollup") if psutil.LINUX else {}
    if "Pss_Anon" not in fields:
        return _anonymous(process)
    return _total(fields, ("Pss_Anon", "Pss_Shmem", "SwapPss"))


def _total(fields: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(fields.get(name, 0) for name in names)


def _kilobytes(pid: int, name: str) -> dict[str, int]:
    """The lines ``Field: 12 kB`` of a file in /proc, in bytes; empty once the process is gone."""
    try:
        text = Path(f"/proc/{pid}/{name}").read_text("utf-8", "replace")
    except OSError:
        return {}
    rows = (line.partition(":") for line in text.splitlines())
    return {
        field: int(value.split()[0]) * 1024 for field, _, value in rows if value.endswith(" kB")
    }
