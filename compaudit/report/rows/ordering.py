"""The order of layers and tensors, and how many of them are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from compaudit.report.view import Sort, View
from compaudit.results import LayerSide, TensorResult

__all__ = ["Arranged", "arranged", "layer_key", "others", "sum_of", "tensor_key", "zeros_of"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Arranged(Generic[Item]):
    """What is shown, and what is summed up in one row."""

    shown: list[Item]
    rest: list[Item]


def arranged(
    items: Sequence[Item], key: Callable[[Item, Sort], float | str | None], view: View
) -> Arranged[Item]:
    """Items as `view` wants them: the largest first, unknown ones last, names from A to Z."""
    ordered = list(items)
    sort = view.sort
    if sort == "name":
        ordered.sort(key=lambda item: _natural(str(key(item, "name"))))
    elif sort is not None:
        ordered.sort(key=lambda item: _descending(key(item, sort)))
    top = len(ordered) if view.top is None else view.top
    return Arranged(ordered[:top], ordered[top:])


def others(rest: Sequence[object], what: str) -> str:
    """How the row of the rest is called."""
    return f"1 other {what}" if len(rest) == 1 else f"{len(rest):,} other {what}s"


def layer_key(layer: LayerSide, sort: Sort) -> float | str | None:
    """What a layer is ordered by."""
    match sort:
        case "name":
            return layer.name
        case "bytes":
            return layer.weight_bytes
        case "parameters":
            return layer.parameters
        case "macs":
            return layer.macs
        case "sparsity":
            return zeros_of(layer.parameters, layer.nonzero_parameters)
        case "bits":
            return layer.bits_per_weight


def tensor_key(tensor: TensorResult, sort: Sort) -> float | str | None:
    """What a tensor is ordered by; it has no MACs of its own."""
    match sort:
        case "name":
            return tensor.name
        case "bytes":
            return tensor.bytes
        case "parameters":
            return tensor.logical_elements
        case "sparsity":
            return zeros_of(tensor.logical_elements, tensor.nonzeros)
        case "bits":
            return tensor.bits
        case "macs":
            return None


def zeros_of(elements: int, nonzeros: int | None) -> float | None:
    """The share of zeros, 0 to 1; None where it is not known or there is nothing."""
    return None if nonzeros is None or not elements else 1 - nonzeros / elements


def sum_of(values: Sequence[int | None]) -> int | None:
    """The sum; None where a value is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _descending(value: float | str | None) -> tuple[bool, float]:
    return (True, 0.0) if value is None else (False, -float(value))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """``layer.2`` before ``layer.10``."""
    parts = re.split(r"(\d+)", name)
    return [
        (0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part)
        for part in parts
    ]
