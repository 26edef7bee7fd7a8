"""Results become rows, and rows become a report. A new format is one new file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from compaudit.errors import RequestError
from compaudit.results import Checkup, Comparison, ErrorReport, Inspection, Report

__all__ = ["FORMATS", "format_for", "render"]


def render(report: Report, format_name: str, width: int = 80, color: bool = False) -> bytes:
    """A report in one of `FORMATS`, UTF-8.

    Args:
        report: what to show.
        format_name: ``table`` or ``json``.
        width: columns of the terminal, for the table.
        color: whether the terminal shows colours.
    """
    return FORMATS[format_name](report, width, color)


def format_for(path: str) -> str:
    """The format that a file's suffix asks for.

    Raises:
        RequestError: no format has this suffix.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise RequestError(
            f"the suffix of {path} says no known format",
            hint=f"known: {', '.join(_SUFFIXES)}",
            code="unknown-format",
        )
    return _SUFFIXES[suffix]


def _table(report: Report, width: int, color: bool) -> bytes:
    from compaudit.report.rows.checkup import checkup_page
    from compaudit.report.rows.comparison import comparison_page
    from compaudit.report.rows.inspection import inspection_page
    from compaudit.report.table import render_table

    match report:
        case Comparison():
            page = comparison_page(report)
        case Inspection():
            page = inspection_page(report)
        case Checkup():
            page = checkup_page(report)
        case ErrorReport():
            return b""  # the command line has said it on stderr
    return render_table(page, width, color).encode()


def _json(report: Report, width: int, color: bool) -> bytes:
    from compaudit.results import encode_report

    return encode_report(report)


FORMATS: dict[str, Callable[[Report, int, bool], bytes]] = {"table": _table, "json": _json}
_SUFFIXES = {".json": "json", ".txt": "table"}
