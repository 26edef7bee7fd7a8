"""The samples that suffered most, for somebody who wants to look at them."""

from __future__ import annotations

from compaudit.report.rows.base import Column, Section
from compaudit.report.rows.classes import class_name
from compaudit.results import Comparison, WorstSample
from compaudit.units import format_count, format_number

__all__ = ["worst_section"]

_MOST, _UNBROKEN = 5, 3
_WHY = {
    "broken": "now wrong",
    "loss": "less sure",
    "kl": "other distribution",
    "error": "other numbers",
}
_SCORES = {"broken": "loss", "loss": "loss", "kl": "KL", "error": "error"}
_SIGNED = ("broken", "loss")


def worst_section(report: Comparison, most: int | None = None) -> Section | None:
    """So many of them; else those that broke, or a few of the others.

    The JSON report lists as many as were asked for.
    """
    if not report.worst:
        return None
    broken = [sample for sample in report.worst if sample.why == "broken"]
    shown = report.worst[:most] if most else broken[:_MOST] or report.worst[:_UNBROKEN]
    labelled = any(sample.label is not None for sample in shown)
    predicted = any(sample.original is not None for sample in shown)
    columns = [Column("sample", "name", least=16), Column("what happened", "line", drop=1)]
    if labelled:
        columns.append(Column("right", "name", least=6))
    if predicted:
        columns += [Column("original", "name", least=8), Column("compressed", "name", least=10)]
    columns.append(Column("by how much"))
    rows = []
    for sample in shown:
        cells = [sample.name, _WHY[sample.why]]
        if labelled:
            cells.append(class_name(report.accuracy, sample.label))
        if predicted:
            cells += [class_name(report.accuracy, sample.original)]
            cells += [class_name(report.accuracy, sample.compressed)]
        rows.append((*cells, _score(sample)))
    listed = format_count(len(report.worst))
    return Section(
        "Samples that suffered most",
        tuple(columns),
        tuple(rows),
        note=f"{len(shown)} of {listed} that are listed in the JSON report, under worst."
        if len(report.worst) > len(shown)
        else "",
    )


def _score(sample: WorstSample) -> str:
    sign = "+" if sample.why in _SIGNED and sample.score > 0 else ""
    return f"{_SCORES[sample.why]} {sign}{format_number(sample.score)}".replace("-", "−")
