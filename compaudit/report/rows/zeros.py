"""Where the zeros of a model's weights lie, and what an execution could make of them."""

from __future__ import annotations

from collections import Counter

from compaudit.report.rows.base import Column, Section
from compaudit.results import InspectedModel, Sparsity
from compaudit.units import format_count, format_part, format_shape

__all__ = ["zeros_section"]

_WORTH_TELLING = 0.05
"""The share of zeros from which on their places are told: quantising alone makes a few."""


def zeros_section(model: InspectedModel) -> Section | None:
    """The patterns of zeros, those of most zeros first; None for a model with hardly any."""
    if model.sparsity is None or model.sparsity < _WORTH_TELLING:
        return None
    tensors: Counter[tuple[str, str]] = Counter()
    zeros: Counter[tuple[str, str]] = Counter()
    for tensor in model.tensors:
        found = tensor.sparsity_structure
        if found is not None and found.zeros:
            tensors[_pattern(found), found.usable] += 1
            zeros[_pattern(found), found.usable] += found.zeros
    whole = sum(zeros.values())
    if not whole:
        return None
    return Section(
        "Zeros of the weights, and what an execution could make of them",
        (
            Column("", "name", least=12),
            Column("tensors"),
            Column("zeros"),
            Column("share"),
            Column("of use to", "words"),
        ),
        tuple(
            (
                kind[0],
                format_count(tensors[kind]),
                format_count(count),
                format_part(count / whole),
                kind[1],
            )
            for kind, count in zeros.most_common()
        ),
    )


def _pattern(found: Sparsity) -> str:
    match found.structure:
        case "n_m":
            return f"{found.n}:{found.m}"
        case "channel":
            return "whole channels"
        case "block":
            return f"blocks of {format_shape(found.block or ())}"
        case "unstructured":
            return "unstructured"
        case "dense":
            return "a few"
