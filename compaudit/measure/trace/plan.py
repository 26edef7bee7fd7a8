"""In which runs intermediate outputs are looked at, so that memory stays bounded.

What a run shows is held until it was compared: the samples of a run and the outputs shown are
chosen so that a model shows no more than `GROUP_BYTES` at a time. Where one sample alone has more,
the outputs are shown in several groups, and the samples run once for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compaudit.data.base import Dataset
from compaudit.errors import RequestError
from compaudit.measure.trace.matching import Match

__all__ = ["GROUP_BYTES", "SAMPLES", "Plan", "batches", "plan"]

SAMPLES = 32
"""Enough for a ratio of powers; more would say it more exactly, and nothing else."""
_FEWEST = 8
_ENOUGH_BYTES = 1_000_000_000
"""What all samples show together, above which fewer of them will do: 8 at least."""
GROUP_BYTES = 200_000_000
_MOST_ROWS = 8
"""Samples of one run: several runs are spread over the data, which may be sorted."""
_LARGEST_BYTES = 2_000_000_000
"""An output of one sample that takes more is not looked at."""
_UNKNOWN_BYTES = 20_000_000
"""What an output is taken for whose sizes nobody knows."""
_ITEM_BYTES = 4

Sizes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked at when.

    Attributes:
        samples: how many are run, if there are as many.
        rows: samples of one run.
        groups: outputs that are looked at together.
        misfits: outputs whose sizes differ between the models.
        oversized: outputs that are too large to be looked at.
    """

    samples: int
    rows: int
    groups: tuple[tuple[Match, ...], ...]
    misfits: int
    oversized: int


def plan(
    matches: Sequence[Match],
    original: Sizes,
    compressed: Sizes,
    fixed: Sequence[int | None],
    group_bytes: int = GROUP_BYTES,
) -> Plan:
    """Divide outputs into groups.

    Args:
        matches: what is to be compared.
        original: sizes of the original's values for one sample, or for the number that it insists
            on; those that are not known are not there.
        compressed: those of the compressed model.
        fixed: the number of samples that each model insists on.
        group_bytes: what a model may show in one run.

    Raises:
        RequestError: the models insist on different numbers.
    """
    insisted = {batch for batch in fixed if batch is not None}
    if len(insisted) > 1:
        raise RequestError(
            "the models do not take equally many samples at once",
            hint="export both with an open batch dimension, or with the same",
            code="batches-differ",
            stage="trace",
        )
    sized: list[tuple[Match, int]] = []
    misfits = oversized = 0
    for match in matches:
        sizes = [original.get(match.original.name), compressed.get(match.compressed.name)]
        known = [size for size in sizes if size is not None]
        held = max((_ITEM_BYTES * math.prod(size) for size in known), default=_UNKNOWN_BYTES)
        # One model may be known for one sample, the other for the number that it insists on.
        if len(known) == 2 and known[0] != known[1] and (not insisted or None not in fixed):
            misfits += 1
        elif held > _LARGEST_BYTES:
            oversized += 1
        else:
            sized.append((match, held))
    total = sum(held for _, held in sized)
    rows = next(iter(insisted), None) or max(1, min(_MOST_ROWS, group_bytes // max(1, total)))
    each = 1 if insisted else rows
    shown = total / (rows if insisted else 1)
    samples = max(_FEWEST, min(SAMPLES, int(_ENOUGH_BYTES / max(1, shown))))
    groups: list[list[Match]] = []
    room = 0
    for match, held in sized:
        if not groups or held * each > room:
            groups.append([])
            room = group_bytes
        groups[-1].append(match)
        room -= held * each
    return Plan(samples, rows, tuple(map(tuple, groups)), misfits, oversized)


def batches(dataset: Dataset, planned: Plan) -> list[tuple[int, int]]:
    """Which samples are run: so many at once, from all over the data."""
    rows = planned.rows
    count = -(-min(planned.samples, dataset.samples) // rows)
    starts = [number * dataset.samples // count for number in range(count)]
    ends = [*starts[1:], dataset.samples]
    return [
        (start, dataset.uniform(start, min(start + rows, end)))
        for start, end in zip(starts, ends, strict=True)
        if start < end
    ]
