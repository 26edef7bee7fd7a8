"""What the figures of accuracy are called, how each is written, and which one comes first."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from compaudit.report.rows.base import Form, plain, signed
from compaudit.results import Accuracy, PairedMetric
from compaudit.units import format_number, format_points, format_share

__all__ = ["Metric", "headline", "metric_named", "metrics_of"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of accuracy.

    Attributes:
        key: in the JSON report.
        label: in a table.
        form: how its value is written.
        change: how a change of it is written, with its sign.
        higher_is_better: None where only its author knows.
    """

    key: str
    label: str
    form: Form
    change: Form
    higher_is_better: bool | None


def _four_digits(value: float | None) -> str:
    """A perplexity: its fourth digit is what most compressions change."""
    return format_number(value, 4)


_METRICS = (
    Metric("top1", "top-1", format_share, format_points, True),
    Metric("top5", "top-5", format_share, format_points, True),
    Metric("perplexity", "perplexity", _four_digits, signed, False),
    Metric("cross_entropy", "cross-entropy", plain, signed, False),
    Metric("calibration_error", "calibration error", format_share, format_points, False),
    Metric("mse", "mean squared error", plain, signed, False),
    Metric("mae", "mean absolute error", plain, signed, False),
    Metric("r2", "r²", plain, signed, True),
)
_OF_TOKENS = {
    "top1": "next-token accuracy",
    "top5": "among the first 5",
}
_FIRST = {"causal-lm": "perplexity", "regression": "mse"}


def metrics_of(accuracy: Accuracy) -> Iterator[tuple[Metric, PairedMetric]]:
    """Everything that was measured: first what says most of the task, last what is the user's."""
    first = _FIRST.get(accuracy.task)
    for metric in sorted(_METRICS, key=lambda metric: metric.key != first):
        found: PairedMetric | None = getattr(accuracy, metric.key)
        if found is not None:
            yield _named_for(metric, accuracy), found
    for name, custom in accuracy.custom.items():
        yield Metric(name, name, plain, signed, None), custom


def metric_named(accuracy: Accuracy, key: str) -> Metric:
    """The metric that a key of the JSON report means; a plain number where it is none of ours."""
    for metric in _METRICS:
        if metric.key == key:
            return _named_for(metric, accuracy)
    return Metric(key, key.replace("_", " "), plain, signed, None)


def headline(accuracy: Accuracy) -> tuple[Metric, PairedMetric] | None:
    """The metric that says most of a task, if it was measured, or the first one that was."""
    return next(metrics_of(accuracy), None)


def _named_for(metric: Metric, accuracy: Accuracy) -> Metric:
    if accuracy.language is None:
        return metric
    return dataclasses.replace(metric, label=_OF_TOKENS.get(metric.key, metric.label))
