"""The wording of a ledger."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.report.rows.base import Note, Page, Section
from compaudit.report.rows.lists import layers_section, tensors_section
from compaudit.report.rows.missing import footnotes, kept_together, missing
from compaudit.report.rows.places import places_section
from compaudit.report.rows.several import lined_up_layers, lined_up_sections, names_of
from compaudit.report.rows.storage import (
    precision_section,
    quantization_section,
    roles_section,
)
from compaudit.report.rows.summary import figures_section
from compaudit.report.rows.zeros import zeros_section
from compaudit.report.view import View
from compaudit.results import InspectedModel, Inspection

__all__ = ["inspection_page"]


def inspection_page(report: Inspection, view: View) -> Page:
    """The page of one or several ledgers."""
    several = len(report.models) > 1
    sections = _of_several(report.models, view) if several else _of_one(report, view)
    return Page(
        title=", ".join(names_of(report.models)),
        subtitle="read, not executed"
        if several
        else f"{report.models[0].format}, read, not executed",
        verdict=_unread(report),
        sections=tuple(sections),
        findings=(),
        checks=(),
        footnotes=footnotes(report) if several else kept_together(report.models[0]),
    )


def _unread(report: Inspection) -> tuple[Note, ...]:
    """The models that could not be read; the advice of the gravest error."""
    return tuple(
        Note(
            "not read",
            skipped.reason,
            report.error.hint if report.error and report.error.message in skipped.reason else "",
            "bad",
        )
        for skipped in report.skipped
        if skipped.metric == "models"
    )


def _of_one(report: Inspection, view: View) -> list[Section]:
    (model,) = report.models
    sections: list[Section | None] = [figures_section(model, missing(report, 0))]
    if not view.layers and not view.tensors:
        sections += [
            places_section(model),
            roles_section(model),
            precision_section(model),
            quantization_section(model),
            zeros_section(model),
        ]
    if view.layers:
        sections.append(layers_section(model, view, "Layers"))
    if view.tensors:
        sections.append(tensors_section(model, view, "Tensors"))
    return [section for section in sections if section is not None]


def _of_several(models: Sequence[InspectedModel], view: View) -> list[Section]:
    sections = list(lined_up_sections(models))
    if view.layers:
        sections += lined_up_layers(models, view)
    if view.tensors:
        sections += [
            tensors_section(model, view, f"Tensors of {name}")
            for model, name in zip(models, names_of(models), strict=True)
        ]
    return sections
