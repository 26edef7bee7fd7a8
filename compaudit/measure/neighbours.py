"""Nearest neighbours by cosine, over a sample that does not depend on how the data is split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.results import Estimate
from compaudit.theory.statistics import Moments

__all__ = ["NEIGHBOURS", "NeighbourSample"]

NEIGHBOURS = 10
_CHOSEN = 1_000

Floats = NDArray[np.float64]


class NeighbourSample:
    """The vectors of at most 1,000 samples, those whose indices have the smallest hashes.

    Any part of the data keeps its own thousand, and the thousand of two parts together are those
    of the whole: whatever the split and its order, the same samples are compared.

    Source: bottom-k sketches, Cohen and Kaplan 2007, "Summarizing data using bottom-k sketches".
    """

    def __init__(self) -> None:
        self._indices: NDArray[np.int64] = np.empty(0, np.int64)
        self._vectors: tuple[Floats, Floats] | None = None

    @property
    def count(self) -> int:
        """How many samples are compared."""
        return len(self._indices)

    def update(self, indices: NDArray[Any], original: Floats, compressed: Floats) -> None:
        """Take in samples: their indices, and a vector of length one each from both models."""
        if self.count == _CHOSEN:  # most of what comes later cannot be among them
            some = _hashes(indices.astype(np.int64)) < _hashes(self._indices).max()
            indices, original, compressed = indices[some], original[some], compressed[some]
        if len(indices):
            self._choose(indices.astype(np.int64), (original, compressed))

    def merge(self, other: NeighbourSample) -> None:
        """Take in what was seen of other samples."""
        if other._vectors is not None:
            self._choose(other._indices, other._vectors)

    def overlap(self, confidence: float) -> Estimate | None:
        """Mean share of a sample's ten nearest neighbours that both models name.

        Each model ranks its own vectors; among equally near ones the hash decides. Chance alone
        gives 10 / (count − 1). The t interval is approximate: neighbourhoods share vectors, so the
        samples are not independent.

        Returns:
            None for fewer than 12 samples, where hardly any neighbour could be missed.
        """
        if self._vectors is None or self.count < NEIGHBOURS + 2:
            return None
        first, second = (_neighbours(vectors) for vectors in self._vectors)
        shares = np.count_nonzero(first & second, axis=1) / NEIGHBOURS
        mean = Moments.of(shares).interval(confidence)
        low = None if mean.low is None else max(0.0, mean.low)
        high = None if mean.high is None else min(1.0, mean.high)
        return Estimate(value=mean.value, low=low, high=high)

    def _choose(self, indices: NDArray[np.int64], vectors: tuple[Floats, Floats]) -> None:
        """Keep those with the smallest hashes, in the order of these."""
        if self._vectors is not None:
            indices = np.concatenate([self._indices, indices])
            vectors = (
                np.concatenate([self._vectors[0], vectors[0]]),
                np.concatenate([self._vectors[1], vectors[1]]),
            )
        kept = np.argsort(_hashes(indices))[:_CHOSEN]
        self._indices = indices[kept]
        self._vectors = vectors[0][kept], vectors[1][kept]


def _neighbours(vectors: Floats) -> NDArray[np.bool_]:
    """Whether a sample (column) is among the nearest of another (row), (samples, samples)."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
    among = np.zeros(similarity.shape, np.bool_)
    np.put_along_axis(among, nearest, True, axis=1)
    return among


def _hashes(indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A number for each index that looks random, and is another for every index.

    Source: SplitMix64, Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators".
    """
    mixed = (indices.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
