"""What else goes on: load, steal, throttling, and how the processor's rate is governed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

from compaudit.machine.cgroups import HERE

__all__ = [
    "Utilisation",
    "governor",
    "on_battery",
    "steal_since_boot",
    "thermal_throttles",
    "throttled_s",
    "utilisation",
]

_CPU = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Shares of all processors' time while somebody looked, in percent.

    Attributes:
        busy: spent on any process of this machine.
        steal: given to other virtual machines by the hypervisor; None where it does not tell.
    """

    busy: float
    steal: float | None


def utilisation(seconds: float) -> Utilisation:
    """Look on for so long. What this process does itself counts too, and it sleeps."""
    times = psutil.cpu_times_percent(interval=seconds)
    steal: float | None = getattr(times, "steal", None)
    waiting: float = getattr(times, "iowait", 0.0)
    return Utilisation(max(0.0, 100.0 - times.idle - waiting - (steal or 0.0)), steal)


def steal_since_boot() -> float | None:
    """Share of time since boot that a hypervisor gave to others, in percent; Linux only."""
    times = psutil.cpu_times()
    steal: float | None = getattr(times, "steal", None)
    total = sum(times)
    return None if steal is None or total == 0 else round(100 * steal / total, 2)


def throttled_s() -> float | None:
    """Seconds for which the cgroup's quota has held its processes back; None without a cgroup."""
    return HERE.throttled_s()


def thermal_throttles(cpus: Path = _CPU) -> int | None:
    """How often heat has slowed a core down since boot; None where nobody counts (Linux, x86)."""
    counts = [
        _read(path) for path in sorted(cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    ]
    known = [int(count) for count in counts if count is not None and count.isdecimal()]
    return max(known) if known else None


def governor() -> str | None:
    """Linux's policy for the clock rate of the first core; None where there is none."""
    return _read(_CPU / "cpu0/cpufreq/scaling_governor")


def on_battery() -> bool | None:
    """Whether the machine runs on its battery; None where it has none."""
    read = getattr(psutil, "sensors_battery", None)  # absent where the platform has no such thing
    battery = None if read is None else read()
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None
