"""Accuracy within classes: those that surely changed, or the few that lost most."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.report.rows.base import Column, Section, p_value
from compaudit.results import Accuracy, ClassAccuracy
from compaudit.units import format_count, format_points, format_share

__all__ = ["class_name", "classes_section"]

_MOST, _WORST = 10, 3
_SURE = 0.05
_ONE = 1.5
"""A class that lost a single sample lost nothing worth a line."""


def classes_section(accuracy: Accuracy) -> Section | None:
    """The classes worth a look; None where no class lost anything."""
    classes = accuracy.per_class
    changed = [found for found in classes if found.p_value < _SURE and found.delta]
    if changed:
        shown = sorted(changed, key=lambda found: (found.delta, found.label))[:_MOST]
        title = (
            f"Classes that changed, {format_count(len(changed))} of {format_count(len(classes))}"
        )
    else:
        shown = sorted(
            (found for found in classes if -found.delta * found.samples > _ONE),
            key=lambda found: (found.delta, found.label),
        )[:_WORST]
        title = "Classes that lost most; chance explains each of them"
    if not shown or len(classes) < 2:
        return None
    return Section(
        title,
        (
            Column("class", "name"),
            Column("samples"),
            Column("original"),
            Column("compressed"),
            Column("change"),
            Column("p"),
        ),
        tuple(
            (
                _labelled(found, classes),
                format_count(found.samples),
                format_share(found.original),
                format_share(found.compressed),
                format_points(found.delta),
                p_value(found.p_value),
            )
            for found in shown
        ),
        note=f"p is corrected for {format_count(len(classes))} classes.",
    )


def class_name(accuracy: Accuracy | None, label: int | None) -> str:
    """A class by its name where the data knows it, else by its number."""
    if label is None:
        return ""
    found = next(
        (each.name for each in (accuracy.per_class if accuracy else ()) if each.label == label),
        None,
    )
    return found or str(label)


def _labelled(found: ClassAccuracy, classes: Sequence[ClassAccuracy]) -> str:
    if found.name is None:
        return str(found.label)
    alike = sum(each.name == found.name for each in classes) > 1
    return f"{found.name} ({found.label})" if alike else found.name
