"""Pages as text for a terminal: readable at 80 columns, and without colour."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from compaudit.report.characters import UNICODE, Characters
from compaudit.report.layout import Layout, cut, lay_out, pieces, shortened
from compaudit.report.rows.base import Bar, Cell, Column, Mood, Note, Page, Section
from compaudit.report.rows.findings import severity_of

__all__ = ["render_table"]

_STYLES: dict[Mood, str] = {
    "good": "green",
    "bad": "bold red",
    "warning": "yellow",
    "plain": "bold",
}
"""Of labels alone, which say in words what the colour says. Many terminals brighten what is bold,
and bright green and yellow cannot be read on white."""
_LABEL_WIDTH = 13
_WIDEST_PROSE = 100
"""Lines of sentences are hard to follow beyond this, however wide the terminal is."""


def render_table(page: Page, width: int, color: bool, characters: Characters = UNICODE) -> str:
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
    writer = _Writer(console, characters)
    writer.heading(page.title)
    if page.subtitle:
        console.print(Text(characters.text(page.subtitle)), style="dim")
    writer.notes(page.verdict if page.outcome is None else (page.outcome, *page.verdict))
    tables, notes = partial(_tables, writer, page.sections), partial(_notes, writer, page)
    for part in (tables, notes) if page.tables_first else (notes, tables):
        part()
    if page.footnotes:
        console.print()
        writer.notes(page.footnotes)
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = (line.rstrip() for line in file.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _failing_first(checks: tuple[Note, ...]) -> tuple[Note, ...]:
    order: tuple[Mood, ...] = ("bad", "warning", "plain", "good")
    return tuple(sorted(checks, key=lambda note: order.index(note.mood)))


def _tables(writer: _Writer, sections: Sequence[Section]) -> None:
    for section in sections:
        writer.gap()
        writer.heading(section.title)
        writer.section(section)


def _notes(writer: _Writer, page: Page) -> None:
    """What was required, and what the figures mean together."""
    if page.checks:
        writer.gap()
        writer.heading("Requirements")
        writer.notes(_failing_first(page.checks))
    if page.findings:
        writer.gap()
        writer.heading("Findings")
        writer.findings(page.findings)


class _Writer:
    """Prints the parts of a page with the characters that can be shown."""

    def __init__(self, console: Console, characters: Characters) -> None:
        self._console = console
        self._characters = characters

    def gap(self) -> None:
        """An empty line."""
        self._console.print()

    def heading(self, text: str) -> None:
        self._console.print(Text(self._characters.text(text)), style="bold")

    def section(self, section: Section) -> None:
        """A table, and the columns for which the terminal is too narrow."""
        section = self._clean(section)
        layout = lay_out(section, self._console.width)
        table = Table(
            box=self._characters.rules,
            show_edge=False,
            show_header=any(column.title for column in section.columns),
            show_footer=bool(section.footer),
            pad_edge=False,
            padding=(0, 0, 0, 1),
            header_style="dim",
            footer_style="",
        )
        widths = layout.widths or (None,) * len(layout.places)
        shown = list(zip(layout.places, widths, strict=True))
        for place, width in shown:
            column = section.columns[place]
            footer = self._cell(section.footer[place], column, width) if section.footer else ""
            table.add_column(
                _broken(column.title, width),
                footer,
                justify="right" if column.kind == "figure" else "left",
                overflow="ellipsis" if column.kind == "name" else "fold",
                no_wrap=column.kind in ("name", "line", "bar"),
                width=width,
            )
        for row in section.rows:
            cells = (
                self._cell(row[place], section.columns[place], width) for place, width in shown
            )
            table.add_row(*cells)
        self._console.print(table)
        line = " ".join(text for text in (section.note, _too_narrow_for(section, layout)) if text)
        if line:
            self._prose(Text(self._characters.text(line), style="dim"))

    def notes(self, notes: tuple[Note, ...]) -> None:
        """Sentences behind their labels, advice below them."""
        for note in notes:
            self._note(note.label, note, [self._text(note.text)])

    def findings(self, notes: tuple[Note, ...]) -> None:
        """How grave each is, its code and what it is; and below, what was seen."""
        for note in notes:
            head = self._text(f"{note.label} {note.lead}", style="bold")
            self._note(severity_of(note), note, [head, self._text(_after_lead(note))])

    def _note(self, label: str, note: Note, lines: list[Text]) -> None:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=_LABEL_WIDTH, no_wrap=True)
        table.add_column(overflow="fold")
        if note.hint:
            lines = [*lines, self._text(f"→ {note.hint}")]
        for place, line in enumerate(lines):
            table.add_row("" if place else self._text(label, style=_STYLES[note.mood]), line)
        self._prose(Padding(table, (0, 0, 0, 1)))

    def _text(self, text: str, style: str = "") -> Text:
        return Text(self._characters.text(text), style=style)

    def _prose(self, what: Text | Padding) -> None:
        self._console.print(what, width=min(self._console.width, _WIDEST_PROSE))

    def _clean(self, section: Section) -> Section:
        """The section in characters that can be shown, before anything is measured."""

        def clean(row: tuple[Cell, ...]) -> tuple[Cell, ...]:
            return tuple(
                cell if isinstance(cell, Bar) else self._characters.text(cell) for cell in row
            )

        return dataclasses.replace(
            section,
            columns=tuple(
                dataclasses.replace(column, title=self._characters.text(column.title))
                for column in section.columns
            ),
            rows=tuple(clean(row) for row in section.rows),
            footer=clean(section.footer),
        )

    def _cell(self, cell: Cell, column: Column, width: int | None) -> Text:
        if isinstance(cell, Bar):
            return Text(self._characters.bar(cell.length, width or 8))
        if column.kind in ("name", "line") and width is not None:
            short = shortened if column.kind == "name" else cut
            return Text(short(cell, width, self._characters.text("…")))
        return Text(cell)


def _broken(heading: str, width: int | None) -> Text:
    """A heading in as many lines as it takes, broken where words end."""
    if width is None:
        return Text(heading)
    lines = [""]
    for piece in pieces(heading):
        if len(lines[-1] + piece.rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += piece
    return Text("\n".join(line.rstrip() for line in lines))


def _after_lead(note: Note) -> str:
    """What follows the lead and its colon."""
    return note.text.removeprefix(note.lead).removeprefix(":").lstrip()


def _too_narrow_for(section: Section, layout: Layout) -> str:
    titles = [
        column.title
        for place, column in enumerate(section.columns)
        if place not in layout.places and column.title
    ]
    return f"A wider terminal also shows: {', '.join(titles)}." if titles else ""
