"""Quantiles of streamed values: exact while they are few, then within a stated relative error."""

import math
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT_UP_TO = 10_000
"""So many values are kept as they are."""
RELATIVE_ERROR = 0.005
"""From then on, every order statistic is known within this share of itself."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
_SMALLEST = float(np.finfo(np.float64).tiny)
_LOG_LARGEST = math.log(np.finfo(np.float64).max)
_MOST_BINS = 48


@dataclass(frozen=True, slots=True, eq=False)
class Quantiles:
    """Counts of values by size, in buckets whose bounds grow by about one per cent.

    Quantiles of parts merge into those of the whole, in any grouping and order, and to the very
    same answers: what is known depends on the values alone.

    Attributes:
        count: how many values.
        maximum: the largest; 0.0 means nothing while `count` is 0.

    Source: Masson, Rim, Lee 2019, "DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees".
    """

    count: int = 0
    maximum: float = 0.0
    _values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _buckets: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Return the quantiles of an array.

        Args:
            values: finite numbers ≥ 0, of any shape; may be empty.

        Raises:
            ValueError: a value is negative or not finite.
        """
        array = np.asarray(values, dtype=np.float64).ravel()
        if array.size == 0:
            return cls()
        if not np.isfinite(array).all() or array.min() < 0:
            raise ValueError("values must be finite and not negative")
        maximum = float(array.max())
        if array.size <= EXACT_UP_TO:
            return cls(array.size, maximum, array.copy())
        return cls(array.size, maximum, np.empty(0), *_counted(array))

    def merge(self, other: "Quantiles") -> "Quantiles":
        """Return the quantiles of both sets of values together."""
        count, maximum = self.count + other.count, max(self.maximum, other.maximum)
        if count <= EXACT_UP_TO:
            return Quantiles(count, maximum, np.concatenate([self._values, other._values]))
        parts = [_counted(part._values) for part in (self, other)]
        parts += [(part._buckets, part._counts) for part in (self, other)]
        buckets, places = np.unique(
            np.concatenate([bucket for bucket, _ in parts]), return_inverse=True
        )
        counts = np.zeros(len(buckets), np.int64)
        np.add.at(counts, places, np.concatenate([count for _, count in parts]))
        return Quantiles(count, maximum, np.empty(0), buckets, counts)

    def at(self, share: float) -> float:
        """Return the quantile below which this share of the values lies.

        Between two values it is interpolated, as `numpy.quantile` does.

        Raises:
            ValueError: no values, or a share that is not within [0, 1].
        """
        if self.count == 0 or not 0 <= share <= 1:
            raise ValueError(f"no quantile at {share} of {self.count} values")
        if self.count <= EXACT_UP_TO:
            return float(np.quantile(self._values, share))
        rank = share * (self.count - 1)
        low, high = (self._order_statistic(int(whole)) for whole in (rank // 1, -(-rank // 1)))
        return low + (high - low) * (rank % 1)

    def histogram(self) -> tuple[list[float], list[int], int]:
        """Return bins of equal width on a logarithmic scale, the same for values in any parts.

        Bounds of bins are bounds of buckets, so that every value is counted in its own bin. Bins
        are at most as many as the Rice rule has, 2·∛count, and never more than 48.

        Returns:
            The bounds, one more than there are bins: a bin holds what is larger than its first and
            not larger than its second. How many values each bin holds. How many are zero, or too
            small to have a logarithm.
        """
        buckets, counts = (
            _counted(self._values) if self.count <= EXACT_UP_TO else (self._buckets, self._counts)
        )
        some = buckets != _ZERO
        zeros = int(counts[~some].sum())
        buckets, counts = buckets[some], counts[some]
        if not len(buckets):
            return [], [], zeros
        most = min(math.ceil(2 * float(counts.sum()) ** (1 / 3)), _MOST_BINS)
        first, last = int(buckets[0]), int(buckets[-1])
        width = -(-(last - first + 1) // most)
        while -(-last // width) - -(-first // width) >= most:
            width += 1
        bins = -(-buckets // width)
        held = np.bincount(bins - bins[0], counts).astype(np.int64)
        places = range(int(bins[0]) - 1, int(bins[-1]) + 1)
        return (
            [math.exp(min(p * width * _LOG_GAMMA, _LOG_LARGEST)) for p in places],
            held.tolist(),
            zeros,
        )

    def _order_statistic(self, rank: int) -> float:
        """The value of this rank (0 the smallest), within the relative error."""
        if rank >= self.count - 1:
            return self.maximum
        bucket = self._buckets[np.searchsorted(np.cumsum(self._counts), rank, side="right")]
        if bucket == _ZERO:
            return 0.0
        # Between the bucket's bounds, as far from the one as from the other in relative terms.
        middle = float(bucket) * _LOG_GAMMA - math.log((_GAMMA + 1) / 2)
        return math.exp(min(middle, math.log(self.maximum)))


_ZERO = np.int64(-(2**62))
"""The bucket of zeros, and of what is too small to have a relative error."""


def _counted(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Buckets that hold a value, ascending, and how many each holds."""
    buckets = np.full(len(values), _ZERO)
    some = values >= _SMALLEST
    buckets[some] = np.ceil(np.log(values[some]) / _LOG_GAMMA).astype(np.int64)
    found, counts = np.unique(buckets, return_counts=True)
    return found, counts.astype(np.int64)
