"""Where in the network the outputs begin to differ, from the input on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from compaudit.report.rows.base import Bar, Cell, Column, Section
from compaudit.report.rows.places import op_name
from compaudit.report.view import View
from compaudit.results import TracedOutput
from compaudit.units import NOT_MEASURED, format_cosine, format_count, format_number

__all__ = ["trace_section"]

_LONG = 16
_AROUND, _ENDS = 4, 3
_LOUDEST_DB = 60.0
"""The SQNR that a whole bar stands for at least: short bars are outputs that are far off."""


def trace_section(trace: Sequence[TracedOutput], view: View) -> Section | None:
    """All intermediate outputs of a short network, or what is around the break of a long one."""
    if not trace:
        return None
    whole = max(
        [_LOUDEST_DB, *(found.sqnr_db for found in trace if found.sqnr_db is not None)],
    )
    columns = (
        Column("output", "name", least=36),
        Column("operator", "name", drop=2, least=10),
        Column("SQNR dB"),
        Column("", "bar", drop=1),
        Column("cosine"),
        Column("max error", drop=3),
    )
    shown = range(len(trace)) if view.layers or len(trace) <= _LONG else _around_break(trace)
    rows: list[tuple[Cell, ...]] = []
    last = -1
    for place in shown:
        rows += _left_out(trace[last + 1 : place])
        rows.append(_row(trace[place], whole))
        last = place
    rows += _left_out(trace[last + 1 :])
    note = "" if len(shown) == len(trace) else f"{len(trace):,} outputs; --layers shows all."
    return Section(
        "Where the outputs begin to differ, from input to output", columns, tuple(rows), note=note
    )


def _row(found: TracedOutput, whole: float) -> tuple[Cell, ...]:
    if found.identical:
        return found.name, op_name(found.op), "identical", Bar(1.0), "1", "0"
    broken = found.nonfinite_compressed + found.nonfinite_original
    if found.sqnr_db is None:
        why = "not numbers" if broken else NOT_MEASURED
        return found.name, op_name(found.op), why, "", format_cosine(found.cosine), ""
    return (
        found.name,
        op_name(found.op),
        format_number(found.sqnr_db).replace("-", "−"),
        Bar(max(found.sqnr_db, 0.0) / whole),
        format_cosine(found.cosine),
        format_number(found.max_abs_error),
    )


def _left_out(found: Sequence[TracedOutput]) -> list[tuple[Cell, ...]]:
    """One row for outputs that are not shown: how many, and the lowest of their SQNRs."""
    if not found:
        return []
    known = [each.sqnr_db for each in found if each.sqnr_db is not None]
    lowest = f"≥ {format_number(min(known))}".replace("-", "−") if known else ""
    return [(f"… {format_count(len(found))} more", "", lowest, "", "", "")]


def _around_break(trace: Sequence[TracedOutput]) -> list[int]:
    """The first and last outputs, and those around the steepest fall of the SQNR."""
    places = {*range(_ENDS), *range(len(trace) - _ENDS, len(trace))}
    steepest = _steepest(trace)
    places |= {*range(max(steepest - _AROUND, 0), min(steepest + _AROUND, len(trace)))}
    # A single row that is left out takes as much room as itself.
    places |= {place for place in range(len(trace)) if {place - 1, place + 1} <= places}
    return sorted(places)


def _steepest(trace: Sequence[TracedOutput]) -> int:
    """The output before which the SQNR falls most, or the first without numbers."""
    for place, found in enumerate(trace):
        if found.nonfinite_compressed > found.nonfinite_original:
            return place
    measured = [
        (place, found.sqnr_db) for place, found in enumerate(trace) if found.sqnr_db is not None
    ]
    falls = [(after[1] - before[1], after[0]) for before, after in pairwise(measured)]
    return min(falls)[1] if falls else 0
