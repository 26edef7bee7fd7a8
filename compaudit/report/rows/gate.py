"""The wording of a verdict alone: what was concluded, what was required, and from what."""

from __future__ import annotations

import dataclasses

from compaudit.report.rows.base import Note, Page
from compaudit.report.rows.comparison import comparison_page
from compaudit.report.view import View
from compaudit.results import Comparison
from compaudit.units import format_count

__all__ = ["gate_page"]


def gate_page(report: Comparison, view: View) -> Page:
    """The page of a saved audit that was judged again."""
    page = comparison_page(report, view)
    return dataclasses.replace(page, sections=(), findings=(), footnotes=_footnotes(report))


def _footnotes(report: Comparison) -> tuple[Note, ...]:
    audit = f"{report.created_at}, compaudit {report.tool.version}"
    if report.delta is None:
        return (Note("audited", audit),)
    sure = f"δ at {report.delta.confidence * 100:.4g} % confidence"
    if report.samples is None:
        source = "as recorded; the report keeps no raw blocks"
    else:
        source = f"from the {format_count(len(report.samples.blocks))} raw blocks of the report"
    return (Note("audited", audit), Note("times", f"{sure}, {source}"))
