"""From both models' class scores to the few numbers a row that meters take in.

A vocabulary of 128,000 words makes a megabyte of a single row in float64: rows are reduced a few at
a time, in arrays that are made once, so that what is held meanwhile stays in the processor's cache.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.scored import ModelRows, Scored
from compaudit.measure.scores import Kind, Ranked, log_scores, rank_classes
from compaudit.theory.divergences import RowComparer

__all__ = ["score_rows"]

_RANKED_ELEMENTS = 2**18
"""1 MiB in float32: rows are ranked so many at a time, for each time costs some calls."""
_BLOCK_ELEMENTS = 2**15
"""256 KiB an array in float64, and some ten such arrays are at work."""

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
    scoring = _Scoring((original, compressed), kinds, count, labels, places)
    many = max(1, _RANKED_ELEMENTS // classes)
    for start in range(0, count, many):
        scoring.take(slice(start, min(start + many, count)))
    first, second = scoring.models
    return Scored(
        samples=samples,
        per=per,
        labels=labels,
        classes=classes,
        **scoring.divergences,
        same_top5=scoring.same_top5,
        original=first.result(),
        compressed=second.result(),
        floored=first.floored + second.floored,
    )


class _Scoring:
    """All figures of all rows, filled block by block.

    Args:
        pair: both models' scores.
        kinds: what they are.
        count: of the rows that are meant.
        labels, places: as for `score_rows`.
    """

    def __init__(
        self,
        pair: tuple[NDArray[Any], NDArray[Any]],
        kinds: tuple[Kind, Kind],
        count: int,
        labels: NDArray[np.int64] | None,
        places: NDArray[np.int64] | None,
    ) -> None:
        classes = pair[0].shape[-1]
        self._pair, self._kinds, self._places = pair, kinds, places
        self._step = max(1, min(count, _BLOCK_ELEMENTS // classes))
        self._comparer = RowComparer(self._step, classes)
        self._room = np.empty((2, self._step, classes))
        self.divergences = {name: np.full(count, np.nan) for name in _DIVERGENCES}
        self.same_top5 = np.zeros(count, dtype=np.bool_)
        self.models = _Rows(count, labels), _Rows(count, labels)

    def take(self, rows: slice) -> None:
        """Rank these rows, and compare them a few at a time."""
        places = rows if self._places is None else _as_slice(self._places[rows])
        original, compressed = self._pair[0][places], self._pair[1][places]
        masked = _masked(original, compressed) if self._kinds == ("logits", "logits") else None
        first, second = rank_classes(original, masked), rank_classes(compressed, masked)
        for model, ranked in zip(self.models, (first, second), strict=True):
            model.take_ranks(rows, ranked)
        # Whose scores are not numbers has nothing on top.
        same = np.sort(first.top5, axis=-1) == np.sort(second.top5, axis=-1)
        self.same_top5[rows] = same.all(axis=-1) & (first.predicted >= 0)
        for start in range(0, len(original), self._step):
            part = slice(start, min(start + self._step, len(original)))
            self._compare(
                slice(rows.start + part.start, rows.start + part.stop),
                (original[part], compressed[part]),
                (first.part(part), second.part(part)),
                None if masked is None else masked[part],
            )

    def _compare(
        self,
        rows: slice,
        pair: tuple[NDArray[Any], NDArray[Any]],
        ranked: tuple[Ranked, Ranked],
        masked: NDArray[np.bool_] | None,
    ) -> None:
        logs = self._room[0, : len(pair[0])], self._room[1, : len(pair[0])]
        read = [
            log_scores(values, ends, kind, log, masked)
            for values, ends, kind, log in zip(pair, ranked, self._kinds, logs, strict=True)
        ]
        compared = self._comparer.compare(*logs)
        first, second = self.models
        first.take_logs(rows, read[0], logs[0], compared.entropy_q, compared.total_q, masked)
        second.take_logs(rows, read[1], logs[1], compared.entropy_p, compared.total_p, masked)
        both = read[0][0] & read[1][0]
        for name, whole in self.divergences.items():
            whole[rows][both] = getattr(compared, name)[both]


def _masked(original: NDArray[Any], compressed: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Classes that both models rule out; None where there are none, as mostly."""
    if not np.isneginf(original.min(axis=-1)).any():
        return None
    return np.isneginf(original) & np.isneginf(compressed)


def _as_slice(places: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """The same rows, which need no copy where they are neighbours."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first == len(places) - 1 else places


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

    def take_ranks(self, here: slice, ranked: Ranked) -> None:
        """Fill in what the order of the scores says."""
        self._predicted[here] = ranked.predicted
        if self._labels is not None and self._in_top5 is not None:
            self._in_top5[here] = (ranked.top5 == self._labels[here][:, None]).any(axis=-1)

    def take_logs(
        self,
        here: slice,
        read: tuple[NDArray[np.bool_], int],
        log: NDArray[np.float64],
        entropy: NDArray[np.float64],
        total: NDArray[np.float64],
        masked: NDArray[np.bool_] | None,
    ) -> None:
        """Fill in what `log_scores` made and returned; logarithms are too large by `total`."""
        usable, floored = read
        self.floored += floored
        self._usable[here] = usable
        places = np.arange(len(log))
        self._confidence[here] = _where(usable, np.exp(log[places, self._predicted[here]] - total))
        self._entropy[here] = _where(usable, entropy)
        if self._labels is None or self._loss is None:
            return
        labels = self._labels[here]
        loss = np.maximum(total - log[places, labels], 0.0) + 0.0  # no −0.0
        if masked is not None:
            loss[masked[places, labels]] = np.inf
        self._loss[here] = _where(usable, loss)

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
