"""The wording of what an audit concludes, in one sentence for each question."""

from __future__ import annotations

from compaudit.report.rows.base import Form, Note, interval, signed
from compaudit.report.rows.speed import epochs
from compaudit.results import Accuracy, Comparison, Delta, PairedMetric
from compaudit.units import (
    format_bytes,
    format_points,
    format_rate,
    format_share,
)

__all__ = ["verdict_notes"]

_DIED = 4


def verdict_notes(report: Comparison) -> tuple[Note, ...]:
    """What died, and what is to be said of size, speed and accuracy."""
    notes = []
    if report.error is not None:
        label = "died" if report.error.exit == _DIED else "refused"
        notes.append(Note(label, report.error.message, report.error.hint, "bad"))
    notes.append(_size_verdict(report))
    if report.delta is not None:
        notes.append(_speed_verdict(report.delta))
    if report.accuracy is not None:
        notes.append(_accuracy_verdict(report.accuracy))
    return tuple(notes)


def _size_verdict(report: Comparison) -> Note:
    alpha = report.alpha.file_bytes or report.alpha.weight_bytes
    basis = "file" if report.alpha.file_bytes is not None else "weights"
    if alpha is None:
        return Note("size", "not compared")
    key = "file_bytes" if basis == "file" else "weight_bytes"
    before, after = (
        format_bytes(getattr(model, key)) for model in (report.original, report.compressed)
    )
    if alpha >= 1.005:
        return Note("smaller", f"{basis} α {format_rate(alpha)}: {before} → {after}", mood="good")
    if alpha <= 0.995:
        return Note("larger", f"{basis} α {format_rate(alpha)}: {before} → {after}", mood="bad")
    return Note("same size", f"{basis} {before} → {after}")


def _speed_verdict(delta: Delta) -> Note:
    figure = f"δ {format_rate(delta.value)} {interval(delta, format_rate)}".rstrip()
    match delta.verdict:
        case "faster":
            return Note("faster", figure, mood="good")
        case "slower":
            return Note("slower", figure, mood="bad")
        case "no_measurable_change":
            return Note("same speed", f"{figure}: no measurable change")
        case "invalid":
            text = f"{figure}: the original differs from itself here, so nothing can be concluded"
            return Note("speed", text, "use a quieter machine", "warning")
        case "inconclusive":
            return Note("speed", f"{figure}: undecided", _what_would_decide(delta), "warning")


def _what_would_decide(delta: Delta) -> str:
    if delta.minimal_detectable_effect is None:
        return f"{epochs(delta)}, and an interval takes 3; give more --time-budget"
    effect = format_share(delta.minimal_detectable_effect, 1)
    return (
        f"this run could have shown a change of {effect}; give more --time-budget, fewer --threads "
        "or a quieter machine"
    )


def _accuracy_verdict(accuracy: Accuracy) -> Note:
    name, metric, form = _headline_metric(accuracy)
    if metric is None:
        return Note("accuracy", "not measured")
    delta = metric.delta
    text = f"{name} {form(delta.value)} {interval(delta, form)}".rstrip()
    larger_is_better = accuracy.task == "classification"
    if delta.low is None or delta.high is None:
        return Note("accuracy", text)
    worse = delta.high < 0 if larger_is_better else delta.low > 0
    better = delta.low > 0 if larger_is_better else delta.high < 0
    if worse:
        return Note("less accurate", text, mood="bad")
    if better:
        return Note("more accurate", text, mood="good")
    return Note("accuracy", f"{text}: no difference shown on {accuracy.samples} samples")


def _headline_metric(accuracy: Accuracy) -> tuple[str, PairedMetric | None, Form]:
    if accuracy.task == "classification":
        return "top-1", accuracy.top1, format_points
    return "mean squared error", accuracy.mse, signed
