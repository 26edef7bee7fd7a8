"""Pages as GitHub-flavoured Markdown for a pull request: the verdict first, details folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from compaudit.report.characters import UNICODE
from compaudit.report.escaping import as_html, as_markdown, as_paragraph
from compaudit.report.folds import Block, fitted
from compaudit.report.rows.base import Bar, Cell, Mood, Note, Page, Section
from compaudit.report.tally import tally

__all__ = ["MARKER", "render_markdown"]

MARKER = "<!-- compaudit -->"
"""By this a bot finds the comment that it is to replace."""
_LONGEST = 65_535
"""GitHub refuses comments of more characters."""
_LONGEST_TEXT, _LONGEST_CELL = 2_000, 600
_UNFOLDED = 2
"""The first sections hold the main figures."""
_SYMBOLS: dict[Mood, str] = {"good": "✅", "bad": "❌", "warning": "⚠️", "plain": "▫️"}
_BAR_WIDTH = 12


def render_markdown(page: Page) -> str:
    """The page as Markdown of less than 65,536 characters.

    Where it would be longer, the longest folds lose their last lines first and say how many, then
    other tables; the verdict is whole.
    """
    open_checks = [note for note in page.checks if note.mood != "good"]
    passed = [note for note in page.checks if note.mood == "good"]
    urgent = [note for note in page.footnotes if note.mood in ("bad", "warning")]
    others = [note for note in page.footnotes if note not in urgent]
    blocks = [
        _head(page),
        _table_of_notes("Requirements", open_checks),
        _listed("Findings", (*page.findings, *urgent)),
        *(_shown(section) for section in page.sections[:_UNFOLDED]),
        *(_folded(section) for section in page.sections[_UNFOLDED:]),
        _fold("Requirements", _lines_of_notes(passed)),
        _fold("Notes", _lines_of_notes(others)),
    ]
    return fitted([block for block in blocks if block is not None], _LONGEST)


# -------------------------------------------------------------------------------- the verdict


def _head(page: Page) -> Block:
    """The title, what was concluded, and how many requirements hold."""
    before = [MARKER, f"## {_fitting(page.title, as_markdown)}", ""]
    if page.subtitle:
        before += [_fitting(page.subtitle, as_paragraph), "", ""]
    counted = (
        f"- {_SYMBOLS[note.mood]} **{note.label}: {as_markdown(note.text)}**"
        for note in tally(page.checks)
    )
    lines = [*counted, *_lines_of_notes(page.verdict)]
    return Block("verdict", "\n".join(before), tuple(lines), "")


# -------------------------------------------------------------------------------------- notes


def _lines_of_notes(notes: Iterable[Note]) -> tuple[str, ...]:
    return tuple(
        f"- {_SYMBOLS[note.mood]} **{_fitting(note.label, as_markdown)}** {_text_of(note)}"
        for note in notes
    )


def _text_of(note: Note) -> str:
    text = _fitting(note.text, as_markdown)
    return f"{text}<br>→ {_fitting(note.hint, as_markdown)}" if note.hint else text


def _listed(title: str, notes: Iterable[Note]) -> Block | None:
    lines = _lines_of_notes(notes)
    return Block("shown", f"### {title}\n\n", lines, "") if lines else None


def _table_of_notes(title: str, notes: Iterable[Note]) -> Block | None:
    lines = tuple(
        f"| {_SYMBOLS[note.mood]} {_fitting(note.label, as_markdown)} | {_text_of(note)} |"
        for note in notes
    )
    before = f"### {title}\n\n| | |\n| --- | --- |\n"
    return Block("shown", before, lines, "") if lines else None


def _fold(title: str, lines: tuple[str, ...]) -> Block | None:
    if not lines:
        return None
    return Block("folded", _opened(title), lines, "\n\n</details>")


# ------------------------------------------------------------------------------------- tables


def _shown(section: Section) -> Block:
    before = f"### {_fitting(section.title, as_markdown)}\n\n{_heading(section)}"
    return Block("shown", before, _rows(section), _noted(section))


def _folded(section: Section) -> Block:
    before = _opened(section.title) + _heading(section)
    return Block("folded", before, _rows(section), f"{_noted(section)}\n\n</details>")


def _opened(title: str) -> str:
    return f"<details><summary>{_fitting(title, as_html)}</summary>\n\n"


def _noted(section: Section) -> str:
    footer = ""
    if section.footer:
        cells = (_cell(cell) for cell in section.footer)
        footer = "\n" + _line(f"**{cell}**" if cell else "" for cell in cells)
    note = f"\n\n{_fitting(section.note, as_paragraph)}" if section.note else ""
    return footer + note


def _heading(section: Section) -> str:
    titles = _line(_fitting(column.title, as_markdown) for column in section.columns)
    kinds = (column.kind for column in section.columns)
    rule = _line("---:" if kind == "figure" else "---" for kind in kinds)
    return f"{titles}\n{rule}\n"


def _rows(section: Section) -> tuple[str, ...]:
    return tuple(_line(_cell(cell) for cell in row) for row in section.rows)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return UNICODE.bar(cell.length, _BAR_WIDTH)
    indent = len(cell) - len(cell.lstrip(" "))
    return "&nbsp;" * min(indent, 40) + _fitting(cell, as_markdown, _LONGEST_CELL)


def _fitting(text: str, form: Callable[[str], str], longest: int = _LONGEST_TEXT) -> str:
    """The text in this form; a name without end loses its own."""
    written = form(text[:longest])
    if len(text) <= longest and len(written) <= longest:
        return written
    kept = text[:longest]
    while len(written) >= longest:
        kept = kept[: len(kept) * 3 // 4]
        written = form(kept)
    return f"{written}…"
