"""Expected calibration error of both models: do 80 % confidence mean 80 right ones of 100?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.accuracy.paired import jackknifed
from compaudit.results import PairedMetric
from compaudit.theory.statistics import GROUPS, group_of, why_no_jackknife

__all__ = ["CalibrationErrors"]

_BINS = 15


class CalibrationErrors:
    """Expected calibration error: 15 equal bins of confidence (Guo et al. 2017, equation 3).

    In each bin the mean confidence is set against the share that is right. All that the error is
    made of is, by bin, the sum of (right − confidence): it is kept by group of samples, so that the
    spread of the error can be told. What the interval does not know of is that few samples make a
    model look worse calibrated than it is, and a well calibrated one the more so (Kumar, Liang, Ma
    2019, "Verified uncertainty calibration"): where only the original is calibrated to perfection,
    the change is underestimated.
    """

    def __init__(self) -> None:
        self._sizes = np.zeros(GROUPS, dtype=np.int64)
        self._gaps = np.zeros((2, GROUPS, _BINS))

    def update(
        self,
        samples: NDArray[np.int64],
        confidences: tuple[NDArray[np.float64], NDArray[np.float64]],
        hits: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    ) -> None:
        """Take in one batch of samples whose scores both models give, by their indices."""
        groups = group_of(samples)
        self._sizes += np.bincount(groups, minlength=GROUPS)
        for gaps, confidence, right in zip(self._gaps, confidences, hits, strict=True):
            # Bins are open below and closed above, as Guo et al. write them.
            bins = np.clip(np.ceil(confidence * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
            places, gap = groups * _BINS + bins, right - confidence
            gaps += np.bincount(places, gap, GROUPS * _BINS).reshape(GROUPS, _BINS)

    def merge(self, other: CalibrationErrors) -> None:
        """Take in what was seen of other samples."""
        self._sizes += other._sizes
        self._gaps += other._gaps

    def why_no_interval(self) -> str | None:
        """What keeps the spread from being told; None when nothing does."""
        return why_no_jackknife(self._sizes)

    def result(self, confidence: float) -> PairedMetric:
        """The distance of confidence and accuracy, averaged over the samples, with an interval."""
        samples, totals = self._sizes.sum(), self._gaps.sum(axis=1)
        original, compressed = (float(value) for value in np.abs(totals).sum(axis=1) / samples)
        without = None
        if self.why_no_interval() is None:
            rest = np.abs(totals[:, None, :] - self._gaps).sum(axis=2) / (samples - self._sizes)
            without = (rest[0], rest[1])
        return jackknifed((original, compressed), without, self._sizes, confidence, "lower")
