"""Results become rows, and rows become a report. A new format is one new file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from compaudit.errors import RequestError
from compaudit.report.view import SORTS, View
from compaudit.results import Checkup, Comparison, ErrorReport, Inspection, Report

__all__ = ["FORMATS", "SORTS", "View", "format_for", "render"]


@dataclass(frozen=True, slots=True)
class _Surface:
    """What a report is written on."""

    width: int
    color: bool
    encoding: str


def render(
    report: Report,
    format_name: str,
    width: int = 80,
    color: bool = False,
    *,
    view: View | None = None,
    encoding: str = "utf-8",
) -> bytes:
    """A report in one of `FORMATS`, UTF-8.

    Args:
        report: what to show.
        format_name: ``table`` or ``json``.
        width: columns of the terminal, for the table.
        color: whether the terminal shows colours.
        view: what of it to show; JSON is always complete.
        encoding: of the terminal: what it cannot show is written in plain letters.
    """
    return FORMATS[format_name](report, view or View(), _Surface(width, color, encoding))


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


def _table(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.characters import characters_for
    from compaudit.report.rows.checkup import checkup_page
    from compaudit.report.rows.comparison import comparison_page
    from compaudit.report.rows.gate import gate_page
    from compaudit.report.rows.inspection import inspection_page
    from compaudit.report.table import render_table

    match report:
        case Comparison():
            page = gate_page(report, view) if view.verdict_only else comparison_page(report, view)
        case Inspection():
            page = inspection_page(report, view)
        case Checkup():
            page = checkup_page(report)
        case ErrorReport():
            return b""  # the command line has said it on stderr
    characters = characters_for(surface.encoding)
    return render_table(page, surface.width, surface.color, characters).encode()


def _json(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.results import encode_report

    return encode_report(report)


FORMATS: dict[str, Callable[[Report, View, _Surface], bytes]] = {"table": _table, "json": _json}
_SUFFIXES = {".json": "json", ".txt": "table"}
