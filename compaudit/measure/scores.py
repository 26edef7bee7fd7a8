"""Class scores: what do they mean, and what are their log-probabilities?

Nobody says whether an output holds logits or probabilities, so its numbers must. The first rows
decide, however they are split into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.theory.information import log_from_probabilities, log_probabilities

__all__ = ["Evidence", "Kind", "Scores", "class_scores", "kinds_of", "looks_like_classes"]

Kind = Literal["logits", "probabilities"]

# float16 softmax rows of a thousand classes still sum to one within this.
_SUM_TOLERANCE = 5e-3

# Eight bits round the shares of many classes up or down together.
_LARGEST_SUM = 1.5

_TOP = 5

# Rows of so many classes are not sorted as a whole.
_WIDE = 2048
_GROUP = 32


def looks_like_classes(values: NDArray[Any], dimensions: int = 2) -> bool:
    """Whether these are scores of at least two classes, one row a sample.

    Args:
        values: an output.
        dimensions: 3 where there is a row for each token of a sample.
    """
    return values.ndim == dimensions and values.shape[-1] >= 2 and values.dtype.kind == "f"


class Evidence:
    """What the first rows of one model say about its numbers.

    Evidence of parts of the data merges, whichever came first.

    Args:
        rows: so many are looked at. That logits sum to one by chance in so many cannot be.
    """

    def __init__(self, rows: int) -> None:
        self._most = rows
        self._samples = np.empty(0, dtype=np.int64)
        # Of each row: is it made of numbers, a distribution, nearly one?
        self._flags = np.empty((0, 3), dtype=np.bool_)

    @property
    def exact(self) -> bool:
        """Whether every row lies in [0, 1] and sums to one; not without a single row of numbers."""
        numbers = self._flags[:, 0]
        return bool(numbers.any() and self._flags[numbers, 1].all())

    @property
    def near(self) -> bool:
        """Whether every row lies in [0, 1] and sums to no more than one and a half."""
        return bool(self._flags[self._flags[:, 0], 2].all())

    @property
    def settled(self) -> bool:
        """Whether rows of further samples would change nothing."""
        return not self.near or len(self._flags) == self._most

    def update(self, values: NDArray[Any], samples: NDArray[np.int64]) -> None:
        """Take in the scores of one batch.

        Args:
            values: the first dimension counts samples, the last holds the classes.
            samples: their indices.
        """
        classes = values.shape[-1]
        rows = values.reshape(-1, classes)[: self._most].astype(np.float64)
        with np.errstate(invalid="ignore"):
            sums = rows.sum(axis=-1)
            positive = (rows >= 0).all(axis=-1)
            flags = np.stack(
                (
                    np.isfinite(rows).all(axis=-1),
                    positive & (np.abs(sums - 1) <= _SUM_TOLERANCE),
                    positive & (rows <= 1 + _SUM_TOLERANCE).all(axis=-1) & (sums <= _LARGEST_SUM),
                ),
                axis=-1,
            )
        owners = np.repeat(samples, values.size // classes // len(samples))[: self._most]
        self._keep_first(owners, flags)

    def merge(self, other: Evidence) -> None:
        """Take in what other samples say."""
        self._keep_first(other._samples, other._flags)

    def _keep_first(self, samples: NDArray[np.int64], flags: NDArray[np.bool_]) -> None:
        together = np.concatenate((self._samples, samples))
        order = np.argsort(together, kind="stable")[: self._most]
        self._samples = together[order]
        self._flags = np.concatenate((self._flags, flags))[order]


def kinds_of(original: Evidence, compressed: Evidence) -> tuple[Kind, Kind]:
    """Logits or probabilities, for both models.

    A softmax that was quantised to eight bits sums to one only roughly: it is believed where the
    other model's does exactly. Log-probabilities may be read as logits, for the log-softmax leaves
    them as they are.
    """

    def kind(mine: Evidence, other: Evidence) -> Kind:
        return "probabilities" if mine.exact or (mine.near and other.exact) else "logits"

    return kind(original, compressed), kind(compressed, original)


@dataclass(frozen=True, slots=True)
class Scores:
    """Class scores of some rows as log-probabilities, float64.

    Attributes:
        log: (rows, classes); those of rows that are no distribution are NaN.
        usable: which rows are one.
        predicted: the class with the highest score, −1 where the scores are not numbers.
        top5: of each row and class, whether it is among the five highest; the lower class number
            where scores are equal, nothing where they are not numbers.
        floored: probabilities that were exactly zero and count as the smallest subnormal.
    """

    log: NDArray[np.float64]
    usable: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    top5: NDArray[np.bool_]
    floored: int


def class_scores(
    values: NDArray[Any], kind: Kind, masked: NDArray[np.bool_] | None = None
) -> Scores:
    """Class scores as log-probabilities.

    Args:
        values: (rows, classes), logits or probabilities, float16 to float64.
        kind: which of the two, decided once for the whole data set.
        masked: of each row and class, whether a logit of −∞ says that the class is impossible,
            since the other model says so too. Any other infinity is no number.
    """
    rows = values.astype(np.float64)
    fine = np.isfinite(rows)
    if masked is not None:
        fine |= masked
    numbers = np.asarray(fine.all(axis=-1))
    usable = numbers.copy()
    log = np.full(rows.shape, np.nan)
    floored = 0
    if kind == "probabilities":
        with np.errstate(invalid="ignore"):
            sums = rows.sum(axis=-1)
            usable &= (rows >= 0).all(axis=-1) & (sums > 0) & (sums <= _LARGEST_SUM)
        # A softmax in low precision sums to one only nearly; what is compared is what it means.
        shares = rows[usable] / sums[usable, None]
        floor = float(np.finfo(values.dtype).smallest_subnormal)
        log[usable], floored = log_from_probabilities(shares, floor)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            found = log_probabilities(rows[usable])
            # Not where logits are 1e308 apart, nor where every class is masked.
            sound = np.isfinite(found) | (rows[usable] == -np.inf)
        log[usable] = found
        usable[usable] = sound.all(axis=-1) & np.isfinite(found).any(axis=-1)
        log[~usable] = np.nan
    numbers &= np.isfinite(rows).any(axis=-1)
    return Scores(
        log=log,
        usable=usable,
        predicted=np.where(numbers, rows.argmax(axis=-1), -1),
        top5=_highest(rows, _TOP) & numbers[:, None],
        floored=floored,
    )


def _highest(rows: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Whether an element is among the `count` highest of its row; of equal ones the first are."""
    classes = rows.shape[1]
    if classes <= count:
        return np.ones(rows.shape, dtype=np.bool_)
    last = _nth_highest(rows, count)
    among = rows >= last
    if (np.count_nonzero(among, axis=-1) <= count).all():
        return np.asarray(among)
    above, level = rows > last, rows == last
    free = count - np.count_nonzero(above, axis=-1, keepdims=True)
    return np.asarray(above | (level & (np.cumsum(level, axis=-1) <= free)))


def _nth_highest(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The `count`-th highest element of each row, (rows, 1); anything where there is a NaN."""
    classes = rows.shape[1]
    if classes < _WIDE:
        return np.partition(rows, classes - count, axis=-1)[:, classes - count, None]
    # So many groups have an element of that size at least: few elements are left to be sorted.
    highest = np.maximum.reduceat(rows, np.arange(0, classes, _GROUP), axis=-1)
    bounds = np.partition(highest, -count, axis=-1)[:, -count, None]
    left = rows >= bounds
    found = [
        np.partition(row[chosen], -count)[-count] if np.count_nonzero(chosen) >= count else np.nan
        for row, chosen in zip(rows, left, strict=True)
    ]
    return np.array(found)[:, None]
