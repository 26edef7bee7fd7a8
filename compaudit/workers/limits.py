"""How long a worker may take and how much memory it may hold."""

from __future__ import annotations

import sys

import msgspec
import psutil

__all__ = ["Limits", "anonymous_memory"]


class Limits(msgspec.Struct, frozen=True):
    """Limits of one worker.

    Attributes:
        timeout_s: the longest that one stage (a load, a warm-up, a batch) may take.
        memory_bytes: the most anonymous memory; mapped weights do not count.
    """

    timeout_s: float = 300.0
    memory_bytes: int | None = None

    @property
    def memory(self) -> int:
        """The memory limit in bytes: as set, else 75 % of the machine's memory."""
        return self.memory_bytes or int(psutil.virtual_memory().total * 0.75)


def anonymous_memory(process: psutil.Process) -> int:
    """Resident bytes of a process and its children that no file backs; 0 once it is gone."""
    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in family:
        try:
            memory = member.memory_info()
        except psutil.Error:
            continue
        shared = memory.shared if sys.platform == "linux" else 0
        total += memory.rss - shared
    return total
