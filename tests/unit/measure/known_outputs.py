"""Batches of outputs that are known, and what an evaluation makes of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Batch
from compaudit.measure.recipe import Question
from compaudit.measure.scout import Scout
from compaudit.measure.tally import EvaluationTally
from compaudit.results import Divergence

Given = NDArray[Any] | dict[str, NDArray[Any]]


def batches(
    original: Given, compressed: Given, labels: NDArray[Any] | None = None, size: int = 10**9
) -> Iterator[Batch]:
    """The outputs, so many samples at a time."""
    a, b = as_outputs(original), as_outputs(compressed)
    samples = len(next(iter(a.values())))
    for start in range(0, samples, size):
        here = slice(start, start + size)
        yield Batch(
            indices=np.arange(samples)[here],
            labels=None if labels is None else labels[here],
            original={name: values[here] for name, values in a.items()},
            compressed={name: values[here] for name, values in b.items()},
        )


def as_outputs(given: Given) -> dict[str, NDArray[Any]]:
    return given if isinstance(given, dict) else {"logits": given}


def tallied(
    question: Question,
    original: Given,
    compressed: Given,
    labels: NDArray[Any] | None = None,
    size: int = 10**9,
) -> EvaluationTally:
    """What one pass over the outputs counts."""
    scout = Scout(question)
    for batch in batches(original, compressed, labels, size):
        scout.update(batch)
    return scout.finish()


def divergence_of(
    tally: EvaluationTally, floor: EvaluationTally | None = None
) -> tuple[Divergence, dict[str, str]]:
    """The figures, and by metric why some are None."""
    result, skipped = tally.divergence("data", floor.usable_classes if floor else None)
    return result, {entry.metric: entry.reason for entry in skipped}
