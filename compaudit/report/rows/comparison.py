"""The page of an audit: its sections, findings and checks in order."""

from __future__ import annotations

from pathlib import PurePath

from compaudit.report.rows.base import Mood, Note, Page, model_name
from compaudit.report.rows.changes import changes_section
from compaudit.report.rows.profile import profile_sections
from compaudit.report.rows.quality import accuracy_section, divergence_section
from compaudit.report.rows.size import size_section
from compaudit.report.rows.speed import speed_section
from compaudit.report.rows.verdict import verdict_notes
from compaudit.report.view import View
from compaudit.results import Comparison, Finding
from compaudit.units import format_count, format_interval, formatter_for

__all__ = ["comparison_page"]

_OF_NO_ROW = ("delta.cpu_time_ratio", "delta.device_ratio")
"""The table does not show them, so that it need not say why they are not there."""
_SHOWN_WHEN_SKIPPED = frozenset({"delta", "accuracy", "divergence"})


def comparison_page(report: Comparison, view: View) -> Page:
    """The page of an audit."""
    sure = f"{report.config.get('confidence', 0.95) * 100:.3g} % interval"
    sections = (
        size_section(report),
        speed_section(report),
        accuracy_section(report.accuracy, sure) if report.accuracy else None,
        divergence_section(report.divergence, sure) if report.divergence else None,
        changes_section(report, view),
        *profile_sections(report, view),
    )
    return Page(
        title=f"{model_name(report.original)} → {model_name(report.compressed)}",
        subtitle=_conditions(report),
        verdict=verdict_notes(report),
        sections=tuple(section for section in sections if section is not None),
        findings=tuple(_finding(finding) for finding in report.findings),
        checks=_checks(report),
        footnotes=_not_measured(report),
    )


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
        if skipped.metric in _OF_NO_ROW:
            continue
        if group in _SHOWN_WHEN_SKIPPED and len(parts) <= 1:
            by_reason.setdefault(skipped.reason, []).append(skipped.metric)
    return tuple(
        Note("not measured", f"{', '.join(metrics)} ({reason})")
        for reason, metrics in by_reason.items()
    )
