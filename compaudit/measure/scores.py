"""Class scores: what do they mean, and what are their logarithms?

Nobody says whether an output holds logits or probabilities, so its numbers must. The first rows
decide, however they are split into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.theory.information import log_from_probabilities

__all__ = [
    "TOP",
    "Evidence",
    "Kind",
    "Scores",
    "class_scores",
    "highest_classes",
    "kinds_of",
    "looks_like_classes",
]

Kind = Literal["logits", "probabilities"]

# float16 softmax rows of a thousand classes still sum to one within this.
_SUM_TOLERANCE = 5e-3

# Eight bits round the shares of many classes up or down together.
_LARGEST_SUM = 1.5

TOP = 5

# Of rows this wide the highest are sought among the highest of so many interleaved groups.
_WIDE = 256
_GROUP = 32

# e to this power is zero: a class that is ruled out, in finite numbers.
_MASKED = -1e5


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
    """Class scores of some rows as logarithms of a distribution.

    Attributes:
        log: (rows, classes), float64, finite: log-probabilities up to a constant, none above zero.
            A class that is ruled out has one whose exponential is zero; rows that are no
            distribution hold zeros.
        usable: which rows are one.
        predicted: the class with the highest score, −1 where the scores are not numbers.
        top5: the five classes with the highest scores, or all where there are fewer, in ascending
            order; the lower class numbers where scores are equal, −1 where they are not numbers.
        floored: probabilities that were exactly zero and count as the smallest subnormal.
    """

    log: NDArray[np.float64]
    usable: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    top5: NDArray[np.int64]
    floored: int


def class_scores(
    values: NDArray[Any],
    kind: Kind,
    masked: NDArray[np.bool_] | None = None,
    room: NDArray[np.float64] | None = None,
) -> Scores:
    """Class scores as logarithms.

    Args:
        values: (rows, classes), logits or probabilities, float16 to float64.
        kind: which of the two, decided once for the whole data set.
        masked: of each row and class, whether a logit of −∞ says that the class is impossible,
            since the other model says so too. Any other infinity is no number.
        room: of the shape of the values, for the logarithms; it is made where there is none.
    """
    floor = float(np.finfo(values.dtype).smallest_subnormal)
    # float16 is slow to compare, and exact in float32.
    values = values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
    log = np.empty(values.shape) if room is None else room
    predicted = values.argmax(axis=-1)
    # A NaN is both the highest and the lowest.
    high = np.take_along_axis(values, predicted[:, None], axis=-1).astype(np.float64)
    low = (values if masked is None else np.where(masked, high, values)).min(axis=-1)
    numbers = np.isfinite(high[:, 0]) & np.isfinite(low)
    floored = 0
    if kind == "probabilities":
        usable, floored = _log_of_shares(values, numbers & (low >= 0), floor, log)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            # Not where logits are 1e308 apart.
            usable = numbers & np.isfinite(low - high[:, 0])
            np.subtract(values, high, out=log)
        if masked is not None:
            log[masked] = _MASKED
        log[~usable] = 0.0
    top5 = highest_classes(values, TOP)
    top5[~numbers] = -1
    return Scores(
        log=log,
        usable=usable,
        predicted=np.where(numbers, predicted, -1),
        top5=top5,
        floored=floored,
    )


def _log_of_shares(
    values: NDArray[Any], positive: NDArray[np.bool_], floor: float, log: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], int]:
    """Fill in the logarithms of probabilities; which rows are a distribution, and zeros floored."""
    np.copyto(log, values)
    with np.errstate(invalid="ignore"):
        sums = log.sum(axis=-1)
        usable = np.asarray(positive & (sums > 0) & (sums <= _LARGEST_SUM))
    # A softmax in low precision sums to one only nearly; what is compared is what it means.
    shares = log[usable] / sums[usable, None]
    log[~usable] = 0.0
    log[usable], floored = log_from_probabilities(shares, floor)
    return usable, floored


def highest_classes(values: NDArray[Any], count: int) -> NDArray[np.int64]:
    """The classes with the highest scores of each row; of equal ones the first.

    Args:
        values: (rows, classes).
        count: how many are wanted.

    Returns:
        Class numbers, ascending, (rows, at most `count`); −1 at least once where there is a NaN.
    """
    rows, classes = values.shape
    count = min(count, classes)
    found = np.full((rows, count), -1, dtype=np.int64)
    # Few are as high as the lowest of the highest; they alone are sorted.
    place, among = np.divmod(np.flatnonzero(values >= _bound(values, count)), max(1, classes))
    order = np.lexsort((-values[place, among], place))
    place, among = place[order], among[order]
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    first = rank < count
    found[place[first], rank[first]] = among[first]
    return np.sort(found, axis=-1)


def _bound(values: NDArray[Any], count: int) -> NDArray[Any]:
    """A number of each row, (rows, 1), that at least `count` of its elements reach.

    It is NaN, which nothing reaches, only where there is a NaN.
    """
    rows, classes = values.shape
    some = values
    if classes >= _WIDE:
        # As many groups have an element that high.
        whole = classes // _GROUP * _GROUP
        groups = values[:, :whole].reshape(rows, _GROUP, -1).max(axis=1)
        some = np.concatenate((groups, values[:, whole:]), axis=1)
    return np.asarray(np.partition(some, -count, axis=-1)[:, -count, None])
