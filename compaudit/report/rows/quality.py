"""The quality half of an audit: accuracy, classes, divergence, samples, and the way through."""

from __future__ import annotations

from compaudit.report.rows.accuracy import accuracy_sections
from compaudit.report.rows.base import Section
from compaudit.report.rows.classes import classes_section
from compaudit.report.rows.divergence import divergence_sections
from compaudit.report.rows.trace import trace_section
from compaudit.report.rows.worst import worst_section
from compaudit.report.view import View
from compaudit.results import Comparison, Data

__all__ = ["quality_sections"]


def quality_sections(report: Comparison, view: View) -> tuple[Section, ...]:
    """What was measured of outputs and accuracy, in the order of what a reader asks."""
    sure = f"{report.config.get('confidence', 0.95) * 100:.3g} %"
    sections: list[Section | None] = []
    if report.accuracy is not None:
        sections += accuracy_sections(report.accuracy, sure, counted_as=_kind_of(report.data))
        sections.append(classes_section(report.accuracy))
    if report.divergence is not None:
        sections += divergence_sections(report.divergence, sure)
    sections += [worst_section(report), trace_section(report.trace, view)]
    return tuple(section for section in sections if section is not None)


def _kind_of(data: Data | None) -> str:
    if data is None or data.labels is not None:
        return "labelled samples"
    return "SYNTHETIC samples" if data.uri is None else "samples"
