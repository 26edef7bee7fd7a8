"""The coefficient of determination r² of both models, and how much of its change is chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.accuracy.paired import jackknifed
from compaudit.results import PairedMetric
from compaudit.theory.statistics import GROUPS, group_of, why_no_jackknife

__all__ = ["Determination"]

Floats = NDArray[np.float64]

# The sums of 32 groups of so many columns take 16 MiB.
_MOST_COLUMNS = 16384

# Without one group nothing is left of how labels vary, but for rounding.
_NOTHING_LEFT = 1e-9


class Determination:
    """Coefficient of determination, 1 − residual / total sum of squares, mean over the columns.

    As scikit-learn's ``r2_score`` has it (``multioutput="uniform_average"``), but undefined where
    all labels of a column are equal. The sums are kept by group of samples; sums of squares merge
    as in Chan, Golub, LeVeque 1979.
    """

    def __init__(self) -> None:
        self._sizes = np.zeros(GROUPS, dtype=np.int64)
        self._mean: Floats = np.zeros((0, 0))
        self._total: Floats = np.zeros((0, 0))
        self._residuals: tuple[Floats, Floats] = (self._total, self._total)
        self._low: Floats = np.zeros(0)
        self._high: Floats = np.zeros(0)

    def update(
        self, samples: NDArray[np.int64], truth: Floats, original: Floats, compressed: Floats
    ) -> None:
        """Take in one batch: indices, labels, and both squared errors, (samples, columns) each."""
        if not len(samples):
            return
        part = Determination()
        part._measure(samples, truth, original, compressed)
        self.merge(part)

    def merge(self, other: Determination) -> None:
        """Take in what was seen of other samples, of as many columns."""
        if not other._sizes.any():
            return
        if not self._sizes.any():
            self.__dict__.update(other.__dict__)
            return
        sizes = self._sizes + other._sizes
        rows = len(self._mean)
        weight = np.zeros((rows, 1))
        mine, theirs = self._sizes_of(rows), other._sizes_of(rows)
        np.divide(theirs, mine + theirs, out=weight, where=mine + theirs > 0)
        apart = other._mean - self._mean
        self._total = self._total + other._total + apart**2 * (weight * mine)
        self._mean = self._mean + apart * weight
        self._residuals = (
            self._residuals[0] + other._residuals[0],
            self._residuals[1] + other._residuals[1],
        )
        self._low = np.minimum(self._low, other._low)
        self._high = np.maximum(self._high, other._high)
        self._sizes = sizes

    def why_undefined(self) -> str | None:
        """What is wrong with the labels; None when nothing is."""
        constant, columns = np.count_nonzero(self._low == self._high), len(self._low)
        if not constant:
            return None
        if columns == 1:
            return "all labels are equal"
        return f"all labels are equal in {constant} of {columns} columns"

    def why_no_interval(self) -> str | None:
        """What keeps the spread from being told; None when nothing does."""
        if (why := why_no_jackknife(self._sizes)) is not None:
            return why
        if len(self._mean) == 1:
            return f"a sample has more than {_MOST_COLUMNS} numbers"
        if (self._totals_without() <= _NOTHING_LEFT * self._whole()[1]).any():
            return "the labels of too few samples differ"
        return None

    def result(self, confidence: float) -> PairedMetric:
        """r² of both models, with intervals where there are enough samples."""
        total = self._whole()[1]
        sums = [residuals.sum(axis=0) for residuals in self._residuals]
        original, compressed = (float(np.mean(1 - residual / total)) for residual in sums)
        without = None
        if self.why_no_interval() is None:
            rest = self._totals_without()
            first, second = (
                np.mean(1 - (residual - residuals) / rest, axis=1)
                for residual, residuals in zip(sums, self._residuals, strict=True)
            )
            without = (first, second)
        return jackknifed((original, compressed), without, self._sizes, confidence, "higher")

    def _measure(
        self, samples: NDArray[np.int64], truth: Floats, original: Floats, compressed: Floats
    ) -> None:
        """Take in the first batch."""
        groups = group_of(samples)
        self._sizes = np.bincount(groups, minlength=GROUPS)
        if truth.shape[1] > _MOST_COLUMNS:
            groups = np.zeros_like(groups)
        rows = GROUPS if truth.shape[1] <= _MOST_COLUMNS else 1
        order = np.argsort(groups, kind="stable")
        held, starts = np.unique(groups[order], return_index=True)

        def by_group(values: Floats) -> Floats:
            sums = np.zeros((rows, values.shape[1]))
            sums[held] = np.add.reduceat(values[order], starts, axis=0)
            return sums

        self._mean = by_group(truth) / np.maximum(self._sizes_of(rows), 1)
        self._total = by_group((truth - self._mean[groups]) ** 2)
        self._residuals = (by_group(original), by_group(compressed))
        self._low, self._high = truth.min(axis=0), truth.max(axis=0)

    def _sizes_of(self, rows: int) -> Floats:
        """How many samples each row of the sums is of, (rows, 1)."""
        sizes = self._sizes if rows == GROUPS else self._sizes.sum(keepdims=True)
        return sizes.astype(np.float64)[:, None]

    def _whole(self) -> tuple[Floats, Floats]:
        """The mean of all labels, and the sum of their squared distances from it, by column."""
        sizes = self._sizes_of(len(self._mean))
        mean = (self._mean * sizes).sum(axis=0) / sizes.sum()
        return mean, (self._total + sizes * (self._mean - mean) ** 2).sum(axis=0)

    def _totals_without(self) -> Floats:
        """The same sum without each group, (groups, columns)."""
        mean, total = self._whole()
        sizes = self._sizes_of(len(self._mean))
        count = sizes.sum()
        # Chan, Golub, LeVeque 1979 backwards: what joining the group has added is taken away.
        joined = (self._mean - mean) ** 2 * (sizes * count / (count - sizes))
        return np.asarray(total - self._total - joined)
