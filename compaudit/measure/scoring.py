"""From both models' class scores to the few numbers a row that meters take in.

A vocabulary of 128,000 words makes a megabyte of a single row in float64: rows are reduced a few at
a time, so that what is held meanwhile stays small whatever the shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.scored import ModelRows, Scored
from compaudit.measure.scores import Kind, Scores, class_scores
from compaudit.theory import information
from compaudit.theory.divergences import Divergences, divergences_from_log

__all__ = ["score_rows"]

_BLOCK_ELEMENTS = 2**18
"""2 MiB an array in float64, and about twenty such arrays are held at once."""


def score_rows(
    original: NDArray[Any],
    compressed: NDArray[Any],
    kinds: tuple[Kind, Kind],
    samples: NDArray[np.int64],
    *,
    labels: NDArray[np.int64] | None = None,
    places: NDArray[np.int64] | None = None,
    per: Literal["sample", "token"] = "sample",
) -> Scored:
    """What the class scores of some rows say.

    Args:
        original: (rows, classes), logits or probabilities.
        compressed: the same of the compressed model.
        kinds: which of the two each model gives.
        samples: the sample that each row belongs to.
        labels: the right class of each row, from 0 to classes − 1; None where there are none.
        places: the rows that are meant, in the order of `samples` and `labels`; None for all.
        per: what a row is.
    """
    count, classes = len(samples), original.shape[-1]
    found = Divergences(*(np.full(count, np.nan) for _ in Divergences._fields))
    same_top5 = np.zeros(count, dtype=np.bool_)
    models = _Rows(count, labels), _Rows(count, labels)
    for here in _blocks(count, classes):
        rows = here if places is None else places[here]
        a, b = original[rows], compressed[rows]
        masked = _masked(a, b) if kinds == ("logits", "logits") else None
        q, p = class_scores(a, kinds[0], masked), class_scores(b, kinds[1], masked)
        for model, scores in zip(models, (q, p), strict=True):
            model.take(here, scores)
        both = q.usable & p.usable
        logs = (q.log, p.log) if both.all() else (q.log[both], p.log[both])
        for whole, values in zip(found, divergences_from_log(*logs), strict=True):
            whole[here][both] = values
        # Whose scores are not numbers has nothing on top.
        same_top5[here] = (q.top5 == p.top5).all(axis=-1) & (q.predicted >= 0)
    return Scored(
        samples=samples,
        per=per,
        labels=labels,
        classes=classes,
        **found._asdict(),
        same_top5=same_top5,
        original=models[0].result(),
        compressed=models[1].result(),
        floored=models[0].floored + models[1].floored,
    )


def _blocks(rows: int, classes: int) -> Iterator[slice]:
    step = max(1, _BLOCK_ELEMENTS // classes)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _masked(original: NDArray[Any], compressed: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Classes that both models rule out; None where there are none, as mostly."""
    low = original == -np.inf
    return low & (compressed == -np.inf) if low.any() else None


class _Rows:
    """One model's figures, filled block by block."""

    def __init__(self, count: int, labels: NDArray[np.int64] | None) -> None:
        self._labels = labels
        self._usable = np.zeros(count, dtype=np.bool_)
        self._predicted = np.full(count, -1, dtype=np.int64)
        self._confidence = np.full(count, np.nan)
        self._entropy = np.full(count, np.nan)
        self._loss = None if labels is None else np.full(count, np.nan)
        self._in_top5 = None if labels is None else np.zeros(count, dtype=np.bool_)
        self.floored = 0

    def take(self, here: slice, scores: Scores) -> None:
        """Fill in the rows of this block."""
        usable = scores.usable
        self.floored += scores.floored
        self._usable[here] = usable
        self._predicted[here] = scores.predicted
        log = scores.log if usable.all() else scores.log[usable]
        self._confidence[here][usable] = np.exp(log.max(axis=-1, initial=-np.inf))
        self._entropy[here][usable] = information.entropy_from_log(log)
        if self._labels is None or self._loss is None or self._in_top5 is None:
            return
        labels = self._labels[here]
        self._loss[here][usable] = information.negative_log_likelihood(log, labels[usable])
        self._in_top5[here] = scores.top5[np.arange(len(labels)), labels]

    def result(self) -> ModelRows:
        return ModelRows(
            usable=self._usable,
            predicted=self._predicted,
            confidence=self._confidence,
            entropy=self._entropy,
            loss=self._loss,
            in_top5=self._in_top5,
        )
