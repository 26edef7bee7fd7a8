"""Pages as text for a terminal: readable at 80 columns, and without colour."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from compaudit.report.rows.base import Mood, Note, Page, Section
from compaudit.units import without_controls

__all__ = ["render_table"]

_STYLES: dict[Mood, str] = {"good": "green", "bad": "bold red", "warning": "yellow", "plain": ""}
_LABEL_WIDTH = 13
# Columns of words, aligned as words are.
_WORDS = ("how sure", "found", "version")


def render_table(page: Page, width: int, color: bool) -> str:
    """The page as text, with ANSI colours when `color` is set; never wider than `width`."""
    console = Console(
        file=io.StringIO(),
        width=max(width, 40),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(_plain(page.title), style="bold")
    if page.subtitle:
        console.print(_plain(page.subtitle), style="dim")
    _print_notes(console, page.verdict)
    for section in page.sections:
        console.print()
        console.print(_plain(section.title), style="bold")
        console.print(_table(section))
    for title, notes in (("Findings", page.findings), ("Requirements", page.checks)):
        if notes:
            console.print()
            console.print(title, style="bold")
            _print_notes(console, notes)
    if page.footnotes:
        console.print()
        _print_notes(console, page.footnotes, style="dim")
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = (line.rstrip() for line in file.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _table(section: Section) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, 1),
        header_style="dim",
    )
    for place, column in enumerate(section.columns):
        table.add_column(
            _plain(column),
            justify="left" if place == 0 or _is_text(section, place) else "right",
            overflow="ellipsis" if place == 0 else "fold",
            no_wrap=place == 0,
        )
    for row in section.rows:
        table.add_row(*(_plain(cell) for cell in row))
    return table


def _is_text(section: Section, place: int) -> bool:
    """The last column says how sure a row is, in words or as an interval."""
    return place == len(section.columns) - 1 and section.columns[place] in _WORDS


def _print_notes(console: Console, notes: tuple[Note, ...], style: str = "") -> None:
    for note in notes:
        line = Table.grid(padding=(0, 1))
        line.add_column(width=_LABEL_WIDTH, no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(
            Text(without_controls(note.label), style=_STYLES[note.mood] or style or "bold"),
            Text(without_controls(note.text), style=style),
        )
        if note.hint:
            line.add_row("", Text(f"→ {without_controls(note.hint)}", style="dim"))
        console.print(Padding(line, (0, 0, 0, 1)))


def _plain(text: str) -> Text:
    return Text(without_controls(text))
