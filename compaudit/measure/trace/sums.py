"""What is summed up of intermediate outputs, run by run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.numerical import NumericalError
from compaudit.measure.trace.graph import Scale
from compaudit.measure.trace.in_worker import Shown
from compaudit.measure.trace.matching import Match
from compaudit.results.quality import TracedOutput

__all__ = ["NO_NUMBERS", "OTHER_SHAPE", "Sums"]

_CHUNK = 1 << 20
"""Elements that are compared at once, in float64."""

OTHER_SHAPE = "another shape"
NO_NUMBERS = "no real numbers, or not there for every sample"


class Sums:
    """The figures of all outputs that are compared.

    Attributes:
        lost: outputs that turned out not to be comparable, and why.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _OneOutput] = {}
        self.lost: dict[str, str] = {}

    def add(self, match: Match, ours: Shown, theirs: Shown) -> None:
        """Take in what one run of each model showed of an output."""
        if not ours.samples or not theirs.samples or match.name in self.lost:
            return
        left = _real(ours.outputs.get(match.original.name), match.original.scale)
        right = _real(theirs.outputs.get(match.compressed.name), match.compressed.scale)
        if left is None or right is None:
            self._lose(match, NO_NUMBERS)
        elif left.shape != right.shape:
            self._lose(match, OTHER_SHAPE)
        else:
            self._kept.setdefault(match.name, _OneOutput()).add(ours.samples, left, right)

    def result(self, match: Match) -> TracedOutput | None:
        """The figures of an output; None where it could not be compared."""
        kept = self._kept.get(match.name)
        return None if kept is None else kept.result(match)

    def _lose(self, match: Match, reason: str) -> None:
        self.lost[match.name] = reason
        self._kept.pop(match.name, None)


class _OneOutput:
    def __init__(self) -> None:
        self._error = NumericalError()
        self._samples = 0
        self._identical = True

    def add(self, samples: int, original: NDArray[Any], compressed: NDArray[Any]) -> None:
        self._samples += samples
        ours, theirs = original.reshape(-1), compressed.reshape(-1)
        for start in range(0, ours.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            self._error.update(ours[part], theirs[part])
            # Looked for only as long as it may be so: it costs as much as the sums.
            self._identical = self._identical and np.array_equal(
                ours[part], theirs[part], equal_nan=True
            )

    def result(self, match: Match) -> TracedOutput:
        figures, _ = self._error.result()
        return TracedOutput(
            name=match.name,
            op=match.original.op,
            compressed_name=match.compressed.name,
            matched_by=match.by,
            samples=self._samples,
            elements=self._error.elements,
            sqnr_db=figures.sqnr_db,
            cosine=figures.cosine,
            max_abs_error=figures.max_abs_error,
            identical=self._identical,
            nonfinite_original=figures.nonfinite_original,
            nonfinite_compressed=figures.nonfinite_compressed,
        )


def _real(array: NDArray[Any] | None, scale: Scale | None) -> NDArray[Any] | None:
    """The real numbers of an output; None where it has none."""
    if array is None:
        return None
    if scale is not None:
        return (array.astype(np.float32) - scale.zero_point) * np.float32(scale.scale)
    return array if array.dtype.kind == "f" else None
