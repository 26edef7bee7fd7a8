"""The wording of an audit."""

from __future__ import annotations

from pathlib import PurePath

from compaudit.report.rows.base import (
    Form,
    Mood,
    Note,
    Page,
    Section,
    columns,
    format_beta,
    interval,
    macs_sure,
    model_name,
    p_value,
    quotient,
    signed,
)
from compaudit.report.rows.changes import changes_section
from compaudit.report.rows.profile import profile_sections
from compaudit.report.view import View
from compaudit.results import (
    Accuracy,
    Comparison,
    Delta,
    Distribution,
    Divergence,
    Finding,
    PairedMetric,
)
from compaudit.units import (
    NOT_MEASURED,
    format_bytes,
    format_count,
    format_interval,
    format_number,
    format_points,
    format_rate,
    format_seconds,
    format_share,
    format_si,
    formatter_for,
)

__all__ = ["comparison_page"]

_DIED = 4


def comparison_page(report: Comparison, view: View) -> Page:
    """The page of an audit."""
    sure = f"{report.config.get('confidence', 0.95) * 100:.3g} % interval"
    sections = (
        _size_section(report),
        _speed_section(report),
        _accuracy_section(report.accuracy, sure) if report.accuracy else None,
        _divergence_section(report.divergence, sure) if report.divergence else None,
        changes_section(report, view),
        *profile_sections(report, view),
    )
    return Page(
        title=f"{model_name(report.original)} → {model_name(report.compressed)}",
        subtitle=_conditions(report),
        verdict=_verdict(report),
        sections=tuple(section for section in sections if section is not None),
        findings=tuple(_finding(finding) for finding in report.findings),
        checks=_checks(report),
        footnotes=_not_measured(report),
    )


# --------------------------------------------------------------------------------- an audit


def _conditions(report: Comparison) -> str:
    latency = report.original.latency or report.compressed.latency
    parts = []
    if report.data is not None:
        where = PurePath(report.data.uri).name if report.data.uri else "SYNTHETIC inputs"
        parts.append(f"{where}, {format_count(report.data.samples)} samples")
    if latency is not None:
        threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
        parts.append(f"{latency.device}, {threads}, batch {latency.batch_size}")
    return " · ".join(parts)


def _verdict(report: Comparison) -> tuple[Note, ...]:
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
        return f"{_epochs(delta)}, and an interval takes 3; give more --time-budget"
    effect = format_share(delta.minimal_detectable_effect, 1)
    return f"this run could have shown a change of {effect}; give more --time-budget"


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


def _size_section(report: Comparison) -> Section:
    def row(label: str, key: str, form: Form, sure: str = "exact") -> tuple[str, ...]:
        return (
            label,
            form(getattr(report.original, key)),
            form(getattr(report.compressed, key)),
            format_rate(getattr(report.alpha, key, None)),
            format_beta(getattr(report.beta, key, None)),
            format_share(getattr(report.space_saving, key, None), 1).replace("-", "−"),
            sure if getattr(report.compressed, key) is not None else "not counted",
        )

    return Section(
        "Size",
        columns("", "original", "compressed", "α", "β", "saved", "how sure", words="last"),
        (
            row("parameters", "parameters", format_count),
            row("nonzero parameters", "nonzero_parameters", format_count),
            row("weight bytes", "weight_bytes", format_bytes),
            row("file bytes", "file_bytes", format_bytes),
            row("entropy bytes", "entropy_bytes", format_bytes, "estimate"),
            (
                "bits per weight",
                format_number(report.original.bits_per_weight),
                format_number(report.compressed.bits_per_weight),
                "",
                "",
                "",
                "exact",
            ),
            (
                "MACs at batch 1",
                format_si(report.original.macs.total if report.original.macs else None),
                format_si(report.compressed.macs.total if report.compressed.macs else None),
                format_rate(report.alpha.macs),
                format_beta(report.beta.macs),
                format_share(report.space_saving.macs, 1).replace("-", "−"),
                macs_sure(report.original, report.compressed),
            ),
        ),
    )


def _speed_section(report: Comparison) -> Section | None:
    rows: list[tuple[str, ...]] = []
    before, after = report.original.latency, report.compressed.latency
    if before is not None or after is not None:
        medians = [side.median_s if side else None for side in (before, after)]
        rows.append(
            (
                "latency, median",
                *(format_seconds(median.value if median else None) for median in medians),
                f"δ {format_rate(report.delta.value)}" if report.delta else NOT_MEASURED,
                _how_sure(report.delta),
            )
        )
        for label, key in (("latency, p90", "p90_s"), ("latency, p99", "p99_s")):
            values = [getattr(side, key) if side else None for side in (before, after)]
            if any(value is not None for value in values):
                calls = min(side.calls for side in (before, after) if side)
                rows.append(
                    (label, *map(format_seconds, values), quotient(*values), f"{calls:,} calls")
                )
    for label, key, form in (
        ("load", "load_s", format_seconds),
        ("first inference", "first_inference_s", format_seconds),
        ("peak memory", "peak_memory_bytes", format_bytes),
    ):
        values = [getattr(side, key) for side in (report.original, report.compressed)]
        if any(value is not None for value in values):
            rows.append((label, *map(form, values), quotient(*values), "one run"))
    if not rows:
        return None
    return Section(
        "Speed and memory",
        columns("", "original", "compressed", "rate", "how sure", words="last"),
        tuple(rows),
    )


def _how_sure(delta: Delta | None) -> str:
    if delta is None:
        return ""
    return interval(delta, format_rate) or f"no interval from {_epochs(delta)}"


def _epochs(delta: Delta) -> str:
    return "1 epoch" if delta.epochs == 1 else f"{delta.epochs} epochs"


def _accuracy_section(accuracy: Accuracy, sure: str) -> Section:
    metrics: tuple[tuple[str, PairedMetric | None, Form, Form], ...] = (
        ("top-1", accuracy.top1, format_share, format_points),
        ("top-5", accuracy.top5, format_share, format_points),
        ("cross-entropy", accuracy.cross_entropy, format_number, signed),
        ("calibration error", accuracy.calibration_error, format_share, format_points),
        ("mean squared error", accuracy.mse, format_number, signed),
        ("mean absolute error", accuracy.mae, format_number, signed),
        ("r²", accuracy.r2, format_number, signed),
    )
    rows = [
        (
            label,
            form(metric.original.value),
            form(metric.compressed.value),
            change(metric.delta.value),
            interval(metric.delta, change),
            p_value(metric.delta.p_value),
        )
        for label, metric, form, change in metrics
        if metric is not None
    ]
    if accuracy.flips is not None:
        flips = accuracy.flips
        rows.append(
            (
                "flips",
                "",
                "",
                f"{flips.broken + flips.fixed}",
                f"{flips.broken} broken, {flips.fixed} fixed",
                "",
            )
        )
    return Section(
        f"Accuracy, {accuracy.samples:,} labelled samples",
        columns("", "original", "compressed", "change", sure, "p"),
        tuple(rows),
    )


def _divergence_section(divergence: Divergence, sure: str) -> Section:
    rows: list[tuple[str, ...]] = []
    distributions: tuple[tuple[str, Distribution | None], ...] = (
        ("KL(original‖compressed)", divergence.kl),
        ("KL(compressed‖original)", divergence.kl_reverse),
        ("Jensen–Shannon", divergence.js),
    )
    for label, distribution in distributions:
        if distribution is not None:
            rows.append(
                (
                    label,
                    format_number(distribution.mean.value),
                    format_number(distribution.p99),
                    format_number(distribution.max),
                    interval(distribution.mean, format_number),
                )
            )
    if divergence.top1_agreement is not None:
        agreement = divergence.top1_agreement
        rows.append(
            (
                "top-1 agreement",
                format_share(agreement.value),
                "",
                "",
                interval(agreement, format_share),
            )
        )
    for name, error in divergence.outputs.items():
        rows.append(
            (
                f"error of {name}",
                format_number(error.mean_abs_error),
                "",
                format_number(error.max_abs_error),
                f"SQNR {format_number(error.sqnr_db)} dB".replace("-", "−")
                if error.sqnr_db is not None
                else ("identical" if error.max_abs_error == 0 else ""),
            )
        )
    nats = ", in nats" if divergence.kl is not None else ""
    source = "synthetic inputs" if divergence.source == "synthetic" else "the data"
    return Section(
        f"Divergence on {source}, {divergence.samples:,} samples{nats}",
        columns("", "mean", "p99", "max", sure),
        tuple(rows),
    )


def _finding(finding: Finding) -> Note:
    moods: dict[str, Mood] = {"error": "bad", "warning": "warning", "info": "plain"}
    return Note(
        finding.code,
        f"{finding.title}: {finding.detail}",
        finding.hint,
        moods[finding.severity],
    )


def _checks(report: Comparison) -> tuple[Note, ...]:
    moods: dict[str, Mood] = {"passed": "good", "failed": "bad", "inconclusive": "warning"}
    notes = []
    for check in report.gate.checks:
        form = formatter_for(check.requirement)
        observed = form(check.observed)
        bounds = format_interval(
            None if check.low is None else form(check.low),
            None if check.high is None else form(check.high),
        )
        measured = "" if check.observed is None else f"is {observed} {bounds}".rstrip()
        text = ": ".join(part for part in (check.requirement, measured, check.message) if part)
        notes.append(Note(check.status, text, mood=moods[check.status]))
    return tuple(notes)


def _not_measured(report: Comparison) -> tuple[Note, ...]:
    """What is null for a reason that a reader of the table should know, reasons told once."""
    by_reason: dict[str, list[str]] = {}
    for skipped in report.skipped:
        group, *parts = skipped.metric.split(".")
        if group in _SHOWN_WHEN_SKIPPED and len(parts) <= 1:
            by_reason.setdefault(skipped.reason, []).append(skipped.metric)
    return tuple(
        Note("not measured", f"{', '.join(metrics)} ({reason})")
        for reason, metrics in by_reason.items()
    )


_SHOWN_WHEN_SKIPPED = frozenset({"delta", "accuracy", "divergence"})
