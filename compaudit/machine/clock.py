"""The clock that everything is timed with."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["clock_source", "resolution_s"]

_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_READINGS = 20_000


def resolution_s(clock: Callable[[], float] = time.perf_counter) -> float:
    """The smallest step in seconds that two readings one after the other are seen to be apart.

    What the system claims may be finer: there, no two readings are that close.
    """
    readings = [clock() for _ in range(_READINGS)]
    steps = [after - before for before, after in itertools.pairwise(readings) if after > before]
    return min(steps, default=time.get_clock_info("perf_counter").resolution)


def clock_source(path: Path = _SOURCE) -> str | None:
    """Where Linux takes the time from (``tsc``, ``kvm-clock`` …); None elsewhere."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return None
