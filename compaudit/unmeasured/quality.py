"""Reasons of divergence, accuracy, and what else the outputs say; measurements may know better."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from compaudit.results import (
    Accuracy,
    Comparison,
    Distribution,
    Divergence,
    Estimate,
    PairedMetric,
    Skipped,
)

if TYPE_CHECKING:
    from compaudit.config import Config
    from compaudit.measure.signature import Samples

__all__ = [
    "missing_from_accuracy",
    "missing_from_divergence",
    "why_no_accuracy",
    "why_no_worst",
]

_TOO_FEW = "there are too few samples for an interval"
_NO_DIRECTION = "whether a higher score is better is not known"
_NO_FLOOR = "the original could not be compared with itself at another optimisation level"
_TASKS_OF: dict[str, str] = {
    "top1": "--task classification or causal-lm",
    "top5": "--task classification or causal-lm",
    "cross_entropy": "--task classification or causal-lm",
    "calibration_error": "--task classification",
    "flips": "--task classification or causal-lm",
    "mse": "--task regression",
    "mae": "--task regression",
    "r2": "--task regression",
    "perplexity": "--task causal-lm",
    "language": "--task causal-lm",
}
"""With what the figures are measured that not every task has."""


def missing_from_accuracy(accuracy: Accuracy, config: Config) -> list[Skipped]:
    """A reason for every figure that is null; the measurement may know a better one."""
    reasons = {name: f"measured with {task} only" for name, task in _TASKS_OF.items()}
    reasons["equivalence"] = "measured with --task classification only"
    skipped = [
        Skipped(metric=f"accuracy.{name}", reason=reason)
        for name, reason in reasons.items()
        if getattr(accuracy, name) is None
    ]
    for name in _TASKS_OF:
        metric = getattr(accuracy, name)
        if isinstance(metric, PairedMetric) and metric.delta.low is None:
            skipped.append(Skipped(metric=f"accuracy.{name}.delta.low", reason=_TOO_FEW))
    for name, metric in accuracy.custom.items():
        path = f"accuracy.custom[{_quoted(name)}].delta"
        if metric.delta.low is None:
            skipped.append(Skipped(metric=f"{path}.low", reason=_TOO_FEW))
        if metric.delta.worst_case is None:
            skipped.append(Skipped(metric=f"{path}.worst_case", reason=_NO_DIRECTION))
    if not accuracy.custom and not config.metrics:
        skipped.append(Skipped(metric="accuracy.custom", reason="measured with --metric only"))
    if not accuracy.per_class:
        why = "measured with --task classification only"
        skipped.append(Skipped(metric="accuracy.per_class", reason=why))
    return skipped


def missing_from_divergence(divergence: Divergence) -> list[Skipped]:
    """A reason for what no measurement speaks of."""
    reasons = {
        "output": "none is known to matter more than others; --model-output names one",
        "scores": "no output is known to hold class scores",
        "embeddings": "measured with --task embedding only",
    }
    skipped = [
        Skipped(metric=f"divergence.{name}", reason=reason)
        for name, reason in reasons.items()
        if getattr(divergence, name) is None
    ]
    skipped += [
        Skipped(metric=f"divergence.{name}.low", reason=_TOO_FEW)
        for name, estimate in _estimates(divergence)
        if estimate.low is None
    ]
    return skipped + [
        Skipped(metric=f"divergence.{name}.noise_floor", reason=_NO_FLOOR)
        for name in ("kl", "kl_reverse", "js")
        if (found := getattr(divergence, name)) and found.noise_floor is None
    ]


def _estimates(divergence: Divergence) -> Iterator[tuple[str, Estimate]]:
    """Every figure that may have an interval, by its path."""
    for name in ("kl", "kl_reverse", "js"):
        found: Distribution | None = getattr(divergence, name)
        if found is not None:
            yield f"{name}.mean", found.mean
    for name in ("cross_entropy", "top1_agreement", "top5_agreement"):
        estimate: Estimate | None = getattr(divergence, name)
        if estimate is not None:
            yield name, estimate


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def why_no_worst(report: Comparison, config: Config) -> str:
    """Why no samples are listed."""
    if config.worst == 0:
        return "left out by --worst 0"
    if report.divergence is None and report.accuracy is None:
        return "the outputs of the models were not compared"
    return "no sample differs in anything that samples are ranked by"


def why_no_accuracy(samples: Samples | None, config: Config) -> str:
    """Why nothing is known of the right answers."""
    if config.data is None:
        return "no data was given; synthetic inputs have no right answers"
    if config.task == "embedding":
        return "embeddings have no right answers: see divergence.embeddings"
    if samples is not None and samples.labels is None:
        return f"{config.data} holds no array named 'labels'"
    return f"the task {config.task!r} is not measured by this version of compaudit"
