"""The wording of a ledger."""

from __future__ import annotations

from compaudit.report.rows.base import Page, Section, model_name
from compaudit.results import InspectedModel, Inspection, ModelResult
from compaudit.units import (
    NOT_MEASURED,
    format_bytes,
    format_count,
    format_number,
    format_share,
    format_si,
)

__all__ = ["inspection_page"]


def inspection_page(report: Inspection) -> Page:
    """The page of one or several ledgers."""
    return Page(
        title=", ".join(model_name(model) for model in report.models),
        subtitle="read, not executed",
        verdict=(),
        sections=(
            _inspected_section(report.models),
            *(_role_section(model) for model in report.models),
        ),
        findings=(),
        checks=(),
        footnotes=(),
    )


def _inspected_section(models: list[InspectedModel]) -> Section:
    rows = (
        ("format", [model.format for model in models]),
        ("parameters", [format_count(model.parameters) for model in models]),
        ("nonzero parameters", [format_count(model.nonzero_parameters) for model in models]),
        ("sparsity", [format_share(model.sparsity, 1) for model in models]),
        ("weight bytes", [format_bytes(model.weight_bytes) for model in models]),
        ("file bytes", [format_bytes(model.file_bytes) for model in models]),
        ("graph bytes", [format_bytes(model.graph_bytes) for model in models]),
        ("bits per weight", [format_number(model.bits_per_weight) for model in models]),
        ("entropy bytes", [format_bytes(model.entropy_bytes) for model in models]),
        ("MACs at batch 1", [format_si(m.macs.total if m.macs else None) for m in models]),
        ("precision", [_precision(model) for model in models]),
    )
    return Section(
        "Models",
        ("", *(model_name(model) for model in models)),
        tuple((label, *cells) for label, cells in rows),
    )


def _precision(model: ModelResult) -> str:
    total = sum(model.precision.values())
    shares = sorted(model.precision.items(), key=lambda item: -item[1])
    return ", ".join(f"{dtype} {count / total:.0%}" for dtype, count in shares) or NOT_MEASURED


def _role_section(model: InspectedModel) -> Section:
    roles: dict[str, list[int]] = {}
    for tensor in model.tensors:
        totals = roles.setdefault(tensor.role, [0, 0, 0])
        totals[0] += 1
        totals[1] += tensor.logical_elements if tensor.tied_to is None else 0
        totals[2] += tensor.bytes
    rows = [
        (role, format_count(tensors), format_count(elements), format_bytes(size))
        for role, (tensors, elements, size) in sorted(roles.items(), key=lambda item: -item[1][2])
    ]
    if model.graph_bytes is not None:
        rows.append(("graph", "", "", format_bytes(model.graph_bytes)))
    rows.append(("file", f"{len(model.tensors):,}", "", format_bytes(model.file_bytes)))
    return Section(
        f"{model_name(model)}, by role", ("", "tensors", "elements", "bytes"), tuple(rows)
    )
