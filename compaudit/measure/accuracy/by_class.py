"""Accuracy within each class, and which classes really changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compaudit.results import ClassAccuracy
from compaudit.theory.statistics import holm, mcnemar_exact

__all__ = ["HitsByClass"]

_COLUMNS = 4


class HitsByClass:
    """Of each class, how many samples there are and how many of them each model gets right."""

    def __init__(self) -> None:
        self._counts = np.zeros((0, _COLUMNS), dtype=np.int64)

    def update(
        self,
        labels: NDArray[np.int64],
        original: NDArray[np.bool_],
        compressed: NDArray[np.bool_],
        classes: int,
    ) -> None:
        """Take in one batch; labels are from 0 to `classes` − 1."""
        self._grow(classes)
        chosen = (labels, labels[original], labels[compressed], labels[original & ~compressed])
        for column, mine in enumerate(chosen):
            self._counts[:, column] += np.bincount(mine, minlength=len(self._counts))

    def merge(self, other: HitsByClass) -> None:
        """Take in what was seen of other samples."""
        self._grow(len(other._counts))
        self._counts[: len(other._counts)] += other._counts

    def result(self, names: Sequence[str]) -> list[ClassAccuracy]:
        """The classes that occur among the labels, ascending.

        The p-values are McNemar's exact ones within each class, after Holm's correction for the
        number of these classes.
        """
        labels = np.flatnonzero(self._counts[:, 0])
        counts = self._counts[labels].tolist()
        p_values = holm(
            [
                mcnemar_exact(broken, compressed - (original - broken))
                for _, original, compressed, broken in counts
            ]
        )
        return [
            ClassAccuracy(
                label=label,
                name=names[label] if label < len(names) else None,
                samples=samples,
                original=original / samples,
                compressed=compressed / samples,
                delta=(compressed - original) / samples,
                p_value=p_value,
            )
            for label, (samples, original, compressed, _), p_value in zip(
                labels.tolist(), counts, p_values, strict=True
            )
        ]

    def _grow(self, classes: int) -> None:
        missing = classes - len(self._counts)
        if missing > 0:
            more = np.zeros((missing, _COLUMNS), dtype=np.int64)
            self._counts = np.concatenate([self._counts, more])
