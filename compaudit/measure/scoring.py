"""From both models' class scores to the few numbers a row that meters take in.

A vocabulary of 128,000 words makes a megabyte of a single row in float64: rows are reduced a few at
a time, in arrays that are made once, so that what is held meanwhile stays in the processor's cache.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.scored import ModelRows, Scored
from compaudit.measure.scores import Kind, Scores, class_scores
from compaudit.theory.divergences import RowComparer

__all__ = ["score_rows"]

_BLOCK_ELEMENTS = 2**14
"""128 KiB an array in float64, and some ten such arrays are at work."""

_DIVERGENCES = ("kl", "kl_reverse", "js", "cross_entropy")


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
    step = max(1, min(count, _BLOCK_ELEMENTS // classes))
    comparer, room = RowComparer(step, classes), np.empty((2, step, classes))
    found = {name: np.full(count, np.nan) for name in _DIVERGENCES}
    same_top5 = np.zeros(count, dtype=np.bool_)
    models = _Rows(count, labels), _Rows(count, labels)
    for start in range(0, count, step):
        here = slice(start, min(start + step, count))
        rows = here if places is None else places[here]
        a, b = original[rows], compressed[rows]
        masked = _masked(a, b) if kinds == ("logits", "logits") else None
        q = class_scores(a, kinds[0], masked, room[0, : len(a)])
        p = class_scores(b, kinds[1], masked, room[1, : len(b)])
        compared = comparer.compare(q.log, p.log)
        models[0].take(here, q, compared.entropy_q, compared.total_q, masked)
        models[1].take(here, p, compared.entropy_p, compared.total_p, masked)
        both = q.usable & p.usable
        for name, whole in found.items():
            whole[here][both] = getattr(compared, name)[both]
        # Whose scores are not numbers has nothing on top.
        same_top5[here] = (q.top5 == p.top5).all(axis=-1) & (q.predicted >= 0)
    return Scored(
        samples=samples,
        per=per,
        labels=labels,
        classes=classes,
        **found,
        same_top5=same_top5,
        original=models[0].result(),
        compressed=models[1].result(),
        floored=models[0].floored + models[1].floored,
    )


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

    def take(
        self,
        here: slice,
        scores: Scores,
        entropy: NDArray[np.float64],
        total: NDArray[np.float64],
        masked: NDArray[np.bool_] | None,
    ) -> None:
        """Fill in the rows of this block; `total` is what their logarithms are too large by."""
        usable, log = scores.usable, scores.log
        places = np.arange(len(log))
        self.floored += scores.floored
        self._usable[here] = usable
        self._predicted[here] = scores.predicted
        self._confidence[here] = _where(usable, np.exp(log[places, scores.predicted] - total))
        self._entropy[here] = _where(usable, entropy)
        if self._labels is None or self._loss is None or self._in_top5 is None:
            return
        labels = self._labels[here]
        loss = np.maximum(total - log[places, labels], 0.0) + 0.0  # no −0.0
        if masked is not None:
            loss[masked[places, labels]] = np.inf
        self._loss[here] = _where(usable, loss)
        self._in_top5[here] = (scores.top5 == labels[:, None]).any(axis=-1)

    def result(self) -> ModelRows:
        return ModelRows(
            usable=self._usable,
            predicted=self._predicted,
            confidence=self._confidence,
            entropy=self._entropy,
            loss=self._loss,
            in_top5=self._in_top5,
        )


def _where(usable: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(usable, values, np.nan)
