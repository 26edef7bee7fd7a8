"""Classification: top-1, top-5, cross-entropy, calibration, flips, and accuracy by class."""

from __future__ import annotations

import msgspec
import numpy as np

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.accuracy.base import Subject
from compaudit.measure.accuracy.by_class import HitsByClass
from compaudit.measure.accuracy.calibration import CalibrationErrors
from compaudit.measure.accuracy.custom import bare_accuracy
from compaudit.measure.accuracy.labels import as_classes
from compaudit.measure.accuracy.output import which_output
from compaudit.measure.accuracy.paired import PairedHits, PairedScores
from compaudit.measure.scored import Scored
from compaudit.results import Accuracy, Flips, Skipped

__all__ = ["ClassificationMeter"]

_MARGIN = 0.005
"""Half a percentage point of top-1 is what most would call no loss."""


class ClassificationMeter:
    """Both models' class scores against the right classes."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._unusable = 0
        self._classes = 0
        self._top1 = PairedHits()
        self._top5 = PairedHits()
        self._cross_entropy = PairedScores("lower")
        self._calibration = CalibrationErrors()
        self._by_class = HitsByClass()

    def update(self, batch: Batch, scored: Scored | None) -> None:
        """Take in one batch.

        Raises:
            RequestError: no single output holds class scores, or a label is none of the classes.
        """
        if scored is None:
            raise RequestError(
                "the labels are classes, and no single output holds class scores for each sample",
                hint=which_output(batch, "class scores", dimensions=2) + ", or give another --task",
                code="no-class-output",
                stage="evaluate",
            )
        assert scored.labels is not None, "accuracy is measured with labels only"
        labels = as_classes(scored.labels, scored.classes, scored.samples)
        self._classes = scored.classes
        original, compressed = (
            model.predicted == labels for model in (scored.original, scored.compressed)
        )
        self._top1.update(original, compressed)
        self._by_class.update(labels, original, compressed, scored.classes)
        first, second = scored.original, scored.compressed
        assert first.in_top5 is not None, "labels give ranks"
        assert second.in_top5 is not None, "labels give ranks"
        self._top5.update(first.in_top5, second.in_top5)
        assert first.loss is not None, "labels give losses"
        assert second.loss is not None, "labels give losses"
        usable = scored.usable & np.isfinite(first.loss) & np.isfinite(second.loss)
        self._unusable += int(np.count_nonzero(~usable))
        self._cross_entropy.update(first.loss[usable], second.loss[usable])
        self._calibration.update(
            scored.samples[usable],
            (first.confidence[usable], second.confidence[usable]),
            (original[usable], compressed[usable]),
        )

    def merge(self, other: ClassificationMeter) -> None:
        """Take in what a meter of other samples has seen."""
        self._unusable += other._unusable
        self._classes = max(self._classes, other._classes)
        self._top1.merge(other._top1)
        self._top5.merge(other._top5)
        self._cross_entropy.merge(other._cross_entropy)
        self._calibration.merge(other._calibration)
        self._by_class.merge(other._by_class)

    def result(self) -> tuple[Accuracy, list[Skipped]]:
        """The figures, and why those that are None are."""
        why = self._why_missing()
        confidence, samples = self._subject.confidence, self._top1.samples
        averaged = samples > 0 and not self._unusable
        accuracy = msgspec.structs.replace(
            bare_accuracy("classification", samples, {}),
            top1=self._top1.result(confidence),
            top5=None if "top5" in why else self._top5.result(confidence),
            cross_entropy=self._cross_entropy.result(confidence) if averaged else None,
            calibration_error=self._calibration.result(confidence) if averaged else None,
            equivalence=self._top1.equivalence("top1", _MARGIN, confidence),
            flips=Flips(broken=self._top1.broken, fixed=self._top1.fixed) if samples else None,
            per_class=self._by_class.result(self._subject.class_names),
        )
        return accuracy, [
            Skipped(metric=f"accuracy.{figure}", reason=reason) for figure, reason in why.items()
        ]

    def _why_missing(self) -> dict[str, str]:
        """A reason for every figure or interval that cannot be given, by its name."""
        averages = ("cross_entropy", "calibration_error")
        samples = self._top1.samples
        if not samples:
            return dict.fromkeys(
                ("top1", "top5", *averages, "flips", "equivalence"), "no sample could be measured"
            )
        why = {}
        if self._classes <= 5:
            why["top5"] = f"there are only {self._classes} classes"
        if self._unusable:
            reason = (
                f"{self._unusable} of {samples} samples have outputs that are NaN, infinite or no "
                "distribution, which no average may hide"
            )
            return why | dict.fromkeys(averages, reason)
        if samples == 1:
            why["cross_entropy.delta"] = "one sample does not show how much samples differ"
        if (reason_for_none := self._calibration.why_no_interval()) is not None:
            why["calibration_error.delta"] = reason_for_none
        return why
