"""Processors and memory: what there is, and how much of it a model gets."""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path

import psutil

from compaudit.machine.cgroups import cpu_quota, memory_limit

__all__ = [
    "cpu_name",
    "default_threads",
    "hyperthreads",
    "physical_cores",
    "usable_cores",
    "usable_memory",
]


def usable_cores() -> int:
    """Logical processors this process may use: affinity and cgroup quota respected, at least 1."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1)
    quota = cpu_quota()
    return max(1, min(cores, math.floor(quota)) if quota is not None else cores)


def physical_cores() -> int | None:
    """Physical cores of the machine; None where the system does not tell."""
    return psutil.cpu_count(logical=False)


def hyperthreads() -> bool | None:
    """Whether cores are shared by several logical processors; None where nobody tells."""
    physical, logical = physical_cores(), psutil.cpu_count(logical=True)
    return None if physical is None or logical is None else logical > physical


def usable_memory() -> int:
    """Bytes this process may use: the machine's memory, or its cgroup's where that is less."""
    total = int(psutil.virtual_memory().total)
    limit = memory_limit()
    return total if limit is None else min(total, limit)


def default_threads() -> int:
    """Threads a model gets when nobody says: 1 below 4 usable cores, else physical cores − 1.

    On few cores every further thread competes with the rest of the machine, and the timing shows
    it.
    """
    usable = usable_cores()
    if usable < 4:
        return 1
    return max(1, min(usable, physical_cores() or usable) - 1)


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        info = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        info = ""
    for line in info.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
