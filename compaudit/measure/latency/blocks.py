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
from compaudit.engines.inputs import first_batch
from compaudit.models.base import Inference
from compaudit.workers.workspace import Workspace

__all__ = [
    "BlockTimes",
    "Warmup",
    "bind_inputs",
    "call_once",
    "run_block",
    "time_block",
    "time_device_block",
    "warm_until",
    "warm_up",
    "warm_up_on_device",
]

Clock = Callable[[], float]

_WINDOW_S = 0.03
_STEADY_WINDOWS = 3
_STEADY_WITHIN = 0.05


class BlockTimes(msgspec.Struct, frozen=True):
    """One block: wall and CPU time of all counted calls, and each call's own, in seconds.

    Calls that are queued on a device have no time of their own: `times_s` is empty then.
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
    inputs = first_batch(open_data(data), feeds, batch_size)
    workspace.inference = workspace.runner.bind(inputs)
    workspace.device_inference = workspace.runner.bind_on_device(inputs)
    return batch_size


def call_once(workspace: Workspace) -> float:
    """The first call, which allocates, compiles or sets a GPU up as no later one does; seconds."""
    assert workspace.inference is not None, "bind_inputs comes first"
    began = time.perf_counter()
    workspace.inference.call()
    return time.perf_counter() - began


def warm_up(workspace: Workspace, cap_s: float) -> Warmup:
    """Call the model until its time has become steady, or for `cap_s` seconds."""
    assert workspace.inference is not None, "bind_inputs comes first"
    with workspace.inference.around():
        return warm_until(workspace.inference, cap_s, time.perf_counter)


def warm_up_on_device(workspace: Workspace, cap_s: float) -> Warmup | None:
    """The same with inputs and outputs that stay on the device; None without one."""
    inference = workspace.device_inference
    if inference is None:
        return None
    with inference.around():
        return warm_until(inference, cap_s, time.perf_counter)


def time_block(workspace: Workspace, calls: int, discard_first: bool) -> BlockTimes:
    """Time a block of calls from end to end.

    A GPU's percentiles come from these blocks as well, and need no pass of their own: every call
    ends when its result is in main memory, so that each is synchronised.
    """
    assert workspace.inference is not None, "bind_inputs comes first"
    return _timed(workspace, workspace.inference, calls, discard_first)


def time_device_block(workspace: Workspace, calls: int, discard_first: bool) -> BlockTimes:
    """Time a block of calls whose inputs and outputs stay on the device."""
    assert workspace.device_inference is not None, "only where warm_up_on_device found one"
    return _timed(workspace, workspace.device_inference, calls, discard_first)


def _timed(
    workspace: Workspace, inference: Inference, calls: int, discard_first: bool
) -> BlockTimes:
    compiled = workspace.runner.compilations()
    with inference.around():
        times = run_block(inference, calls, discard_first, time.perf_counter, time.process_time)
    return msgspec.structs.replace(
        times,
        compilations=workspace.runner.compilations() - compiled,
        resident_bytes=int(psutil.Process().memory_info().rss),
    )


def warm_until(inference: Inference, cap_s: float, clock: Clock) -> Warmup:
    """Call until the means of the last three windows agree within 5 %, or `cap_s` is over.

    A window lasts at least 30 ms and one call, and ends with the device done. A slow model may have
    a single one before the cap; then nothing says that its time still changes.
    """
    began = clock()
    windows: list[float] = []
    calls = 0
    while True:
        start = clock()
        in_window = _run_window(inference, clock)
        now = clock()
        calls += in_window
        windows.append((now - start) / in_window)
        last = windows[-_STEADY_WINDOWS:]
        agree = max(last) <= min(last) * (1 + _STEADY_WITHIN)
        if (agree and len(last) == _STEADY_WINDOWS) or now - began >= cap_s:
            return Warmup(statistics.median(last), calls, agree)


def _run_window(inference: Inference, clock: Clock) -> int:
    """Call for 30 ms and at least once; how often.

    Queueing a call may take a thousandth of what it costs the device. So queued calls are waited
    for after the first, the next two, the next four …: the queue stays short, the waits are few.
    """
    start = clock()
    calls, at_once = 0, 1
    while calls == 0 or clock() - start < _WINDOW_S:
        for _ in range(at_once):
            inference.call()
        calls += at_once
        if inference.synchronise is not None:
            inference.synchronise()
            at_once *= 2
    return calls


def run_block(
    inference: Inference, calls: int, discard_first: bool, clock: Clock, cpu_clock: Clock
) -> BlockTimes:
    """Run one block: an uncounted call first (it pays for the idle time before), then `calls`.

    The block's value is its elapsed time over its calls; the stamps between calls give the tails.
    Calls that are queued on a device are waited for before the first stamp and before the last:
    submitting them is not running them.
    """
    call, synchronise = inference.call, inference.synchronise
    if discard_first:
        call()
    if synchronise is not None:
        synchronise()
    stamps = [0.0] * (calls + 1)
    cpu_began = cpu_clock()
    stamps[0] = clock()
    for place in range(1, calls + 1):
        call()
        stamps[place] = clock()
    if synchronise is not None:
        synchronise()
        stamps[-1] = clock()
    cpu = cpu_clock() - cpu_began
    queued = synchronise is not None
    times = [] if queued else [after - before for before, after in itertools.pairwise(stamps)]
    return BlockTimes(stamps[-1] - stamps[0], cpu, times)
