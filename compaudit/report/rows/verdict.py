"""The wording of what an audit concludes, in one sentence for each question."""

from __future__ import annotations

from compaudit.report.rows.accuracy import margin
from compaudit.report.rows.base import Note, interval
from compaudit.report.rows.metrics import headline, metric_named
from compaudit.report.rows.speed import epochs
from compaudit.results import Accuracy, Comparison, Delta, Divergence, LanguageModel
from compaudit.units import (
    format_bytes,
    format_cosine,
    format_count,
    format_decibels,
    format_rate,
    format_ratio,
    format_share,
)

__all__ = ["verdict_notes"]

_DIED = 4
_LARGE = 0.1
"""A share from which on its decimals say nothing."""


def verdict_notes(report: Comparison) -> tuple[Note, ...]:
    """What died, and what is to be said of size, speed, and accuracy or outputs."""
    notes = []
    if report.error is not None:
        label = "died" if report.error.exit == _DIED else "refused"
        if report.error.code == "outputs-not-numbers":
            label = "failed"
        notes.append(Note(label, report.error.message, report.error.hint, "bad"))
    notes.append(_size_verdict(report))
    if report.delta is not None:
        notes.append(_speed_verdict(report, report.delta))
    if report.accuracy is not None:
        notes.append(_accuracy_verdict(report.accuracy))
    if report.divergence is not None and (note := _embeddings_verdict(report.divergence)):
        notes.append(note)
    elif report.divergence is not None and report.accuracy is None:
        notes.append(_outputs_verdict(report.divergence))
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


def _speed_verdict(report: Comparison, delta: Delta) -> Note:
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
            return Note(
                "speed", f"{figure}: undecided", _what_would_decide(report, delta), "warning"
            )


def _what_would_decide(report: Comparison, delta: Delta) -> str:
    if delta.minimal_detectable_effect is None:
        return f"{epochs(delta)}, and an interval takes 3; give more --time-budget"
    effect = delta.minimal_detectable_effect
    shown = format_share(effect, 1 if effect < _LARGE else 0)
    timed = report.original.latency or report.compressed.latency
    fewer = ", fewer --threads" if timed is not None and timed.threads > 1 else ""
    return (
        f"this run could have shown a change of {shown}; give more --time-budget{fewer} or a "
        "quieter machine"
    )


def _accuracy_verdict(accuracy: Accuracy) -> Note:
    found = headline(accuracy)
    if found is None:
        return Note("accuracy", "not measured")
    metric, pair = found
    if accuracy.language is not None and metric.key == "perplexity":
        return _perplexity_verdict(accuracy, accuracy.language)
    delta = pair.delta
    text = f"{metric.label} {metric.change(delta.value)} {interval(delta, metric.change)}".rstrip()
    if delta.low is None or delta.high is None:
        return Note("accuracy", text)
    counted = f"{format_count(accuracy.samples)} samples"
    if metric.higher_is_better is None:
        return _unjudged(text, delta.low, delta.high, counted)
    falls, rises = delta.high < 0, delta.low > 0
    worse, better = (falls, rises) if metric.higher_is_better else (rises, falls)
    return _judged(accuracy, text, worse=worse, better=better, counted=counted)


def _perplexity_verdict(accuracy: Accuracy, language: LanguageModel) -> Note:
    ratio = language.perplexity_ratio
    text = f"perplexity {format_ratio(ratio.value)} {interval(ratio, format_ratio)}".rstrip()
    if accuracy.perplexity is not None:
        form = metric_named(accuracy, "perplexity").form
        before, after = (
            form(side.value)
            for side in (accuracy.perplexity.original, accuracy.perplexity.compressed)
        )
        text += f", {before} → {after}"
    if ratio.low is None or ratio.high is None:
        return Note("accuracy", text)
    return _judged(
        accuracy,
        text,
        worse=ratio.low > 1,
        better=ratio.high < 1,
        counted=f"{format_count(language.tokens)} tokens",
    )


def _judged(accuracy: Accuracy, text: str, *, worse: bool, better: bool, counted: str) -> Note:
    """What the interval says, and the margin where it says more."""
    equivalence = accuracy.equivalence
    bounded = equivalence is not None and equivalence.status == "no_worse"
    within = f"no more than {margin(accuracy, equivalence)} worse, one-sided" if equivalence else ""
    if worse:
        if bounded:
            return Note("less accurate", f"{text}, {within}", mood="warning")
        return Note("less accurate", text, mood="bad")
    if better:
        return Note("more accurate", text, mood="good")
    if bounded:
        return Note("as accurate", f"{text}: {within}", mood="good")
    return Note("accuracy", f"{text}: no difference shown on {counted}")


def _unjudged(text: str, low: float, high: float, counted: str) -> Note:
    """Of a figure of one's own, nobody here knows which way is up."""
    if low <= 0 <= high:
        return Note("accuracy", f"{text}: no difference shown on {counted}")
    return Note("accuracy", f"{text}: it changed")


def _embeddings_verdict(divergence: Divergence) -> Note | None:
    found = divergence.embeddings
    if found is None:
        return None
    parts = []
    if (cosine := found.cosine) is not None:
        bounds = interval(cosine, format_cosine)
        parts.append(f"cosine {format_cosine(cosine.value)} {bounds}".rstrip())
    if found.neighbour_overlap is not None:
        share = format_share(found.neighbour_overlap.value, 1)
        parts.append(f"{share} of {found.k} nearest neighbours kept")
    made_up = " on SYNTHETIC inputs" if divergence.source == "synthetic" else ""
    return Note("embeddings", f"{', '.join(parts) or 'not compared'}{made_up}")


def _outputs_verdict(divergence: Divergence) -> Note:
    """How alike the outputs are, where nothing says whether they are right."""
    where = "SYNTHETIC inputs" if divergence.source == "synthetic" else "unlabelled samples"
    parts = []
    if (agreed := divergence.top1_agreement) is not None:
        bounds = interval(agreed, format_share)
        parts.append(f"top-1 agreement {format_share(agreed.value)} {bounds}".rstrip())
    elif known := [
        error.sqnr_db for error in divergence.outputs.values() if error.sqnr_db is not None
    ]:
        of = " at worst" if len(divergence.outputs) > 1 else ""
        parts.append(f"SQNR {format_decibels(min(known))}{of}")
    elif divergence.outputs and all(e.max_abs_error == 0 for e in divergence.outputs.values()):
        parts.append("identical")
    alike = ", ".join(parts) or "not comparable"
    return Note("outputs", f"{alike} on {where}; accuracy was not measured")
