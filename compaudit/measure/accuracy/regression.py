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

__all__ = ["RegressionMeter"]


class RegressionMeter:
    """Both models' numbers against the true ones; a sample's error is the mean of its elements'."""

    def __init__(self, outputs: DivergenceMeter) -> None:
        self._outputs = outputs
        self._samples = 0
        self._squared = PairedScores()
        self._absolute = PairedScores()
        self._determination = _Determination()

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
        self._determination.update(truth, errors[0], errors[1])

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
        elif (why := self._determination.why_undefined()) is not None:
            skipped.append(Skipped(metric="accuracy.r2", reason=why))
        else:
            r2 = point_only(*self._determination.result())
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


class _Determination:
    """Coefficient of determination, 1 − residual / total sum of squares, mean over the columns.

    As scikit-learn's ``r2_score`` has it (``multioutput="uniform_average"``), but undefined where
    all labels of a column are equal. Sums of squares merge as in Chan, Golub, LeVeque 1979.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: NDArray[np.float64] = np.zeros(1)
        self._total: NDArray[np.float64] = np.zeros(1)
        self._residuals = [np.zeros(1), np.zeros(1)]
        self._range: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def update(
        self,
        truth: NDArray[np.float64],
        original: NDArray[np.float64],
        compressed: NDArray[np.float64],
    ) -> None:
        """Take in one batch: labels and both models' errors, (samples, columns) each."""
        count = self._count + len(truth)
        mean = truth.mean(axis=0)
        apart = mean - self._mean
        self._total = (
            self._total
            + ((truth - mean) ** 2).sum(axis=0)
            + apart**2 * (self._count * len(truth) / count)
        )
        self._mean = self._mean + apart * (len(truth) / count)
        self._count = count
        for place, error in enumerate((original, compressed)):
            self._residuals[place] = self._residuals[place] + (error**2).sum(axis=0)
        low, high = self._range or (truth[0], truth[0])
        self._range = np.minimum(low, truth.min(axis=0)), np.maximum(high, truth.max(axis=0))

    def why_undefined(self) -> str | None:
        """What is wrong with the labels; None when nothing is."""
        assert self._range is not None
        constant = np.flatnonzero(self._range[0] == self._range[1])
        if not len(constant):
            return None
        if len(self._mean) == 1:
            return "all labels are equal"
        return f"all labels are equal in {len(constant)} of {len(self._mean)} columns"

    def result(self) -> tuple[float, float]:
        """r² of the original and of the compressed model."""
        original, compressed = (
            float(np.mean(1 - residual / self._total)) for residual in self._residuals
        )
        return original, compressed
