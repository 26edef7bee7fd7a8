"""Does a model's process grow from call to call? Pure: reads the timed blocks, runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from compaudit.measure.latency.experiment import ModelName
from compaudit.measure.latency.plan import LEAST_EPOCHS, ArmCost
from compaudit.results import TimedBlock
from compaudit.results.behaviour import MemoryGrowth

__all__ = ["memory_growth", "memory_growth_by_model"]

# A healthy process of PyTorch goes up and down by 2 MiB as its allocator pleases.
_LEAST_BYTES = 4 * 2**20
# A leak takes the same again and again, in each half of an epoch and in each epoch; what is only
# allocated late takes most at first.
_LEAST_RATIO = 0.5
_LEAST_STEPS = 2


def memory_growth_by_model(blocks: Sequence[TimedBlock]) -> dict[str, MemoryGrowth]:
    """`memory_growth` of every model that was timed and keeps memory; others are left out."""
    models = dict.fromkeys(block.model for block in blocks)
    found = {model: memory_growth(blocks, model) for model in models}
    return {name: growth for name, growth in found.items() if growth is not None}


def memory_growth(blocks: Sequence[TimedBlock], model: ModelName) -> MemoryGrowth | None:
    """How much memory each call of a model keeps; None where nothing speaks for a leak.

    Every epoch is a fresh process, so a leak shows in all of them alike. The first quad is left
    out, where allocators still take what they will need. What remains must grow in both halves of
    every epoch, at rates that differ by no more than a factor of two from the epoch's own, in
    every epoch alike, and by 4 MiB in all.

    Args:
        blocks: in the order they were run.
        model: whose.
    """
    epochs: dict[int, list[TimedBlock]] = {}
    for block in blocks:
        if block.model == model:
            epochs.setdefault(block.epoch, []).append(block)
    told = [steps for epoch in epochs.values() if len(steps := _steps(epoch)) >= _LEAST_STEPS]
    if len(told) < LEAST_EPOCHS or not all(map(_goes_on, told)):
        return None
    grown = [_sum(steps) for steps in told]
    rates = [step.grown / step.calls for step in grown]
    typical = median(rates)
    whole = _sum(grown)
    alike = min(rates) >= _LEAST_RATIO * typical and max(rates) * _LEAST_RATIO <= typical
    if whole.grown < _LEAST_BYTES or not alike:
        return None
    return MemoryGrowth(
        bytes_per_call=typical, total_bytes=whole.grown, calls=whole.calls, epochs=len(told)
    )


class _Step(NamedTuple):
    """Calls, and the bytes that the process grew by meanwhile."""

    calls: int
    grown: int


def _steps(blocks: Sequence[TimedBlock]) -> list[_Step]:
    """What each block of one process added, its first quad left out."""
    start = sum(block.quad == blocks[0].quad for block in blocks) - 1
    return [
        _Step(_calls(block), block.resident_bytes - before.resident_bytes)
        for before, block in pairwise(blocks[start:])
        if before.resident_bytes is not None and block.resident_bytes is not None
    ]


def _goes_on(steps: Sequence[_Step]) -> bool:
    """Whether both halves grow, and at about the rate of the whole."""
    whole = _sum(steps)
    middle = len(steps) // 2
    halves = _sum(steps[:middle]), _sum(steps[middle:])
    return all(
        half.grown > 0 and half.grown * whole.calls >= _LEAST_RATIO * whole.grown * half.calls
        for half in halves
    )


def _calls(block: TimedBlock) -> int:
    """Calls that a block ran, with the one that it discards."""
    return block.calls + ArmCost(block.elapsed_s / block.calls).discards


def _sum(steps: Sequence[_Step]) -> _Step:
    return _Step(sum(step.calls for step in steps), sum(step.grown for step in steps))
