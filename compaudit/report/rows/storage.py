"""How a model is stored and how it computes: roles, element types, quantisation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from compaudit.report.rows.base import Column, Section, columns
from compaudit.results import InspectedModel, ModelResult, TensorResult
from compaudit.units import NOT_MEASURED, format_count, format_part, format_shape

__all__ = [
    "ROLES",
    "precision_section",
    "quantization_section",
    "role_bytes",
    "roles_section",
    "share_of",
    "types_of",
]

ROLES = {
    "weight": "what was learned",
    "bias": "what was learned, added",
    "quantization": "scales, zero points, codebooks",
    "buffer": "running statistics and the like",
    "constant": "shapes, axes, masks",
    "unused": "nothing reads it",
    "unclassified": "no rule says what it is",
}
"""Every role of a tensor, and what it means."""

_SCHEMES = {"per_tensor": "per tensor", "per_channel": "per channel", "blocked": "in blocks"}


def roles_section(model: InspectedModel) -> Section:
    """What the stored tensors are for; with the graph they are the file."""
    tensors = Counter(tensor.role for tensor in model.tensors)
    elements = model.elements_by_role
    sizes = role_bytes(model)
    held = sum(sizes.values())
    whole = held if model.file_bytes is None else model.file_bytes
    rows = [
        (
            role,
            format_count(tensors[role]),
            format_count(elements.get(role, 0)),
            format_count(size),
            format_part(size / whole if whole else None),
            ROLES.get(role, ""),
        )
        for role, size in sizes.items()
    ]
    total = format_count(len(model.tensors))
    if model.graph_bytes is None or model.file_bytes is None:
        footer = ("tensors", total, format_count(sum(elements.values())), format_count(held))
        share = format_part(1.0 if held else None)
    else:
        rows.append(
            (
                "graph",
                "",
                "",
                format_count(model.graph_bytes),
                format_part(model.graph_bytes / whole if whole else None),
                "operators, names, padding",
            )
        )
        footer = ("file", total, format_count(sum(elements.values())), format_count(whole))
        share = format_part(1.0 if whole else None)
    return Section(
        "What is stored",
        columns("", "tensors", "elements", "bytes", "share", "", words="last"),
        tuple(rows),
        (*footer, share, ""),
    )


def role_bytes(model: InspectedModel) -> dict[str, int]:
    """Bytes by role, in the order of `ROLES`."""
    sizes: Counter[str] = Counter()
    for tensor in model.tensors:
        sizes[tensor.role] += tensor.bytes
    known = [role for role in ROLES if role in sizes]
    return {role: sizes[role] for role in [*known, *(set(sizes) - set(known))]}


def precision_section(model: InspectedModel) -> Section | None:
    """Element types that parameters are stored in and computed with."""
    types = types_of(model)
    if not types:
        return None
    rows = [
        (
            dtype,
            _count_of(model.precision, dtype),
            share_of(model.precision, dtype),
            _count_of(model.computed_precision, dtype),
            share_of(model.computed_precision, dtype),
        )
        for dtype in types
    ]
    return Section(
        "How the parameters are stored, and what the graph computes with",
        columns("", "stored", "share", "computed", "share"),
        tuple(rows),
    )


def types_of(*models: ModelResult) -> list[str]:
    """All element types of parameters, those of most parameters first, ``unknown`` last."""
    counted: Counter[str] = Counter()
    for model in models:
        counted.update(model.precision)
        counted.update(model.computed_precision)
    return sorted(counted, key=lambda dtype: (dtype == "unknown", -counted[dtype]))


def share_of(counts: Mapping[str, int], key: str) -> str:
    """The share of one kind among all that were counted."""
    total = sum(counts.values())
    if not total:
        return NOT_MEASURED
    return format_part(counts[key] / total) if key in counts else ""


def _count_of(counts: Mapping[str, int], key: str) -> str:
    return format_count(counts[key]) if key in counts else ""


def quantization_section(model: InspectedModel) -> Section | None:
    """How far scales reach and whether zero is in the middle; None where nothing is quantised."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for tensor in model.tensors:
        if tensor.role in ("weight", "bias") and tensor.tied_to is None:
            counted[_scheme(tensor)] += tensor.logical_elements
    if set(counted) <= {_NOT_QUANTIZED}:
        return None
    total = sum(counted.values())
    return Section(
        "Quantisation",
        (
            Column("", "name"),
            Column("zero point", "words"),
            Column("stored as", "words"),
            Column("parameters"),
            Column("share"),
        ),
        tuple(
            (*kind, format_count(count), format_part(count / total if total else None))
            for kind, count in counted.most_common()
        ),
    )


_NOT_QUANTIZED = ("not quantised", "", "")


def _scheme(tensor: TensorResult) -> tuple[str, str, str]:
    if tensor.scheme is None:
        return _NOT_QUANTIZED
    reach = _SCHEMES[tensor.scheme]
    if tensor.scheme == "blocked" and tensor.block is not None:
        reach = f"in blocks of {format_shape(tensor.block)}"
    middle = {True: "symmetric", False: "asymmetric", None: NOT_MEASURED}[tensor.symmetric]
    return reach, middle, tensor.dtype
