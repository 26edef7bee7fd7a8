"""The user's own metrics: a score a sample from each model, made where the models run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from compaudit.engines.base import Batch
from compaudit.measure.accuracy.paired import PairedScores
from compaudit.results import Accuracy, PairedMetric, Skipped

__all__ = ["CustomMeter", "bare_accuracy"]


class CustomMeter:
    """Means of the user's scores by metric, and of their paired difference.

    Whether a higher score is better is not known, so no change counts as one to the worse.
    """

    def __init__(self, confidence: float = 0.95) -> None:
        self._confidence = confidence
        self._metrics: dict[str, _Scores] = {}

    def update(self, batch: Batch) -> None:
        """Take in the scores of one batch."""
        for name, original in batch.original_scores.items():
            scores = self._metrics.setdefault(name, _Scores())
            scores.update(batch.indices, original, batch.compressed_scores[name])

    def merge(self, other: CustomMeter) -> None:
        """Take in what a meter of other samples has seen."""
        for name, scores in other._metrics.items():
            self._metrics.setdefault(name, _Scores()).merge(scores)

    def result(self) -> tuple[dict[str, PairedMetric], list[Skipped]]:
        """The figures by metric, and why those that are missing are."""
        figures, skipped = {}, []
        for name, scores in self._metrics.items():
            result = scores.result(self._confidence)
            if isinstance(result, PairedMetric):
                figures[name] = result
            else:
                skipped.append(Skipped(metric=f"accuracy.custom[{_quoted(name)}]", reason=result))
        return figures, skipped


class _Scores:
    """One metric's scores of both models."""

    def __init__(self) -> None:
        self._samples = 0
        self._paired = PairedScores()
        self._not_finite = {"original": 0, "compressed": 0}
        self._first: dict[str, int] = {}

    def update(
        self, indices: NDArray[Any], original: NDArray[Any], compressed: NDArray[Any]
    ) -> None:
        """Take in one score a sample from each model."""
        self._samples += len(indices)
        self._paired.update(original, compressed)
        for which, scores in (("original", original), ("compressed", compressed)):
            places = indices[~np.isfinite(scores)]
            self._locate(which, len(places), int(places.min()) if len(places) else None)

    def merge(self, other: _Scores) -> None:
        """Take in what was seen of other samples."""
        self._samples += other._samples
        self._paired.merge(other._paired)
        for which, count in other._not_finite.items():
            self._locate(which, count, other._first.get(which))

    def result(self, confidence: float) -> PairedMetric | str:
        """Both means and their paired difference, or why there are none."""
        if not self._samples:
            return "there are no samples"
        for which, count in self._not_finite.items():
            if count:
                return (
                    f"its score of the {which} model is NaN or infinite for {count} of "
                    f"{self._samples} samples, the first of which is sample {self._first[which]}"
                )
        metric = self._paired.result(confidence)
        if (
            metric is None
            or not np.isfinite([metric.original.value, metric.compressed.value]).all()
        ):
            return "its scores are too large to be added up"
        # No limit counts as the worse one.
        return replace(metric, delta=replace(metric.delta, worst_case=None))

    def _locate(self, which: str, count: int, first: int | None) -> None:
        self._not_finite[which] += count
        if first is not None:
            self._first[which] = min(first, self._first.get(which, first))


def bare_accuracy(task: str, samples: int, custom: Mapping[str, PairedMetric]) -> Accuracy:
    """An accuracy of nothing but the user's own figures, where no labels say anything else.

    Args:
        task: as declared.
        samples: how many the metrics were computed on.
        custom: the figures by metric.
    """
    return Accuracy(
        task=task,
        samples=samples,
        skipped_samples=0,
        top1=None,
        top5=None,
        cross_entropy=None,
        calibration_error=None,
        mse=None,
        mae=None,
        r2=None,
        perplexity=None,
        custom=dict(custom),
        language=None,
        equivalence=None,
        flips=None,
        per_class=[],
    )


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
