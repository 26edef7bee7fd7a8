"""Does a model become faster while it is timed? Pure: reads the timed blocks, runs nothing.

Warming up ends when three short windows agree, which a slow decline or a plateau also satisfies.
What is left of it shows as the same decline in every epoch, for each is a fresh process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from compaudit.measure.latency.experiment import ModelName, Trace
from compaudit.results import TimedBlock
from compaudit.theory.statistics import ratio_interval

__all__ = ["unsteady_models"]

_LEAST_QUADS = 4
_NOTICEABLE = math.log(1.05)
_CONFIDENCE = 0.99
"""Ordinary noise is taken for a decline in one audit of two hundred, and then by 5 % at least."""


def unsteady_models(trace: Trace) -> tuple[ModelName, ...]:
    """Models whose warm-up was cut short, or went on through the quads of the epochs."""
    models = dict.fromkeys(block.model for block in trace.blocks)
    return tuple(
        model
        for model in models
        if model in trace.never_steady or _still_settles(trace.blocks, model)
    )


def _still_settles(blocks: Sequence[TimedBlock], model: ModelName) -> bool:
    """Whether the first quarter of each epoch's quads is surely slower than their second half."""
    epochs: dict[int, dict[int, list[float]]] = {}
    for block in blocks:
        if block.model == model:
            quads = epochs.setdefault(block.epoch, {})
            quads.setdefault(block.quad, []).append(math.log(block.elapsed_s / block.calls))
    declines = []
    for quads in epochs.values():
        values = [fmean(times) for _, times in sorted(quads.items())]
        if len(values) < _LEAST_QUADS:
            return False
        declines.append(fmean(values[: len(values) // 4]) - fmean(values[len(values) // 2 :]))
    if not declines or fmean(declines) < _NOTICEABLE:
        return False
    interval = ratio_interval(declines, _CONFIDENCE)
    return interval.low is not None and interval.low > 1
