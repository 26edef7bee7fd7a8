"""What every report is made of: a page of sections, rows and notes; and how a cell is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from compaudit.results import Estimate, ModelResult
from compaudit.units import NOT_MEASURED, format_interval, format_number, format_rate

__all__ = [
    "Form",
    "Mood",
    "Note",
    "Page",
    "Section",
    "format_beta",
    "interval",
    "macs_sure",
    "model_name",
    "p_value",
    "quotient",
    "signed",
]

Mood = Literal["good", "bad", "warning", "plain"]
Form = Callable[[float | None], str]
"""Writes a number in the unit that its row is in."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table: the first column names what was measured, the last says how sure it is."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of the report, with a label before it and advice after it."""

    label: str
    text: str
    hint: str = ""
    mood: Mood = "plain"


@dataclass(frozen=True, slots=True)
class Page:
    """Everything a report shows, in order."""

    title: str
    subtitle: str
    verdict: tuple[Note, ...]
    sections: tuple[Section, ...]
    findings: tuple[Note, ...]
    checks: tuple[Note, ...]
    footnotes: tuple[Note, ...]


def model_name(model: ModelResult) -> str:
    """The file's name, or the factory as typed."""
    return model.path if ":" in model.path else PurePath(model.path).name


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


def format_beta(value: float | None) -> str:
    """β with its sign and two decimals: ``+2.88``."""
    return NOT_MEASURED if value is None else f"{value:+.2f}".replace("-", "−")


def macs_sure(*models: ModelResult) -> str:
    """How much of the models' operations their MACs cover."""
    coverages = [model.macs.coverage for model in models if model.macs is not None]
    if len(coverages) < len(models) or None in coverages:
        return "not counted"
    least = min(coverage for coverage in coverages if coverage is not None)
    return "exact" if least == 1 else f"{math.floor(least * 100)} % of nodes"


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
