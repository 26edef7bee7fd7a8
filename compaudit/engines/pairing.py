"""Both models' outputs and the labels, row by row of the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Batch, Outputs
from compaudit.engines.inference import Part
from compaudit.errors import InternalError

__all__ = ["Labels", "pair_up"]

Labels = tuple[NDArray[Any] | None, Mapping[int, str]]
"""The labels of a range of samples, and those it lacks a row for."""


def pair_up(start: int, stop: int, original: Part, compressed: Part, labels: Labels) -> Batch:
    """The batch of the samples from `start` to `stop`, without those that one of the three lacks.

    Raises:
        InternalError: a part has not as many rows as it should.
    """
    values, unlabelled = labels
    indices = np.arange(start, stop, dtype=np.int64)
    lacking = [*original.broken, *compressed.broken, *unlabelled]
    kept = indices[~np.isin(indices, lacking)] if lacking else indices
    rows = _Rows(start, stop, kept)
    if values is not None:
        values = rows.of("labels", values, unlabelled)
    return Batch(
        indices=kept,
        labels=values,
        original=rows.of_all(original.outputs, original.broken),
        compressed=rows.of_all(compressed.outputs, compressed.broken),
        original_scores=rows.of_all(original.scores, original.broken),
        compressed_scores=rows.of_all(compressed.scores, compressed.broken),
    )


class _Rows:
    """Picks the rows of the samples that are kept."""

    def __init__(self, start: int, stop: int, kept: NDArray[np.int64]) -> None:
        self._start, self._stop, self._kept = start, stop, kept

    def of_all(self, arrays: Outputs, lacking: Mapping[int, str]) -> Outputs:
        if not len(self._kept):
            return {}
        return {name: self.of(name, values, lacking) for name, values in arrays.items()}

    def of(self, name: str, values: NDArray[Any], lacking: Mapping[int, str]) -> NDArray[Any]:
        """The rows that are kept, of an array that has none for the samples that are `lacking`."""
        there = np.arange(self._start, self._stop)
        there = there[~np.isin(there, list(lacking))] if lacking else there
        if len(values) != len(there):
            raise InternalError(
                f"{name!r} has {len(values)} rows for {len(there)} samples from {self._start} on",
                code="internal-error",
                stage="evaluate",
            )
        return values if len(there) == len(self._kept) else values[np.isin(there, self._kept)]
