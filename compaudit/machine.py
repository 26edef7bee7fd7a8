"""This machine: what it has, how busy it is, and how many threads a model gets by default."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import psutil

from compaudit.results import Environment

__all__ = ["cpu_name", "cpu_quota", "default_threads", "describe", "physical_cores", "usable_cores"]

_PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "safetensors", "scipy")

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def usable_cores() -> int:
    """Logical processors this process may use: affinity and cgroup quota respected, at least 1."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1)
    quota = cpu_quota()
    return max(1, min(cores, math.floor(quota)) if quota is not None else cores)


def physical_cores() -> int | None:
    """Physical cores of the machine; None where the system does not tell."""
    return psutil.cpu_count(logical=False)


def cpu_quota() -> float | None:
    """Processors' worth of time this cgroup may use; None where there is no limit."""
    text = _read(_CGROUP_QUOTA)
    if text is None:
        return None
    limit, _, period = text.partition(" ")
    return None if limit == "max" or not period else int(limit) / int(period)


def default_threads() -> int:
    """Threads a model gets when nobody says: 1 below 4 usable cores, else physical cores − 1.

    On few cores every further thread competes with the rest of the machine, and the timing shows
    it.
    """
    usable = usable_cores()
    if usable < 4:
        return 1
    return max(1, min(usable, physical_cores() or usable) - 1)


def describe() -> Environment:
    """The machine as it is now; imports no framework."""
    return Environment(
        os=platform.platform(),
        python=platform.python_version(),
        packages=_packages(),
        cpu=cpu_name(),
        physical_cores=physical_cores(),
        usable_cores=usable_cores(),
        cpu_quota=cpu_quota(),
        governor=_read(_GOVERNOR),
        load_average=[round(load, 2) for load in os.getloadavg()],
        steal_percent=_steal_percent(),
        memory_bytes=psutil.virtual_memory().total,
        devices=["cpu"],
        providers=[],
    )


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    info = _read(Path("/proc/cpuinfo")) or ""
    for line in info.splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _packages() -> dict[str, str]:
    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    found = ((name, version(name)) for name in _PACKAGES)
    return {name: number for name, number in found if number is not None}


def _steal_percent() -> float | None:
    """Share of time since boot that a hypervisor gave to others, in percent; Linux only."""
    times = psutil.cpu_times()
    steal: float | None = getattr(times, "steal", None)
    total = sum(times)
    return None if steal is None or total == 0 else round(100 * steal / total, 2)


def _read(path: Path, read: Callable[[Path], str] = Path.read_text) -> str | None:
    try:
        return read(path).strip()
    except OSError:
        return None
