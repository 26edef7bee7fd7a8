"""How much memory of this process is in RAM, of what kind, and how much it was at most.

VmHWM of Linux is the peak, and can be reset. `ru_maxrss` would not do: it survives exec, and a
small child of a large parent reports the parent.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

__all__ = ["Resident", "forget_peak", "peak_bytes", "resident"]

_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")


class Resident(msgspec.Struct, frozen=True):
    """Resident bytes of a process.

    Attributes:
        total: all of them.
        anonymous: its own memory, shared memory included; nothing but swap can take it back.
        file: pages of mapped files, libraries and weights, which the system may drop and read
            again. Both are None where the system does not tell the two apart (macOS).
    """

    total: int
    anonymous: int | None
    file: int | None


def resident() -> Resident:
    """What this process holds now."""
    told = _status()
    if "RssAnon" not in told:
        return Resident(int(psutil.Process().memory_info().rss), None, None)
    anonymous = told["RssAnon"] + told.get("RssShmem", 0)
    return Resident(anonymous + told["RssFile"], anonymous, told["RssFile"])


def forget_peak() -> bool:
    """Start a new peak; False where the system does not do that."""
    try:
        _RESET_PEAK.write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int | None:
    """The most that was resident since `forget_peak`; None where the system does not tell."""
    return _status().get("VmHWM")


def _status() -> dict[str, int]:
    """The sizes in /proc/self/status, in bytes; empty where there is none."""
    try:
        lines = _STATUS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    sizes = [(name, rest.split()) for name, _, rest in (line.partition(":") for line in lines)]
    return {name: int(rest[0]) * 1024 for name, rest in sizes if rest[1:] == ["kB"]}
