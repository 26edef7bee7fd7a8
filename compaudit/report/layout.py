"""How wide each column of a table is, and which ones a narrow terminal goes without."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from compaudit.report.rows.base import Bar, Cell, Section

__all__ = ["Layout", "cut", "lay_out", "pieces", "shortened"]

GAP = 2
_WORDS, _BAR = 18, 8
"""What is left at least of a column of words and of bars, before other columns are dropped."""
_LONGEST_NAME, _LONGEST_BAR = 60, 24
_LEAST_NAME = 12


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that are shown and how wide they are; no widths where nothing fits anyway."""

    places: tuple[int, ...]
    widths: tuple[int, ...] | None


def lay_out(section: Section, width: int) -> Layout:
    """The columns of a table of at most `width` columns of a terminal."""
    least = [_least(section, place) for place in range(len(section.columns))]
    most = [_most(section, place) for place in range(len(section.columns))]
    places = _shown(section, least, width)
    narrow = {place: least[place] for place in places}
    spare = width - _total([narrow[place] for place in places])
    if spare < 0:  # names go below what is comfortable
        for place in places:
            if section.columns[place].kind == "name" and spare < 0:
                taken = min(-spare, max(narrow[place] - _LEAST_NAME, 0))
                narrow[place] -= taken
                spare += taken
        if spare < 0:
            return Layout(places, None)
    for kind in ("name", "figure", "bar", "line", "words"):
        for place in places:
            if section.columns[place].kind == kind:
                more = min(spare, most[place] - narrow[place])
                narrow[place] += more
                spare -= more
    return Layout(places, tuple(narrow[place] for place in places))


def cut(line: str, width: int, gap: str = "…") -> str:
    """A line without its end."""
    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(width - len(gap), 0)).rstrip() + gap


def shortened(name: str, width: int, gap: str = "…") -> str:
    """A name without its middle: its end tells it from its neighbours.

    Args:
        name: of any length.
        width: columns that it may take.
        gap: what is put in place of the middle.
    """
    if cell_len(name) <= width:
        return name
    room = max(width - len(gap), 0)
    head = set_cell_size(name, room * 2 // 5).rstrip()
    tail = name[-room:] if room else ""
    while cell_len(head) + cell_len(tail) > room:
        tail = tail[1:]
    return f"{head}{gap}{tail}"[: max(width, 1)]


def pieces(heading: str) -> list[str]:
    """Where a heading may be broken: after spaces and the punctuation of file names."""
    return re.findall(r"[^\s_./\\-]*[\s_./\\-]+|[^\s_./\\-]+", heading) or [""]


def _shown(section: Section, least: Sequence[int], width: int) -> tuple[int, ...]:
    places = list(range(len(section.columns)))
    dropped = sorted(
        (place for place in places if section.columns[place].drop),
        key=lambda place: section.columns[place].drop,
    )
    while dropped and _total([least[place] for place in places]) > width:
        places.remove(dropped.pop())
    return tuple(places)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _least(section: Section, place: int) -> int:
    column, longest = section.columns[place], _longest_cell(section, place)
    heading = max(cell_len(piece.rstrip()) for piece in pieces(column.title))
    match column.kind:
        case "figure":
            return max(longest, heading)
        case "name":
            return min(_most(section, place), column.least)
        case "words" | "line":
            return min(_most(section, place), _WORDS)
        case "bar":
            return max(_BAR, heading)


def _most(section: Section, place: int) -> int:
    column, longest = section.columns[place], _longest_cell(section, place)
    widest = max(longest, cell_len(column.title))
    match column.kind:
        case "name":
            return min(widest, _LONGEST_NAME)
        case "bar":
            return max(_LONGEST_BAR, widest)
        case _:
            return widest


def _longest_cell(section: Section, place: int) -> int:
    rows = [*section.rows, section.footer] if section.footer else section.rows
    return max((_length(row[place]) for row in rows), default=0)


def _length(cell: Cell) -> int:
    return 0 if isinstance(cell, Bar) else cell_len(cell)
