"""Class scores: what do they mean, and what are their log-probabilities?

Nobody says whether an output holds logits or probabilities, so its numbers must. The first samples
decide, however they are split into batches; they are held back until they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.theory.information import log_from_probabilities, log_probabilities

__all__ = ["Kind", "ScoreReader", "ScoredBatch", "Scores", "class_scores", "looks_like_classes"]

Kind = Literal["logits", "probabilities"]

# float16 softmax rows of a thousand classes still sum to one within this.
_SUM_TOLERANCE = 5e-3

# That logits sum to one by chance in so many samples cannot be.
_DECIDING_SAMPLES = 256

# Eight bits round the shares of many classes up or down together.
_LARGEST_SUM = 1.5

_TOP = 5


def looks_like_classes(values: NDArray[Any]) -> bool:
    """Whether these are scores of at least two classes, one row a sample."""
    return values.ndim == 2 and values.shape[1] >= 2 and values.dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class Scores:
    """Class scores of a batch as log-probabilities, float64.

    Attributes:
        log: one row a sample; those that are no distribution (NaN, infinite) are left out.
        usable: which samples are in `log`.
        predicted: the class with the highest score, −1 where the scores are not numbers.
        top5: of each sample and class, whether it is among the five highest; the lower class
            number where scores are equal, nothing where they are not numbers.
        floored: probabilities that were exactly zero and count as the smallest subnormal.
    """

    log: NDArray[np.float64]
    usable: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    top5: NDArray[np.bool_]
    floored: int


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Both models' scores of the same samples, and their labels where there are any."""

    labels: NDArray[Any] | None
    original: Scores
    compressed: Scores


class ScoreReader:
    """Turns class scores of both models into log-probabilities once their kinds are known.

    Attributes:
        kinds: what the original's and the compressed model's numbers are; None until it is known.
    """

    def __init__(self) -> None:
        self.kinds: tuple[Kind, Kind] | None = None
        self._evidence = (_Evidence(), _Evidence())
        self._held: list[tuple[NDArray[Any] | None, NDArray[Any], NDArray[Any]]] = []

    def read(
        self, labels: NDArray[Any] | None, original: NDArray[Any], compressed: NDArray[Any]
    ) -> list[ScoredBatch]:
        """Take in one batch; returns the batches that can be read by now, often just this one."""
        self._held.append((labels, original, compressed))
        if self.kinds is None:
            self._evidence[0].update(original)
            self._evidence[1].update(compressed)
            if not all(evidence.settled for evidence in self._evidence):
                return []
        return self.finish()

    def finish(self) -> list[ScoredBatch]:
        """What is still held back: there will be no more samples to decide by."""
        if self.kinds is None:
            self.kinds = _kinds(*self._evidence)
        held, self._held = self._held, []
        return [
            ScoredBatch(labels, class_scores(a, self.kinds[0]), class_scores(b, self.kinds[1]))
            for labels, a, b in held
        ]


class _Evidence:
    """What the first samples of one model say about its numbers.

    Attributes:
        exact: every row lies in [0, 1] and sums to one.
        near: every row lies in [0, 1] and sums to no more than one and a half.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._numbers = False
        self._exact = True
        self.near = True

    @property
    def exact(self) -> bool:
        """Whether these surely are probabilities; not without a single row of numbers."""
        return self._exact and self._numbers

    @property
    def settled(self) -> bool:
        """Whether further samples would change nothing."""
        return not self.near or self._seen >= _DECIDING_SAMPLES

    def update(self, values: NDArray[Any]) -> None:
        """Take in one batch."""
        rows = values[: max(0, _DECIDING_SAMPLES - self._seen)].astype(np.float64)
        self._seen += len(values)
        rows = rows[np.isfinite(rows).all(axis=-1)]
        if not len(rows):
            return
        self._numbers = True
        self._exact &= bool(_are_distributions(rows).all())
        inside = rows.min() >= 0 and rows.max() <= 1 + _SUM_TOLERANCE
        self.near &= bool(inside and rows.sum(axis=-1).max() <= _LARGEST_SUM)


def _kinds(original: _Evidence, compressed: _Evidence) -> tuple[Kind, Kind]:
    """Logits or probabilities, for both models.

    A softmax that was quantised to eight bits sums to one only roughly: it is believed where the
    other model's does exactly. Log-probabilities may be read as logits, for the log-softmax leaves
    them as they are.
    """

    def kind(mine: _Evidence, other: _Evidence) -> Kind:
        return "probabilities" if mine.exact or (mine.near and other.exact) else "logits"

    return kind(original, compressed), kind(compressed, original)


def class_scores(values: NDArray[Any], kind: Kind) -> Scores:
    """One batch of class scores as log-probabilities.

    Args:
        values: (samples, classes), logits or probabilities, float16 to float64.
        kind: which of the two, decided once for the whole data set.
    """
    rows = values.astype(np.float64)
    numbers = np.asarray(np.isfinite(rows).all(axis=-1))
    usable = numbers.copy()
    floored = 0
    if kind == "probabilities":
        sums = rows[numbers].sum(axis=-1)
        positive = (rows[numbers] >= 0).all(axis=-1)
        usable[numbers] = positive & (sums > 0) & (sums <= _LARGEST_SUM)
        # A softmax in low precision sums to one only nearly; what is compared is what it means.
        shares = rows[usable] / rows[usable].sum(axis=-1, keepdims=True)
        floor = float(np.finfo(values.dtype).smallest_subnormal)
        log, floored = log_from_probabilities(shares, floor)
    else:
        with np.errstate(over="ignore"):
            log = log_probabilities(rows[usable])
        finite = np.isfinite(log).all(axis=-1)  # not where logits are 1e308 apart
        usable[usable] = finite
        log = log[finite]
    return Scores(
        log=log,
        usable=usable,
        predicted=np.where(numbers, rows.argmax(axis=-1), -1),
        top5=_highest(rows, _TOP) & numbers[:, None],
        floored=floored,
    )


def _are_distributions(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    sums = rows.sum(axis=-1)
    return np.asarray((rows >= 0).all(axis=-1) & (np.abs(sums - 1) <= _SUM_TOLERANCE))


def _highest(rows: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Whether an element is among the `count` highest of its row; of equal ones the first are."""
    classes = rows.shape[1]
    if classes <= count:
        return np.ones(rows.shape, dtype=np.bool_)
    last = np.partition(rows, classes - count, axis=-1)[:, classes - count, None]
    above, level = rows > last, rows == last
    free = count - np.count_nonzero(above, axis=-1, keepdims=True)
    return np.asarray(above | (level & (np.cumsum(level, axis=-1) <= free)))
