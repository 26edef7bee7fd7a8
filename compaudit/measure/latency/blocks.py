"""The worker's half: bind the inputs, warm up, and time blocks of calls."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

import msgspec
import psutil

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.local import first_batch
from compaudit.workers.workspace import Workspace

__all__ = [
    "BlockTimes",
    "Warmup",
    "bind_inputs",
    "run_block",
    "time_block",
    "warm_until",
    "warm_up",
]

Clock = Callable[[], float]

_WINDOW_S = 0.03
_STEADY_WINDOWS = 3
_STEADY_WITHIN = 0.05


class BlockTimes(msgspec.Struct, frozen=True):
    """One block: wall and CPU time of all counted calls, and each call's own, in seconds.

    `compilations` counts how often the framework compiled the model meanwhile; `resident_bytes` is
    this process's memory after it.
    """

    elapsed_s: float
    cpu_s: float
    times_s: list[float]
    compilations: int = 0
    resident_bytes: int | None = None


class Warmup(msgspec.Struct, frozen=True):
    """How warming up went.

    Attributes:
        call_s: seconds of one call at its end: the median of the last three windows.
        calls: how many it took.
        steady: False when the last windows still differed by more than 5 % as it was cut short.
    """

    call_s: float
    calls: int
    steady: bool


def bind_inputs(
    workspace: Workspace, data: DataRequest, feeds: tuple[Feed, ...], batch_size: int
) -> int:
    """Place so many samples where the model takes them from. Returns how many."""
    workspace.inference = workspace.runner.bind(first_batch(open_data(data), feeds, batch_size))
    return batch_size


def warm_up(workspace: Workspace, cap_s: float) -> Warmup:
    """Call the model until its time has become steady, or for `cap_s` seconds."""
    return warm_until(_inference(workspace), cap_s, time.perf_counter)


def time_block(workspace: Workspace, calls: int, discard_first: bool) -> BlockTimes:
    """Time a block of calls of the bound inference."""
    inference, compiled = _inference(workspace), workspace.runner.compilations()
    times = run_block(inference, calls, discard_first, time.perf_counter, time.process_time)
    return msgspec.structs.replace(
        times,
        compilations=workspace.runner.compilations() - compiled,
        resident_bytes=int(psutil.Process().memory_info().rss),
    )


def warm_until(inference: Callable[[], object], cap_s: float, clock: Clock) -> Warmup:
    """Call until the means of the last three windows agree within 5 %, or `cap_s` is over.

    A window lasts at least 30 ms and one call. A slow model may have a single one before the cap;
    then nothing says that its time still changes.
    """
    began = clock()
    windows: list[float] = []
    calls = 0
    while True:
        start = now = clock()
        in_window = 0
        while in_window == 0 or now - start < _WINDOW_S:
            inference()
            in_window += 1
            now = clock()
        calls += in_window
        windows.append((now - start) / in_window)
        last = windows[-_STEADY_WINDOWS:]
        agree = max(last) <= min(last) * (1 + _STEADY_WITHIN)
        if (agree and len(last) == _STEADY_WINDOWS) or now - began >= cap_s:
            return Warmup(statistics.median(last), calls, agree)


def run_block(
    inference: Callable[[], object],
    calls: int,
    discard_first: bool,
    clock: Clock,
    cpu_clock: Clock,
) -> BlockTimes:
    """Run one block: an uncounted call first (it pays for the idle time before), then `calls`.

    The block's value is its elapsed time over its calls; the stamps between calls give the tails.
    """
    if discard_first:
        inference()
    stamps = [0.0] * (calls + 1)
    cpu_began = cpu_clock()
    stamps[0] = clock()
    for call in range(1, calls + 1):
        inference()
        stamps[call] = clock()
    cpu = cpu_clock() - cpu_began
    times = [after - before for before, after in itertools.pairwise(stamps)]
    return BlockTimes(stamps[-1] - stamps[0], cpu, times)


def _inference(workspace: Workspace) -> Callable[[], object]:
    assert workspace.inference is not None, "bind_inputs comes first"
    return workspace.inference.call
