"""Class scores: what do they mean, and what are their logarithms?

Nobody says whether an output holds logits or probabilities, so its numbers must. The first rows
decide, however they are split into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.highest import highest_classes
from compaudit.theory.information import log_from_probabilities

__all__ = [
    "TOP",
    "Evidence",
    "Kind",
    "Ranked",
    "kinds_of",
    "log_scores",
    "looks_like_classes",
    "rank_classes",
]

Kind = Literal["logits", "probabilities"]

# float16 softmax rows of a thousand classes still sum to one within this.
_SUM_TOLERANCE = 5e-3

# Eight bits round the shares of many classes up or down together.
_LARGEST_SUM = 1.5

TOP = 5

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
class Ranked:
    """Where the ends of some rows of class scores are.

    Attributes:
        top5: the five classes with the highest scores, or all where there are fewer, the highest
            first; the lower class numbers where scores are equal, −1 where they are not numbers.
        high, low: the highest and the lowest score of each row, (rows, 1), float64. A class that is
            ruled out is not the lowest.
        numbers: whether a row holds finite numbers, but for classes that are ruled out, (rows,).
    """

    top5: NDArray[np.int64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    numbers: NDArray[np.bool_]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The class with the highest score, −1 where the scores are not numbers."""
        return self.top5[:, 0]

    def part(self, here: slice) -> Ranked:
        """Some of the rows."""
        return Ranked(self.top5[here], self.high[here], self.low[here], self.numbers[here])


def rank_classes(values: NDArray[Any], masked: NDArray[np.bool_] | None = None) -> Ranked:
    """The ends of class scores.

    Args:
        values: (rows, classes), logits or probabilities, float16 to float64.
        masked: of each row and class, whether a logit of −∞ says that the class is impossible,
            since the other model says so too. Any other infinity is no number.
    """
    values = _comparable(values)
    top5 = highest_classes(values, TOP)
    high = np.take_along_axis(values, top5[:, :1], axis=-1).astype(np.float64)
    lowest = values if masked is None else np.where(masked, high, values)
    low = lowest.min(axis=-1, keepdims=True).astype(np.float64)  # a NaN is the lowest
    numbers = (np.isfinite(high) & np.isfinite(low))[:, 0]
    top5[~numbers] = -1
    return Ranked(top5, high, low, numbers)


def log_scores(
    values: NDArray[Any],
    ranked: Ranked,
    kind: Kind,
    log: NDArray[np.float64],
    masked: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.bool_], int]:
    """Class scores as logarithms of a distribution.

    Args:
        values: (rows, classes), logits or probabilities, float16 to float64.
        ranked: their ends.
        kind: which of the two, decided once for the whole data set.
        log: gets, of the same shape, log-probabilities up to a constant, finite, none above zero. A
            class that is ruled out has one whose exponential is zero; rows that are no distribution
            hold zeros.
        masked: as for `rank_classes`.

    Returns:
        Which rows are a distribution, and how many probabilities were exactly zero and count as the
        smallest subnormal.
    """
    if kind == "probabilities":
        floor = float(np.finfo(values.dtype).smallest_subnormal)
        positive = ranked.numbers & (ranked.low[:, 0] >= 0)
        return _log_of_shares(values, positive, floor, log)
    with np.errstate(over="ignore", invalid="ignore"):
        # Not where logits are 1e308 apart.
        usable = ranked.numbers & np.isfinite(ranked.low - ranked.high)[:, 0]
        np.copyto(log, values)
        log -= ranked.high
    if masked is not None:
        log[masked] = _MASKED
    if not usable.all():
        log[~usable] = 0.0
    return usable, 0


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    """float16 is slow to compare, and exact in float32."""
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


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
