"""The page of an audit: its sections, findings and checks in order."""

from __future__ import annotations

from compaudit.report.rows.base import Note, Page, model_name
from compaudit.report.rows.changes import changes_section
from compaudit.report.rows.checks import check_notes
from compaudit.report.rows.data import data_notes, described
from compaudit.report.rows.findings import finding_notes
from compaudit.report.rows.outcome import outcome_note
from compaudit.report.rows.profile import profile_sections
from compaudit.report.rows.quality import quality_sections
from compaudit.report.rows.size import size_section
from compaudit.report.rows.speed import speed_section
from compaudit.report.rows.verdict import verdict_notes
from compaudit.report.view import View
from compaudit.results import Comparison

__all__ = ["comparison_page"]

_OF_NO_ROW = ("delta.cpu_time_ratio", "delta.device_ratio", "divergence.scores")
"""The table does not show them, so that it need not say why they are not there."""
_OF_AN_INTERVAL = ("delta.low", "delta.high", "delta.minimal_detectable_effect")
"""Where δ has a value and none of these, the verdict says so."""
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
        findings=finding_notes(report.findings),
        checks=check_notes(report.gate),
        footnotes=(*data_notes(report.data), *_not_measured(report)),
        outcome=outcome_note(report.gate),
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


def _not_measured(report: Comparison) -> tuple[Note, ...]:
    """What is null for a reason that a reader of the table should know, reasons told once."""
    by_reason: dict[str, list[str]] = {}
    for skipped in report.skipped:
        group, *parts = skipped.metric.split(".")
        if skipped.metric in _OF_NO_ROW or skipped.reason.startswith(_ASKED_FOR):
            continue
        if skipped.metric in _OF_AN_INTERVAL and report.delta is not None:
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
