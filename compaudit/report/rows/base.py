"""What every report is made of: a page of sections, rows and notes; and how a cell is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from compaudit.results import Estimate, ModelResult
from compaudit.units import NOT_MEASURED, format_count, format_interval, format_number, format_rate

__all__ = [
    "Bar",
    "Cell",
    "Column",
    "Form",
    "Mood",
    "Note",
    "Page",
    "Section",
    "columns",
    "counted",
    "format_beta",
    "interval",
    "macs_sure",
    "model_name",
    "p_value",
    "plain",
    "quotient",
    "signed",
]

Mood = Literal["good", "bad", "warning", "plain"]
Form = Callable[[float | None], str]
"""Writes a number in the unit that its row is in."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column and what its cells hold.

    Attributes:
        title: above it.
        kind: a ``name`` may be shortened in its middle and a ``line`` at its end, ``words`` may
            be wrapped, a ``figure`` stays whole, and cells of a ``bar`` are `Bar`.
        drop: where a terminal is too narrow, the column with the highest number goes first;
            one with 0 stays.
        least: letters of a name that are left at least, before other columns go.
    """

    title: str
    kind: Literal["name", "line", "words", "figure", "bar"] = "figure"
    drop: int = 0
    least: int = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of the longest bar of its column, 0 to 1, for a renderer to draw."""

    length: float


Cell = str | Bar


@dataclass(frozen=True, slots=True)
class Section:
    """A table: the first column names what was measured, the last says how sure it is.

    Attributes:
        title: above it.
        columns: of every row.
        rows: a cell for every column.
        footer: a last row that sums the others up, set apart; may be missing.
        note: a line below.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    footer: tuple[Cell, ...] = ()
    note: str = ""


def columns(*titles: str, words: Literal["last", "none"] = "none") -> tuple[Column, ...]:
    """Columns of a name and of figures; with ``last``, the last one holds words."""
    first, *others = (Column(title) for title in titles)
    if words == "last":
        others[-1] = Column(titles[-1], "words")
    return (Column(first.title, "name"), *others)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of the report, with a label before it and advice after it.

    Attributes:
        label: before it, in a word or two.
        text: all of the sentence.
        hint: advice; may be missing.
        mood: how grave it is.
        lead: how `text` begins, for a renderer to set it apart; may be missing.
    """

    label: str
    text: str
    hint: str = ""
    mood: Mood = "plain"
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything a report shows.

    Attributes:
        outcome: sums up the checks; None where there are none.
        tables_first: they are what the page is about, and findings only explain them.
    """

    title: str
    subtitle: str
    verdict: tuple[Note, ...]
    sections: tuple[Section, ...]
    findings: tuple[Note, ...]
    checks: tuple[Note, ...]
    footnotes: tuple[Note, ...]
    outcome: Note | None = None
    tables_first: bool = False


def counted(count: int, what: str) -> str:
    """``1 layer``, ``1,024 layers``."""
    return f"1 {what}" if count == 1 else f"{format_count(count)} {what}s"


def model_name(model: ModelResult) -> str:
    """The file's name, or the factory as typed."""
    return model.path if ":" in model.path else PurePath(model.path).name or model.path


def interval(estimate: Estimate | None, form: Form) -> str:
    """The interval of an estimate, or nothing."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return format_interval(form(estimate.low), form(estimate.high))


def signed(value: float | None) -> str:
    """A plain number with its sign."""
    if value is None:
        return NOT_MEASURED
    text = format_number(abs(value))
    return text if value == 0 else f"{'−' if value < 0 else '+'}{text}"


def plain(value: float | None) -> str:
    """A plain number, with the sign of a minus where it is negative."""
    if value is None or value >= 0:
        return format_number(value)
    return f"−{format_number(-value)}"


def format_beta(value: float | None) -> str:
    """β with its sign and two decimals: ``+2.88``."""
    return NOT_MEASURED if value is None else f"{value:+.2f}".replace("-", "−")


def macs_sure(*models: ModelResult) -> str:
    """How much of the models' operations their MACs cover."""
    coverages = [model.macs.coverage for model in models if model.macs is not None]
    if len(coverages) < len(models) or None in coverages:
        return "not counted"
    least = min(1.0, *(coverage for coverage in coverages if coverage is not None))
    return "exact" if least == 1 else f"{math.floor(max(least, 0.0) * 100)} % of nodes"


def quotient(original: float | None, compressed: float | None) -> str:
    """Original over compressed, for figures of a single run."""
    if not original or not compressed:
        return NOT_MEASURED
    return format_rate(original / compressed)


def p_value(value: float | None) -> str:
    """A p-value to two digits; the smallest are only bounded."""
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.2g}"
