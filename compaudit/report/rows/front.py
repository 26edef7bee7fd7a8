"""The front of a ranking in words: who is on it, who is not because of whom, what would decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from compaudit.report.rows.base import Note
from compaudit.report.rows.metrics import metric_named
from compaudit.results import Axis, Front, Ranking, Standing
from compaudit.units import format_count, format_number, format_share

__all__ = ["about_front", "front_notes"]


def front_notes(report: Ranking) -> list[Note]:
    """Who is on the front, who is not because of whom, and what would decide of the others."""
    standings = [(one.label, one.standing) for one in report.candidates if one.standing]
    surely = [label for label, found in standings if found.on_front and found.sure]
    likely = [
        label
        for label, found in standings
        if found.on_front and not found.sure and not found.likely_dominated_by
    ]
    notes = []
    if surely:
        notes.append(Note("on the front", ", ".join(surely), mood="good"))
    if likely:
        notes.append(Note("perhaps on it", f"{', '.join(likely)}: the intervals leave it open"))
    notes += _dominated("dominated", {label: one.dominated_by for label, one in standings})
    original = report.front.original if report.front is not None else None
    every = [*standings, *([] if original is None else [("original", original)])]
    off = {label for label, one in every if one.dominated_by or one.likely_dominated_by}
    notes += _dominated(
        "perhaps not", {label: _best_of(one.likely_dominated_by, off) for label, one in standings}
    )
    notes += _would_decide(report, [(label, one) for label, one in standings if one.undecided])
    return notes


def _dominated(heading: str, by: Mapping[str, list[str]]) -> list[Note]:
    """Those that are dominated, together where it is by the same."""
    whom: dict[tuple[str, ...], list[str]] = {}
    for label, others in by.items():
        if others:
            whom.setdefault(tuple(others), []).append(label)
    return [
        Note(heading, f"{', '.join(labels)}, by {', '.join(others)}")
        for others, labels in whom.items()
    ]


def _best_of(others: Sequence[str] | None, off: Set[str]) -> list[str]:
    """Of those that dominate a model, the ones that are not dominated themselves."""
    return [label for label in others or () if label not in off] or [*(others or ())]


def _would_decide(report: Ranking, standings: Sequence[tuple[str, Standing]]) -> list[Note]:
    """Of which models more time, and of which more samples would say whether they are on it."""
    of_time = [label for label, found in standings if "delta" in found.undecided]
    of_data = [label for label, found in standings if {*found.undecided} - {"delta"}]
    named = {metric for _, found in standings for metric in found.undecided if metric != "delta"}
    notes = []
    if of_data:
        what = ", ".join(_axis(report, metric) for metric in sorted(named))
        notes.append(Note("more samples", f"would tell by {what} of {', '.join(of_data)}"))
    if of_time:
        notes.append(Note("more time", f"would tell by δ of {', '.join(of_time)}"))
    return notes


def about_front(report: Ranking, front: Front) -> str:
    """What the front is of, how sure that is, and what its words say."""
    axes = ", ".join(_axis(report, axis.metric) for axis in front.axes)
    within = " and ".join(
        f"{_axis(report, axis.metric)} within {_margin(report, axis)}"
        for axis in front.axes
        if axis.margin
    )
    return (
        f"The front is of {axes}, at {front.confidence * 100:.4g} % for all "
        f"{format_count(front.comparisons)} comparisons together; no: another is as good "
        f"everywhere{f' ({within})' if within else ''} and better in one; no? and yes?: so it was "
        "measured, and the intervals leave it open."
    )


def _margin(report: Ranking, axis: Axis) -> str:
    """Up to which difference two models are as good, in the unit of the figure."""
    if axis.metric == "delta":
        return format_share(axis.margin, 1).replace(".0", "")
    known = next((one.accuracy for one in report.candidates if one.accuracy), None)
    if known is None:
        return format_number(axis.margin)
    return metric_named(known, axis.metric.rpartition(".")[2]).change(axis.margin).lstrip("+")


def _axis(report: Ranking, metric: str) -> str:
    """A figure as people call it: ``top-1``, ``KL``, ``δ``, ``α of the file``."""
    match metric.split("."):
        case ["delta"]:
            return "δ"
        case ["alpha", "file_bytes"]:
            return "α of the file"
        case ["alpha", basis]:
            return f"α of {basis.replace('_', ' ')}"
        case ["divergence", *_]:
            return "KL"
        case ["accuracy", *rest]:
            known = next((one.accuracy for one in report.candidates if one.accuracy), None)
            return metric_named(known, rest[-1]).label if known is not None else rest[-1]
    return metric
