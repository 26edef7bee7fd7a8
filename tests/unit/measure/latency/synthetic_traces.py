"""Traces without a machine: blocks made from chosen logarithms of δ, for thousands of experiments.

Enough for whatever is decided after the blocks were timed, and a hundred times faster than running
a schedule.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.results import Delta, RawBlock
from compaudit.theory.statistics import Interval

CALL_S = 0.01


def blocks_of(logs: ArrayLike) -> list[RawBlock]:
    """One block of each model for every quad. `logs`: ln δ by epoch and quad, or by epoch."""
    epochs = np.asarray(logs, float)
    if epochs.ndim == 1:
        epochs = epochs[:, None]
    return [
        block_of(model, [call_s], epoch, quad, position)
        for epoch, quads in enumerate(epochs.tolist())
        for quad, log in enumerate(quads)
        for position, model, call_s in _pair(log)
    ]


def _pair(log: float) -> tuple[tuple[int, ModelName, float], ...]:
    return (0, "original", CALL_S * math.exp(log)), (1, "compressed", CALL_S)


def block_of(
    model: ModelName, times_s: list[float], epoch: int = 0, quad: int = 0, position: int = 0
) -> RawBlock:
    """One block of calls that took so long, on a processor of their own."""
    elapsed_s = math.fsum(times_s)
    return RawBlock(
        epoch=epoch,
        quad=quad,
        position=position,
        model=model,
        calls=len(times_s),
        elapsed_s=elapsed_s,
        cpu_s=elapsed_s,
        times_s=times_s,
        compilations=0,
        resident_bytes=None,
    )


def trace_of(logs: ArrayLike, sentinel: Sequence[float] = (), *, two_looks: bool = False) -> Trace:
    """The trace of an experiment whose quads came out so."""
    return Trace(blocks_of(logs), blocks_of(sentinel) if sentinel else [], 30.0, two_looks, ())


def delta_of(logs: ArrayLike, sentinel: Sequence[float] = (), *, two_looks: bool = False) -> Delta:
    """What the estimator makes of it, at 95 % and a resolution of 3 %."""
    trace = trace_of(logs, sentinel, two_looks=two_looks)
    return estimate_delta(trace, 0.95, 0.03, cpu_time=False)


def holds_one(interval: Interval) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= 1 <= interval.high
