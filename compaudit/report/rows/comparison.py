"""The page of an audit: its sections, findings and checks in order."""

from __future__ import annotations

from compaudit.report.rows.base import Form, Mood, Note, Page, model_name, plain
from compaudit.report.rows.changes import changes_section
from compaudit.report.rows.data import data_notes, described
from compaudit.report.rows.profile import profile_sections
from compaudit.report.rows.quality import quality_sections
from compaudit.report.rows.size import size_section
from compaudit.report.rows.speed import speed_section
from compaudit.report.rows.verdict import verdict_notes
from compaudit.report.view import View
from compaudit.results import Check, Comparison, Finding, Gate
from compaudit.units import (
    format_cosine,
    format_interval,
    format_number,
    format_ratio,
    formatter_for,
)

__all__ = ["check_notes", "comparison_page"]

_OF_NO_ROW = ("delta.cpu_time_ratio", "delta.device_ratio", "divergence.scores")
"""The table does not show them, so that it need not say why they are not there."""
_DISTRIBUTIONS = tuple(
    f"divergence.{name}"
    for name in (
        *("kl", "kl_reverse", "js", "cross_entropy", "entropy"),
        *("top1_agreement", "top5_agreement"),
    )
)
"""What only class scores have; mostly they are missing together."""
_SHOWN_WHEN_SKIPPED = frozenset({"delta", "accuracy", "divergence", "trace"})
_ASKED_FOR = "measured with --"
"""How the reason of a figure begins that nobody asked for, and that no reader misses."""


def comparison_page(report: Comparison, view: View) -> Page:
    """The page of an audit."""
    sections = (
        size_section(report),
        speed_section(report),
        *quality_sections(report, view),
        changes_section(report, view),
        *profile_sections(report, view),
    )
    return Page(
        title=f"{model_name(report.original)} → {model_name(report.compressed)}",
        subtitle=_conditions(report),
        verdict=verdict_notes(report),
        sections=tuple(section for section in sections if section is not None),
        findings=tuple(_finding(finding) for finding in report.findings),
        checks=check_notes(report.gate),
        footnotes=(*data_notes(report.data), *_not_measured(report)),
    )


def _conditions(report: Comparison) -> str:
    latency = report.original.latency or report.compressed.latency
    parts = []
    if report.data is not None:
        parts.append(described(report.data))
    if latency is not None:
        threads = "1 thread" if latency.threads == 1 else f"{latency.threads} threads"
        parts.append(f"{latency.device}, {threads}, batch {latency.batch_size}")
    return " · ".join(parts)


def _finding(finding: Finding) -> Note:
    moods: dict[str, Mood] = {"error": "bad", "warning": "warning", "info": "plain"}
    return Note(
        finding.code,
        f"{finding.title}: {finding.detail}",
        finding.hint,
        moods[finding.severity],
    )


def check_notes(gate: Gate) -> tuple[Note, ...]:
    """Every requirement, what was measured, and how it was judged."""
    moods: dict[str, Mood] = {"passed": "good", "failed": "bad", "inconclusive": "warning"}
    notes = []
    for check in gate.checks:
        form = _form_of(check)
        observed = form(check.observed)
        bounds = format_interval(
            None if check.low is None else form(check.low),
            None if check.high is None else form(check.high),
        )
        measured = "" if check.observed is None else f"is {observed} {bounds}".rstrip()
        text = ": ".join(part for part in (check.requirement, measured, check.message) if part)
        notes.append(Note(check.status, text, mood=moods[check.status]))
    return tuple(notes)


def _form_of(check: Check) -> Form:
    """The unit of the limit; what lies close to one takes more digits than other numbers."""
    form = formatter_for(check.requirement)
    if form is not format_number:
        return form
    last = check.metric.split(".")[-1]
    if last.startswith("cosine"):
        return format_cosine
    return format_ratio if last == "perplexity_ratio" else plain


def _not_measured(report: Comparison) -> tuple[Note, ...]:
    """What is null for a reason that a reader of the table should know, reasons told once."""
    by_reason: dict[str, list[str]] = {}
    for skipped in report.skipped:
        group, *parts = skipped.metric.split(".")
        if skipped.metric in _OF_NO_ROW or skipped.reason.startswith(_ASKED_FOR):
            continue
        if group in _SHOWN_WHEN_SKIPPED and len(parts) <= 1:
            by_reason.setdefault(skipped.reason, []).append(skipped.metric)
    return tuple(
        Note("not measured", f"{', '.join(shown)} ({reason})")
        for reason, metrics in by_reason.items()
        if (shown := _together(metrics, expected=_expects_classes(report)))
    )


def _together(metrics: list[str], *, expected: bool) -> list[str]:
    """Distributions under one name, or under none where nobody expects any."""
    if not set(_DISTRIBUTIONS) <= set(metrics):
        return metrics
    others = [metric for metric in metrics if metric not in _DISTRIBUTIONS]
    return ["divergence of distributions", *others] if expected else others


def _expects_classes(report: Comparison) -> bool:
    """Whether the outputs may be class scores, for all that is known."""
    if report.accuracy is not None and report.accuracy.task == "regression":
        return False
    return report.divergence is None or report.divergence.embeddings is None
