"""A ranking as CSV: a line for every model, numbers at full precision, for spreadsheets and pandas.

What a row holds is what the table's columns hold. An interval takes two columns. Text that a
spreadsheet would run as a formula has an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from compaudit.report.rows.ranking import SURVEY_HEADS, survey_rows
from compaudit.report.rows.ranking_columns import RankedColumn, Row, columns_of, sorted_by
from compaudit.report.view import View
from compaudit.results import Ranking
from compaudit.units import NOT_MEASURED, without_controls

__all__ = ["render_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What OWASP's page on CSV injection lists."""


def render_csv(report: Ranking, view: View) -> str:
    """The ranking's table, or the survey's four columns, with the lines' ends of RFC 4180."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    if view.survey:
        writer.writerow(SURVEY_HEADS)
        for shown in survey_rows(report, view):
            writer.writerow(["" if cell == NOT_MEASURED else _harmless(cell) for cell in shown])
        return text.getvalue()
    columns = columns_of(report, view.columns)
    writer.writerow(["label", *(name for column in columns for name in _names(column)), "source"])
    for row in sorted_by(report, view.ranked_by):
        cells = [cell for column in columns for cell in _cells(column, row)]
        source = row.published.source if row.published is not None else "measured"
        writer.writerow([_harmless(row.name), *cells, _harmless(source)])
    return text.getvalue()


def _names(column: RankedColumn) -> tuple[str, ...]:
    if column.key == "interval":
        return "delta.low", "delta.high"
    return ("label" if column.key == "model" else column.key,)


def _cells(column: RankedColumn, row: Row) -> Iterator[str]:
    if column.key == "interval":
        delta = None if row.candidate is None else row.candidate.delta
        yield _number(None if delta is None else delta.low)
        yield _number(None if delta is None else delta.high)
    elif column.key == "findings":
        yield column.cell(row)
    else:
        figure = column.figure(row)
        yield _harmless(figure) if isinstance(figure, str) else _number(figure)


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _harmless(text: str) -> str:
    text = without_controls(text)
    return f"'{text}" if text.startswith(_FORMULA) else text
