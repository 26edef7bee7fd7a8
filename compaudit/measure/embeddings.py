"""Embeddings: do both models' vectors point the same way, and find the same neighbours?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Batch
from compaudit.measure.neighbours import NEIGHBOURS, NeighbourSample
from compaudit.measure.outputs import OutputPair
from compaudit.results import Embeddings, Estimate, Skipped
from compaudit.theory.statistics import Moments, Quantiles

__all__ = ["EmbeddingMeter"]

_COSINES = ("cosine", "cosine_min", "cosine_p1", "cosine_p10", "cosine_p50")


class EmbeddingMeter:
    """One vector a sample from each model.

    What is counted is 1 − cosine, which keeps its digits where the vectors hardly differ. A vector
    that is zero, NaN or infinite has no direction: with a single one there are no figures, for
    nearest neighbours and averages would hide it. Vectors of tokens, (samples, tokens, numbers),
    are refused: which tokens count is the model's to say, by an output that pools them.

    Args:
        output: the output that holds the vectors, by its names in both models.
        confidence: of all intervals.
    """

    def __init__(self, output: OutputPair, confidence: float = 0.95) -> None:
        self._output = output
        self._confidence = confidence
        self._samples = 0
        self._without_direction = [0, 0]
        self._shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self._vectors = True
        self._distances = Moments()
        self._quantiles = Quantiles()
        self._sample = NeighbourSample()

    def update(self, batch: Batch) -> None:
        """Take in one batch."""
        original = batch.original[self._output.original]
        compressed = batch.compressed[self._output.compressed]
        self._samples += len(original)
        self._shapes = original.shape[1:], compressed.shape[1:]
        if not (_are_vectors(original) and _are_vectors(compressed)):
            self._vectors = False
            return
        (a, some_a), (b, some_b) = directions(original), directions(compressed)
        for place, some in enumerate((some_a, some_b)):
            self._without_direction[place] += int(np.count_nonzero(~some))
        both = some_a & some_b
        a, b = a[both], b[both]
        self._sample.update(batch.indices[both], a, b)
        if self._same_length:
            distances = np.minimum(2.0, ((a - b) ** 2).sum(axis=1) / 2)
            self._distances = self._distances.merge(Moments.of(distances))
            self._quantiles = self._quantiles.merge(Quantiles.of(distances))

    def merge(self, other: EmbeddingMeter) -> None:
        """Take in what a meter of other samples has seen."""
        self._samples += other._samples
        self._shapes = self._shapes or other._shapes
        self._vectors = self._vectors and other._vectors
        for place, count in enumerate(other._without_direction):
            self._without_direction[place] += count
        self._distances = self._distances.merge(other._distances)
        self._quantiles = self._quantiles.merge(other._quantiles)
        self._sample.merge(other._sample)

    def result(self) -> tuple[Embeddings | None, list[Skipped]]:
        """The figures, and why those that are None are."""
        why = self._why_nothing()
        if why is not None:
            return None, [Skipped(metric="divergence.embeddings", reason=why)]
        skipped = []
        overlap = self._sample.overlap(self._confidence)
        if overlap is None:
            reason = f"{self._sample.count} samples are too few to have {NEIGHBOURS} neighbours"
            skipped.append(_skipped("neighbour_overlap", reason))
        if not self._same_length:
            assert self._shapes is not None, "there are samples"
            reason = "vectors of {} and of {} numbers have no angle".format(
                *(shape[0] for shape in self._shapes)
            )
            skipped += [_skipped(figure, reason) for figure in _COSINES]
        return (
            Embeddings(
                cosine=self._cosine() if self._same_length else None,
                cosine_min=self._cosine_above(1.0),
                cosine_p1=self._cosine_above(0.99),
                cosine_p10=self._cosine_above(0.9),
                cosine_p50=self._cosine_above(0.5),
                neighbour_overlap=overlap,
                k=NEIGHBOURS,
                compared=self._sample.count,
            ),
            skipped,
        )

    @property
    def _same_length(self) -> bool:
        return self._shapes is not None and self._shapes[0] == self._shapes[1]

    def _cosine(self) -> Estimate:
        """The mean with its t interval, cut to what a cosine can be."""
        distance = self._distances.interval(self._confidence)
        low = None if distance.high is None else max(-1.0, 1 - distance.high)
        high = None if distance.low is None else min(1.0, 1 - distance.low)
        return Estimate(value=1 - distance.value, low=low, high=high)

    def _cosine_above(self, share: float) -> float | None:
        """The cosine above which this share of the samples lies."""
        return 1 - self._quantiles.at(share) if self._same_length else None

    def _why_nothing(self) -> str | None:
        """Why there are no figures at all; None where there are some."""
        if not self._samples:
            return "there are no samples"
        if not self._vectors:
            assert self._shapes is not None, "there are samples"
            shape = "×".join(map(str, self._shapes[0])) or "one number"
            return (
                f"the output {self._output.original!r} holds {shape} a sample, and not one vector; "
                "name an output that pools the tokens with --model-output"
            )
        for which, count in zip(("original", "compressed"), self._without_direction, strict=True):
            if count:
                return (
                    f"the {which} model gives {count} of {self._samples} samples a vector that is "
                    "zero or not finite, which has no direction"
                )
        return None


def directions(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Vectors of length one, and which of them have a direction at all.

    Args:
        vectors: (samples, numbers), of any real type.

    Returns:
        float64, (samples, numbers), zeros where there is no direction; and (samples,).
    """
    rows = vectors.astype(np.float64)
    largest = np.abs(rows).max(axis=1)
    some = np.isfinite(largest) & (largest > 0)
    # Scaled first, so that no square overflows or vanishes.
    rows = np.where(some[:, None], rows, 0.0) / np.where(some, largest, 1.0)[:, None]
    lengths = np.sqrt((rows**2).sum(axis=1))
    return rows / np.where(some, lengths, 1.0)[:, None], np.asarray(some)


def _are_vectors(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "fiu" and values.ndim == 2 and values.shape[1] > 0


def _skipped(figure: str, reason: str) -> Skipped:
    return Skipped(metric=f"divergence.embeddings.{figure}", reason=reason)
