"""Every layer and every stored tensor, in columns that add up."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.report.rows.base import Bar, Cell, Column, Section, counted
from compaudit.report.rows.ordering import (
    arranged,
    layer_key,
    others,
    sum_of,
    tensor_key,
    zeros_of,
)
from compaudit.report.rows.places import op_name
from compaudit.report.view import View
from compaudit.results import InspectedModel, LayerSide, TensorResult
from compaudit.units import format_count, format_number, format_part, format_shape, format_si

__all__ = ["layers_section", "tensors_section"]


def layers_section(model: InspectedModel, view: View, title: str) -> Section:
    """All layers of a model; their parameters, bytes and MACs add up to the model's."""
    found = arranged(model.layers, layer_key, view)
    whole = sum(layer.weight_bytes for layer in model.layers)
    longest = max((layer.weight_bytes for layer in model.layers), default=0)
    rows = [
        _layer_row(layer.name, op_name(layer.op), [layer], whole, longest) for layer in found.shown
    ]
    if found.rest:
        rows.append(_layer_row(others(found.rest, "layer"), "", found.rest, whole, None))
    return Section(
        title,
        (
            Column("layer", "name", least=20),
            Column("operator", "name", least=10, drop=1),
            Column("parameters", drop=3),
            Column("bytes"),
            Column("share", drop=4),
            Column("", "bar", drop=2),
            Column("bits"),
            Column("zeros"),
            Column("MACs"),
        ),
        tuple(rows),
        _layer_row(counted(len(model.layers), "layer"), "", model.layers, whole, None),
    )


def _layer_row(
    name: str, op: str, layers: Sequence[LayerSide], whole: int, longest: int | None
) -> tuple[Cell, ...]:
    parameters = sum(layer.parameters for layer in layers)
    size = sum(layer.weight_bytes for layer in layers)
    nonzeros = sum_of([layer.nonzero_parameters for layer in layers])
    return (
        name,
        op,
        format_count(parameters),
        format_count(size),
        format_part(size / whole if whole else None),
        Bar(size / longest) if longest else "",
        format_number(8 * size / parameters if parameters else None),
        format_part(zeros_of(parameters, nonzeros)),
        format_si(sum_of([layer.macs for layer in layers])),
    )


def tensors_section(model: InspectedModel, view: View, title: str) -> Section:
    """All stored tensors of a model; their bytes and those of the graph are the file's."""
    found = arranged(model.tensors, tensor_key, view)
    rows = [
        (
            tensor.name,
            tensor.role,
            tensor.dtype,
            format_shape(tensor.shape),
            *_tensor_figures([tensor]),
            _remark(tensor),
        )
        for tensor in found.shown
    ]
    if found.rest:
        rest = others(found.rest, "tensor")
        rows.append((rest, "", "", "", *_tensor_figures(found.rest), ""))
    remarks = any(row[-1] for row in rows)
    columns = (
        Column("tensor", "name", least=28),
        Column("role", "name", least=12),
        Column("type", "name", least=8),
        Column("shape"),
        Column("elements", drop=3),
        Column("bytes"),
        Column("zeros", drop=1),
        Column("entropy bits", drop=2),
        Column("remark", "words", drop=4),
    )
    kept = len(columns) if remarks else len(columns) - 1
    total = f"{len(model.tensors):,} tensors"
    footer: tuple[Cell, ...] = (total, "", "", "", *_tensor_figures(model.tensors), "")
    return Section(
        title,
        columns[:kept],
        tuple(row[:kept] for row in rows),
        footer[:kept],
    )


def _tensor_figures(tensors: Sequence[TensorResult]) -> tuple[str, ...]:
    """Elements (tied ones once), bytes, zeros, and bits of entropy for each element."""
    own = [tensor for tensor in tensors if tensor.tied_to is None] or tensors
    elements = sum(tensor.logical_elements for tensor in own)
    nonzeros = sum_of([tensor.nonzeros for tensor in own])
    bits = [tensor.entropy_bits for tensor in own]
    known = [value for value in bits if value is not None]
    mean = None
    if elements and len(known) == len(bits):
        weighted = zip(known, own, strict=True)
        mean = sum(value * tensor.logical_elements for value, tensor in weighted) / elements
    return (
        format_count(elements),
        format_count(sum(tensor.bytes for tensor in tensors)),
        format_part(zeros_of(elements, nonzeros)),
        format_number(mean),
    )


def _remark(tensor: TensorResult) -> str:
    parts = [tensor.note]
    if tensor.tied_to is not None:
        parts.insert(0, f"tied to {tensor.tied_to}")
    if tensor.duplicate_of is not None:
        parts.insert(0, f"same bytes as {tensor.duplicate_of}")
    return "; ".join(part for part in parts if part)
