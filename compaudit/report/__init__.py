"""Results become rows, and rows become a report. A new format is one new file and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from compaudit.errors import RequestError
from compaudit.report.view import SORTS, View
from compaudit.results import (
    Benchmark,
    Checkup,
    Comparison,
    Document,
    ErrorReport,
    Inspection,
    Ranking,
    Report,
)

if TYPE_CHECKING:
    from compaudit.report.rows.base import Page

__all__ = ["FORMATS", "SORTS", "View", "format_for", "render", "require"]


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
        format_name: one of `FORMATS`.
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


def require(format_name: str, *, rankings: bool = True) -> None:
    """Whether a format can be written, before minutes are spent on what would be.

    Args:
        format_name: one of `FORMATS`.
        rankings: whether it may be a ranking that is to be written.

    Raises:
        RequestError: a library is missing, or it is a format of rankings alone.
    """
    if format_name == "csv" and not rankings:
        raise RequestError(
            "CSV shows rankings only",
            hint="choose another format: " + ", ".join(name for name in FORMATS if name != "csv"),
            code="csv-of-rankings-only",
        )
    if format_name == "html":
        from compaudit.report.html import require_libraries

        require_libraries()


def _page(report: Document, view: View) -> Page:
    """What every format but JSON lays out."""
    from compaudit.report.rows.benchmark import benchmark_page
    from compaudit.report.rows.checkup import checkup_page
    from compaudit.report.rows.comparison import comparison_page
    from compaudit.report.rows.gate import gate_page
    from compaudit.report.rows.inspection import inspection_page
    from compaudit.report.rows.ranking import ranking_page

    match report:
        case Comparison():
            return gate_page(report, view) if view.verdict_only else comparison_page(report, view)
        case Inspection():
            return inspection_page(report, view)
        case Benchmark():
            return benchmark_page(report)
        case Ranking():
            return ranking_page(report, view)
        case Checkup():
            return checkup_page(report)


def _table(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.characters import characters_for
    from compaudit.report.table import render_table

    if isinstance(report, ErrorReport):
        return b""  # the command line has said it on stderr
    characters = characters_for(surface.encoding)
    return render_table(_page(report, view), surface.width, surface.color, characters).encode()


def _markdown(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.markdown import render_markdown

    return b"" if isinstance(report, ErrorReport) else render_markdown(_page(report, view)).encode()


def _github(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.github import render_github

    if isinstance(report, ErrorReport):
        return b""
    return render_github(_page(report, view), broken=report.error is not None).encode()


def _junit(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.junit import render_junit

    if isinstance(report, ErrorReport):
        return b""
    return render_junit(_page(report, view), report).encode()


def _json(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.results import encode_report

    return encode_report(report)


def _latex(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.latex import render_latex

    return b"" if isinstance(report, ErrorReport) else render_latex(_page(report, view)).encode()


def _csv(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.csv import render_csv

    if isinstance(report, ErrorReport):
        return b""
    require("csv", rankings=isinstance(report, Ranking))
    assert isinstance(report, Ranking)
    return render_csv(report, view).encode()


def _html(report: Report, view: View, surface: _Surface) -> bytes:
    from compaudit.report.html import render_html

    if isinstance(report, ErrorReport):
        return b""
    return render_html(report, _page(report, view))


FORMATS: dict[str, Callable[[Report, View, _Surface], bytes]] = {
    "table": _table,
    "json": _json,
    "markdown": _markdown,
    "github": _github,
    "junit": _junit,
    "html": _html,
    "latex": _latex,
    "csv": _csv,
}
_SUFFIXES = {
    ".json": "json",
    ".txt": "table",
    ".md": "markdown",
    ".xml": "junit",
    ".html": "html",
    ".tex": "latex",
    ".csv": "csv",
}
