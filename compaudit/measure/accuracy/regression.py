"""Regression: mean squared and absolute error, and the coefficient of determination."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.accuracy.base import Subject
from compaudit.measure.accuracy.custom import bare_accuracy
from compaudit.measure.accuracy.determination import Determination
from compaudit.measure.accuracy.paired import PairedScores
from compaudit.measure.scored import Scored
from compaudit.results import Accuracy, PairedMetric, Skipped

__all__ = ["RegressionMeter", "errors_of"]


class RegressionMeter:
    """Both models' numbers against the true ones; a sample's error is the mean of its elements'."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._samples = 0
        self._squared = PairedScores("lower")
        self._absolute = PairedScores("lower")
        self._determination = Determination()

    def update(self, batch: Batch, scored: Scored | None) -> None:
        """Take in one batch. Raises RequestError where labels and outputs do not fit."""
        truth, original, compressed = errors_of(batch, self._subject)
        self._samples += len(truth)
        with np.errstate(over="ignore", invalid="ignore"):
            squares = original**2, compressed**2
            self._squared.update(*(square.mean(axis=1) for square in squares))
            self._absolute.update(*(np.abs(error).mean(axis=1) for error in (original, compressed)))
            self._determination.update(batch.indices, truth, *squares)

    def merge(self, other: RegressionMeter) -> None:
        """Take in what a meter of other samples has seen."""
        self._samples += other._samples
        self._squared.merge(other._squared)
        self._absolute.merge(other._absolute)
        self._determination.merge(other._determination)

    def result(self) -> tuple[Accuracy, list[Skipped]]:
        """The figures, and why those that are None are."""
        confidence, why = self._subject.confidence, {}
        squared, r2 = self._squared.result(confidence), None
        undefined = self._determination.why_undefined()
        if squared is None:
            reason = (
                "an output is NaN or infinite" if self._samples else "no sample could be measured"
            )
            why = dict.fromkeys(("mse", "mae", "r2"), reason)
        elif undefined is not None:
            why["r2"] = undefined
        else:
            r2 = self._determination.result(confidence)
        why |= self._why_no_intervals(squared, r2)
        accuracy = msgspec.structs.replace(
            bare_accuracy("regression", self._samples, {}),
            mse=squared,
            mae=self._absolute.result(confidence),
            r2=r2,
        )
        return accuracy, [
            Skipped(metric=f"accuracy.{figure}", reason=reason) for figure, reason in why.items()
        ]

    def _why_no_intervals(
        self, squared: PairedMetric | None, r2: PairedMetric | None
    ) -> dict[str, str]:
        why = {}
        if squared is not None and squared.delta.low is None:
            reason = "one sample does not show how much samples differ"
            why = dict.fromkeys(("mse.delta", "mae.delta"), reason)
        if r2 is not None and (reason_for_none := self._determination.why_no_interval()):
            why["r2.delta"] = reason_for_none
        return why


def errors_of(
    batch: Batch, subject: Subject
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The labels, and both models' distance from them, (samples, numbers of a sample) each.

    Raises:
        RequestError: labels and outputs do not have the same number of elements.
    """
    assert batch.labels is not None, "accuracy is measured with labels only"
    truth = _flat(batch.labels)

    def error(values: Any, name: str) -> NDArray[np.float64]:
        given = _flat(values)
        if given.shape != truth.shape:
            numbers = "1 number" if truth.shape[1] == 1 else f"{truth.shape[1]} numbers"
            # NaN is not whole, and warns of nothing.
            classes = truth.shape[1] == 1 and bool((truth == np.rint(truth)).all())
            raise RequestError(
                f"the labels have {numbers} a sample, and the output {name!r} has {given.shape[1]}",
                hint="all are whole numbers: if they are classes, say --task classification"
                if classes
                else "give one number for each element of the output, or another --task",
                code="labels-do-not-fit",
                stage="evaluate",
            )
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(given - truth)

    output = subject.output
    return (
        truth,
        error(batch.original[output.original], output.original),
        error(batch.compressed[output.compressed], output.compressed),
    )


def _flat(values: Any) -> NDArray[np.float64]:
    """One row a sample."""
    array = np.asarray(values).astype(np.float64)
    return array.reshape(len(array), math.prod(array.shape[1:]))
