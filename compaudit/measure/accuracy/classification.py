"""Classification: top-1, top-5, cross-entropy, calibration, flips, and accuracy by class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.errors import RequestError
from compaudit.measure.accuracy.paired import PairedHits, PairedScores, point_only
from compaudit.measure.divergence import DivergenceMeter
from compaudit.measure.scores import ScoredBatch, Scores
from compaudit.results import Accuracy, ClassAccuracy, Flips, PairedMetric, Skipped
from compaudit.theory.information import negative_log_likelihood

__all__ = ["ClassificationMeter"]

_CALIBRATION_BINS = 15


class ClassificationMeter:
    """Both models' class scores against integer labels.

    Args:
        outputs: the divergence meter of the same pass, which matches the outputs and knows which
            one holds the class scores; it is updated before this one.
    """

    def __init__(self, outputs: DivergenceMeter) -> None:
        self._outputs = outputs
        self._samples = 0
        self._unusable = 0
        self._classes = 0
        self._top1 = PairedHits()
        self._top5 = PairedHits()
        self._cross_entropy = PairedScores()
        self._calibration = (_Calibration(), _Calibration())
        self._by_class: dict[int, NDArray[np.int64]] = {}
        outputs.listen(self._take)

    def update(self, labels: NDArray[Any] | None, original: Outputs, compressed: Outputs) -> None:
        """Refuse models without class scores; scores come from the divergence meter.

        Raises:
            RequestError: no output, or no single one, holds class scores.
        """
        if not self._outputs.holds_classes:
            raise RequestError(
                "the labels are classes, and no single output holds class scores for each sample",
                hint="say which output does with --model-output, or give the --task",
                code="no-class-output",
                stage="evaluate",
            )

    def _take(self, batch: ScoredBatch) -> None:
        labels, scores = batch.labels, (batch.original, batch.compressed)
        assert labels is not None, "accuracy is measured with labels only"
        self._classes = scores[0].top5.shape[1]
        _check(labels, self._classes)
        self._samples += len(labels)
        right = tuple(score.predicted == labels for score in scores)
        self._top1.update(right[0], right[1])
        self._count_classes(labels, right[0], right[1])
        samples = np.arange(len(labels))
        self._top5.update(*(score.top5[samples, labels] for score in scores))
        both = scores[0].usable & scores[1].usable
        self._unusable += int(np.count_nonzero(~both))
        self._cross_entropy.update(
            *(negative_log_likelihood(s.log[both[s.usable]], labels[both]) for s in scores)
        )
        for calibration, score, hits in zip(self._calibration, scores, right, strict=True):
            calibration.update(score, hits)

    def result(self, confidence: float) -> tuple[Accuracy, list[Skipped]]:
        """The figures, and why those that are None are."""
        self._outputs.finish()
        skipped = []
        top5: PairedMetric | None = None
        if self._classes > 5:
            top5 = self._top5.result(confidence)
        else:
            reason = f"there are only {self._classes} classes"
            skipped.append(Skipped(metric="accuracy.top5", reason=reason))
        cross_entropy = calibration_error = None
        if self._unusable:
            reason = (
                f"{self._unusable} of {self._samples} samples have outputs that are NaN, infinite "
                "or no distribution, which no average may hide"
            )
            skipped += [
                Skipped(metric=f"accuracy.{name}", reason=reason)
                for name in ("cross_entropy", "calibration_error")
            ]
        else:
            cross_entropy = self._cross_entropy.result(confidence)
            calibration_error = point_only(*(part.error() for part in self._calibration))
        return (
            Accuracy(
                task="classification",
                samples=self._samples,
                skipped_samples=0,
                top1=self._top1.result(confidence),
                top5=top5,
                cross_entropy=cross_entropy,
                calibration_error=calibration_error,
                mse=None,
                mae=None,
                r2=None,
                perplexity=None,
                custom={},
                flips=Flips(broken=self._top1.broken, fixed=self._top1.fixed),
                per_class=self._per_class(),
            ),
            skipped,
        )

    def _count_classes(
        self, labels: NDArray[Any], original: NDArray[np.bool_], compressed: NDArray[np.bool_]
    ) -> None:
        for label in np.unique(labels):
            mine = labels == label
            counts = np.array(
                [mine.sum(), (original & mine).sum(), (compressed & mine).sum()], dtype=np.int64
            )
            self._by_class[int(label)] = self._by_class.get(int(label), 0) + counts

    def _per_class(self) -> list[ClassAccuracy]:
        return [
            ClassAccuracy(
                label=label,
                samples=int(samples),
                original=original / samples,
                compressed=compressed / samples,
                delta=(compressed - original) / samples,
            )
            for label, (samples, original, compressed) in sorted(
                (label, counts.tolist()) for label, counts in self._by_class.items()
            )
        ]


class _Calibration:
    """Expected calibration error: 15 equal bins of confidence (Guo et al. 2017, equation 3)."""

    def __init__(self) -> None:
        self._count = np.zeros(_CALIBRATION_BINS)
        self._confidence = np.zeros(_CALIBRATION_BINS)
        self._hits = np.zeros(_CALIBRATION_BINS)

    def update(self, scores: Scores, hits: NDArray[np.bool_]) -> None:
        """Take in one batch; samples without usable scores are left out."""
        confidence = np.exp(scores.log.max(axis=-1))
        # Bins are open below and closed above, as Guo et al. write them.
        place = np.clip(np.ceil(confidence * _CALIBRATION_BINS).astype(int) - 1, 0, None)
        place = np.minimum(place, _CALIBRATION_BINS - 1)
        for total, weight in (
            (self._count, np.ones(len(place))),
            (self._confidence, confidence),
            (self._hits, hits[scores.usable].astype(float)),
        ):
            total += np.bincount(place, weight, _CALIBRATION_BINS)

    def error(self) -> float:
        """Mean distance of confidence and accuracy over the bins, weighted by their samples."""
        samples = self._count.sum()
        return float(np.abs(self._hits - self._confidence).sum() / samples) if samples else 0.0


def _check(labels: NDArray[Any], classes: int) -> None:
    """Raise RequestError for a label that is no class of the models."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise RequestError(
            f"the label {wrong[0]} is none of the models' {classes} classes, 0 to {classes - 1}",
            hint="labels are class indices that start at 0; check how they were made",
            code="labels-out-of-range",
            stage="evaluate",
        )
