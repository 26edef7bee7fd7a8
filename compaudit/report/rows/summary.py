"""The figures of one model, each with what it means or why it is missing."""

from __future__ import annotations

from collections.abc import Mapping

from compaudit.report.rows.base import Section, columns
from compaudit.results import InspectedModel, Macs
from compaudit.units import (
    format_bytes,
    format_count,
    format_number,
    format_part,
    format_si,
)

__all__ = ["figures_section"]


def figures_section(model: InspectedModel, missing: Mapping[str, str]) -> Section:
    """What a model is made of.

    Args:
        model: its figures.
        missing: the reason of each figure that is null, by its key.
    """
    macs = model.macs
    rows = [
        ("parameters", format_count(model.parameters), "weights and biases"),
        ("nonzero parameters", format_count(model.nonzero_parameters), _zeros(model.sparsity)),
        (
            "weight bytes",
            format_bytes(model.weight_bytes),
            "parameters and their scales, as stored",
        ),
        (
            "bits per weight",
            format_number(model.bits_per_weight),
            "weight bytes over parameters",
        ),
        ("entropy bytes", format_bytes(model.entropy_bytes), _entropy(model)),
        ("graph bytes", format_bytes(model.graph_bytes), "what of the file is no tensor"),
        ("file bytes", format_bytes(model.file_bytes), _exactly(model.file_bytes)),
        ("MACs at batch 1", format_si(macs.total if macs else None), _coverage(macs)),
    ]
    if macs is not None and macs.nonzero is not None and macs.nonzero != macs.total:
        rows.append(("nonzero MACs", format_si(macs.nonzero), "without those by a zero weight"))
    keys = {"MACs at batch 1": "macs"}
    return Section(
        "What it is made of",
        columns("", "", "", words="last"),
        tuple(
            (label, figure, missing.get(keys.get(label, label.replace(" ", "_")), meaning))
            for label, figure, meaning in rows
        ),
    )


def _zeros(share: float | None) -> str:
    if share is None:
        return ""
    return "none of them is zero" if share == 0 else f"{format_part(share)} of them are zero"


def _entropy(model: InspectedModel) -> str:
    if model.entropy_bits_per_weight is None:
        return "in an ideal code"
    bits = format_number(model.entropy_bits_per_weight)
    return f"in an ideal code: {bits} bits a weight"


def _exactly(size: int | None) -> str:
    return "" if size is None else f"{format_count(size)} bytes, all files together"


def _coverage(macs: Macs | None) -> str:
    if macs is None or macs.total is None:
        return ""
    if macs.coverage is None:
        return "it has no operators"
    if not macs.uncounted_ops:
        return "every operator is counted"
    share = format_part(macs.coverage)
    shown = ", ".join(macs.uncounted_ops[:_SHOWN_OPS])
    more = len(macs.uncounted_ops) - _SHOWN_OPS
    others = f" and {more} more" if more > 0 else ""
    return f"{share} of the operations; not: {shown}{others}"


_SHOWN_OPS = 6
