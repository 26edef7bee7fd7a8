"""Regression: mean squared and absolute error, and the coefficient of determination."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.errors import RequestError
from compaudit.measure.accuracy.paired import PairedScores, point_only
from compaudit.measure.divergence import DivergenceMeter
from compaudit.results import Accuracy, PairedMetric, Skipped
from compaudit.theory.statistics import Moments

__all__ = ["RegressionMeter"]


class RegressionMeter:
    """Both models' numbers against the true ones; a sample's error is the mean over its elements."""

    def __init__(self, outputs: DivergenceMeter) -> None:
        self._outputs = outputs
        self._samples = 0
        self._squared = PairedScores()
        self._absolute = PairedScores()
        self._truth = Moments()
        self._residual = [0.0, 0.0]

    def update(self, labels: NDArray[Any] | None, original: Outputs, compressed: Outputs) -> None:
        """Take in one batch. Raises RequestError where labels and outputs do not fit."""
        assert labels is not None, "accuracy is measured with labels only"
        name = self._output(original)
        truth = labels.astype(np.float64).reshape(len(labels), -1)
        errors = []
        for outputs, key in (
            (original, name),
            (compressed, self._outputs.counterpart(name)),
        ):
            given = outputs[key].astype(np.float64).reshape(len(labels), -1)
            if given.shape != truth.shape:
                raise RequestError(
                    f"the labels have {truth.shape[1]} numbers a sample and the output {name!r} "
                    f"has {given.shape[1]}",
                    hint="give one number for each element of the output, or another --task",
                    code="labels-do-not-fit",
                    stage="evaluate",
                )
            errors.append(given - truth)
        self._samples += len(labels)
        self._squared.update(*((error**2).mean(axis=1) for error in errors))
        self._absolute.update(*(np.abs(error).mean(axis=1) for error in errors))
        self._truth = self._truth.merge(Moments.of(truth))
        for place, error in enumerate(errors):
            self._residual[place] += float((error**2).sum())

    def result(self, confidence: float) -> tuple[Accuracy, list[Skipped]]:
        """The figures, and why those that are None are."""
        squared = self._squared.result(confidence)
        r2: PairedMetric | None = None
        skipped = []
        if squared is None:
            reason = "an output is NaN or infinite"
            skipped = [
                Skipped(metric=f"accuracy.{name}", reason=reason) for name in ("mse", "mae", "r2")
            ]
        elif self._truth.m2 > 0:
            r2 = point_only(*(1 - residual / self._truth.m2 for residual in self._residual))
        else:
            skipped.append(Skipped(metric="accuracy.r2", reason="all labels are equal"))
        return (
            Accuracy(
                task="regression",
                samples=self._samples,
                skipped_samples=0,
                top1=None,
                top5=None,
                cross_entropy=None,
                calibration_error=None,
                mse=squared,
                mae=self._absolute.result(confidence),
                r2=r2,
                perplexity=None,
                custom={},
                flips=None,
                per_class=[],
            ),
            skipped,
        )

    def _output(self, original: Outputs) -> str:
        if self._outputs.output is not None:
            return self._outputs.output
        if len(original) == 1:
            return next(iter(original))
        raise RequestError(
            f"the models have {len(original)} outputs, and the labels belong to one of them",
            hint=f"say which with --model-output: {', '.join(map(repr, original))}",
            code="no-regression-output",
            stage="evaluate",
        )
