"""How many numbers of an output are exactly its smallest or its largest: what was clipped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.results.behaviour import Extremes

__all__ = ["ExtremeCount"]


class ExtremeCount:
    """The ends of one model's output, and how many of its elements lie exactly there.

    A value that was clipped lies at an end, and of numbers that were not, mostly a single one does.
    It costs a comparison of two passes over an output; elements are counted only in batches that
    reach an end.
    """

    def __init__(self) -> None:
        self._elements = 0
        self._lowest, self._at_lowest = math.inf, 0
        self._highest, self._at_highest = -math.inf, 0

    def update(self, output: NDArray[Any]) -> None:
        """Take in one batch of any shape; text and complex numbers have no ends."""
        if output.dtype.kind not in "fiu" or not output.size:
            return
        self._elements += output.size
        for end, smallest in ((output.min(), True), (output.max(), False)):
            value = float(end)
            if math.isnan(value):
                continue  # what is no number is counted where outputs are compared
            beyond = value <= self._lowest if smallest else value >= self._highest
            if beyond:
                self._reach(value, int(np.count_nonzero(output == end)), smallest=smallest)

    def merge(self, other: ExtremeCount) -> None:
        """Take in what was seen of other samples."""
        self._elements += other._elements
        if other._at_lowest and other._lowest <= self._lowest:
            self._reach(other._lowest, other._at_lowest, smallest=True)
        if other._at_highest and other._highest >= self._highest:
            self._reach(other._highest, other._at_highest, smallest=False)

    def result(self) -> Extremes | None:
        """What was found; None where no number was seen, or an end is none."""
        if not self._at_lowest or not self._at_highest:
            return None
        if not (math.isfinite(self._lowest) and math.isfinite(self._highest)):
            return None
        return Extremes(
            elements=self._elements,
            lowest=self._lowest,
            at_lowest=self._at_lowest,
            highest=self._highest,
            at_highest=self._at_highest,
        )

    def _reach(self, value: float, count: int, *, smallest: bool) -> None:
        """So many more elements lie at an end, or are the first beyond it."""
        if smallest:
            self._at_lowest = count + (self._at_lowest if value == self._lowest else 0)
            self._lowest = value
        else:
            self._at_highest = count + (self._at_highest if value == self._highest else 0)
            self._highest = value
