"""Means of values that come in blocks, such as tokens in sequences: the block is what varies.

Values of one block resemble one another, so an interval that takes each as independent is far too
narrow. Here whole blocks are the independent units, of whatever size each is.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .interval import Interval
from .moments import mean_interval, paired_mean_difference


@dataclass(frozen=True, slots=True)
class BlockedMean:
    """The mean of all values seen so far, and how much its blocks differ.

    The mean R = Σ sum_i / Σ size_i is a ratio over the blocks i, and its variance comes from their
    residuals e_i = sum_i − R·size_i, which add up to zero:

        var(R) = n / (n − 1) · Σ e_i² / (Σ size_i)²        for n blocks

    With one value a block this is the variance of an ordinary mean. Parts merge into the whole, in
    any grouping and order, up to rounding (`a.merge(b) == b.merge(a)` exactly). A value that is
    infinite or NaN stays visible: the mean becomes infinite or NaN, the variance NaN.

    Attributes:
        count: how many values.
        blocks: how many blocks they came in.
        mean: of the values, in their unit; 0.0 means nothing while `count` is 0.
        squares: Σ e_i², in squared units of the values.
        products: Σ e_i·size_i.
        size_squares: Σ size_i².

    Source: Cochran 1977, "Sampling Techniques", §2.11 and chapter 6, and Kish 1965, "Survey
    Sampling", chapter 6: the ratio estimator over clusters, without finite population correction.
    The residuals are kept about the current mean and moved when it moves, as in Chan, Golub,
    LeVeque 1979, so that no large sums cancel.
    """

    count: int = 0
    blocks: int = 0
    mean: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    size_squares: int = 0

    @classmethod
    def of(cls, values: ArrayLike, blocks: ArrayLike) -> Self:
        """Return the blocked mean of an array.

        Args:
            values: real numbers or flags, (values,); may be empty.
            blocks: the block that each belongs to, (values,) of integers, in any order. All values
                of one block are given in one call: what is merged counts as other blocks.

        Raises:
            ValueError: not one integer for each value.
        """
        array, owners = np.asarray(values, dtype=np.float64), np.asarray(blocks)
        if array.ndim != 1 or array.shape != owners.shape:
            raise ValueError(f"{array.shape} values and {owners.shape} blocks do not fit")
        if array.size == 0:
            return cls()
        if owners.dtype.kind not in "iu":
            raise ValueError(f"a block is named by an integer, got {owners.dtype}")
        _, places, sizes = np.unique(owners, return_inverse=True, return_counts=True)
        with np.errstate(invalid="ignore", over="ignore"):
            mean = np.mean(array)
            residuals = np.bincount(places, array - mean, len(sizes)).astype(np.float64)
            # Zero but for the rounding of the mean.
            residuals -= np.sum(residuals) / array.size * sizes
            squares, products = np.sum(residuals**2), np.sum(residuals * sizes)
        return cls(
            count=array.size,
            blocks=len(sizes),
            mean=float(mean),
            squares=float(squares),
            products=float(products),
            size_squares=int(np.sum(sizes**2)),
        )

    def merge(self, other: "BlockedMean") -> "BlockedMean":
        """Return the blocked mean of both sets of values; no block may be in both."""
        if self.count == 0:
            return other
        if other.count == 0:
            return self
        count = self.count + other.count
        mean = (self.count * self.mean + other.count * other.mean) / count
        squares, products = self._about(mean)
        other_squares, other_products = other._about(mean)
        return BlockedMean(
            count=count,
            blocks=self.blocks + other.blocks,
            mean=mean,
            squares=squares + other_squares,
            products=products + other_products,
            size_squares=self.size_squares + other.size_squares,
        )

    @property
    def variance(self) -> float | None:
        """That of which √(variance / blocks) is the mean's standard error, in squared units.

        None for fewer than 2 blocks.
        """
        if self.blocks < 2:
            return None
        return self.squares / (self.blocks - 1) * (self.blocks / self.count) ** 2

    def interval(self, confidence: float = 0.95) -> Interval:
        """Return the mean and its t interval, with one degree of freedom less than blocks.

        Args:
            confidence: two-sided coverage, 0.95 by default.

        Returns:
            The mean with limits in its unit; they are None for fewer than 2 blocks, and where a
            value is not finite.

        Raises:
            ValueError: no values, or confidence not between 0 and 1.
        """
        return mean_interval(self.blocks, self.mean, self.variance, confidence)

    def p_value(self) -> float | None:
        """Return the two-sided p-value of "the mean is zero", from a t-test over the blocks.

        For values that are differences this is the paired test. None where it does not exist, as
        `paired_mean_difference` says.

        Raises:
            ValueError: no values.
        """
        return paired_mean_difference(self.blocks, self.mean, self.variance)

    def _about(self, mean: float) -> tuple[float, float]:
        """Σ e_i² and Σ e_i·size_i where the residuals are taken about another mean."""
        shift = self.mean - mean
        squares = self.squares + shift * (2 * self.products + shift * self.size_squares)
        # Below zero by rounding alone; written so that a NaN stays one.
        return 0.0 if squares < 0 else squares, self.products + shift * self.size_squares
