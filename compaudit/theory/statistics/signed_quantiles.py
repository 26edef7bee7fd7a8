"""Quantiles of streamed values of either sign, such as changes."""

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .quantiles import Quantiles


@dataclass(frozen=True, slots=True, eq=False)
class SignedQuantiles:
    """Two sketches: of the sizes of what is negative, and of the rest.

    Every order statistic is known as well as `Quantiles` knows sizes: exactly while there are few
    of a sign, then within a relative error of 0.5 %. Parts merge into the very same answers.

    Attributes:
        minimum: the smallest value, exact; +∞ without values.
        maximum: the largest, exact; −∞ without values.
    """

    minimum: float = math.inf
    maximum: float = -math.inf
    _negative: Quantiles = field(default_factory=Quantiles)
    _other: Quantiles = field(default_factory=Quantiles)

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Return the quantiles of an array.

        Args:
            values: finite numbers, of any shape; may be empty.

        Raises:
            ValueError: a value is not finite.
        """
        array = np.asarray(values, dtype=np.float64).ravel()
        if array.size == 0:
            return cls()
        if not np.isfinite(array).all():
            raise ValueError("values must be finite")
        negative = array < 0
        return cls(
            float(array.min()),
            float(array.max()),
            Quantiles.of(-array[negative]),
            Quantiles.of(array[~negative]),
        )

    def merge(self, other: "SignedQuantiles") -> "SignedQuantiles":
        """Return the quantiles of both sets of values together."""
        return SignedQuantiles(
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
            self._negative.merge(other._negative),
            self._other.merge(other._other),
        )

    @property
    def count(self) -> int:
        """How many values."""
        return self._negative.count + self._other.count

    def at(self, share: float) -> float:
        """Return the quantile below which this share of the values lies.

        Between two values it is interpolated, as `numpy.quantile` does.

        Raises:
            ValueError: no values, or a share that is not within [0, 1].
        """
        if self.count == 0 or not 0 <= share <= 1:
            raise ValueError(f"no quantile at {share} of {self.count} values")
        rank = share * (self.count - 1)
        below = math.floor(rank)
        low, high = self._order_statistic(below), self._order_statistic(math.ceil(rank))
        return low + (high - low) * (rank - below)

    def _order_statistic(self, rank: int) -> float:
        """The value of this rank, 0 the smallest."""
        if rank == 0:
            return self.minimum
        if rank == self.count - 1:
            return self.maximum
        if rank < self._negative.count:
            return -_of_rank(self._negative, self._negative.count - 1 - rank)
        return _of_rank(self._other, rank - self._negative.count)


def _of_rank(sizes: Quantiles, rank: int) -> float:
    return sizes.at(rank / (sizes.count - 1) if rank else 0.0)
