"""From the timed blocks of an experiment to the value of each epoch. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compaudit.results import TimedBlock
from compaudit.theory.statistics import epoch_value as trimmed
from compaudit.theory.statistics import quad_value

__all__ = ["cpu_epoch_values", "epoch_values"]


def epoch_values(blocks: Sequence[TimedBlock]) -> list[float]:
    """Log δ of each epoch, from blocks of both models (MEASURING §1, rule 5)."""
    return _epoch_values(blocks, lambda block: block.elapsed_s / block.calls)


def cpu_epoch_values(blocks: Sequence[TimedBlock]) -> list[float]:
    """The same from processor time; empty where the clock is too coarse for a block."""
    if any(block.cpu_s <= 0 for block in blocks):
        return []
    return _epoch_values(blocks, lambda block: block.cpu_s / block.calls)


def _epoch_values(
    blocks: Sequence[TimedBlock], time_of: Callable[[TimedBlock], float]
) -> list[float]:
    quads: dict[int, dict[int, list[TimedBlock]]] = {}
    for block in blocks:
        quads.setdefault(block.epoch, {}).setdefault(block.quad, []).append(block)
    return [
        trimmed(
            [
                quad_value(
                    [time_of(block) for block in quad if block.model == "original"],
                    [time_of(block) for block in quad if block.model == "compressed"],
                )
                for quad in epoch.values()
            ]
        )
        for epoch in quads.values()
    ]
