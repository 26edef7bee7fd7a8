"""What a rule sees of an operation: the sizes of its operands, and its attributes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from compaudit.models.base import Node

__all__ = ["Operands", "Rule", "Shape", "UnknownShapeError", "Work", "product"]

Shape = tuple[int, ...]


class UnknownShapeError(Exception):
    """A size that the count needs is not known. `value` names what it is the size of."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value


@dataclass(frozen=True, slots=True)
class Work:
    """Multiply-accumulates of one kind in an operation.

    Attributes:
        macs: how many.
        weights: the inputs that may be a stored weight, the likeliest first; the zeros of the first
            that is one need no multiplication.
        attribute: or the attribute that holds the weight.
    """

    macs: int
    weights: tuple[str, ...] = ()
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Operands:
    """An operation with the sizes of its inputs and outputs.

    Args:
        node: the operation.
        size_of: the sizes of a value by name; None where unknown.
    """

    node: Node
    size_of: Callable[[str], Shape | None]

    def name(self, slot: int | str) -> str:
        """The input in a slot, or under the name of an argument; empty where there is none."""
        if isinstance(slot, str):
            names = self.node.attributes.get("argument_names", ())
            slot = names.index(slot) if slot in names else len(self.node.inputs)
        return self.node.inputs[slot] if slot < len(self.node.inputs) else ""

    def has(self, slot: int | str) -> bool:
        """Whether there is such an input."""
        return self.name(slot) != ""

    def input(self, slot: int | str, rank: int = 0) -> Shape:
        """The sizes of an input. Raises UnknownShapeError, also for fewer than `rank` of them."""
        return self.size(self.name(slot), rank)

    def output(self, slot: int = 0, rank: int = 0) -> Shape:
        """The sizes of an output. Raises UnknownShapeError."""
        outputs = self.node.outputs
        return self.size(outputs[slot] if slot < len(outputs) else "", rank)

    def knows_output(self) -> bool:
        """Whether the sizes of the first output are known."""
        outputs = self.node.outputs
        return bool(outputs) and self.size_of(outputs[0]) is not None

    def group(self, argument: str) -> list[str]:
        """The inputs that are one list argument (torch)."""
        names: Iterable[str] = self.node.attributes.get("argument_names", ())
        return [
            value
            for value, name in zip(self.node.inputs, names, strict=True)
            if name == argument and value
        ]

    def number(self, attribute: str, default: int = 0) -> int:
        """A whole-number attribute."""
        value = self.node.attributes.get(attribute, default)
        return value if isinstance(value, int) else default

    def unknown(self) -> UnknownShapeError:
        """What to raise where the attributes make no sense of the sizes."""
        return UnknownShapeError(next(filter(None, self.node.outputs), ""))

    def size(self, name: str, rank: int = 0) -> Shape:
        """The sizes of a value. Raises UnknownShapeError, also for fewer than `rank` of them."""
        found = self.size_of(name) if name else None
        if found is None or len(found) < rank:
            raise UnknownShapeError(name)
        return found


Rule = Callable[[Operands], list[Work]]


def product(sizes: Iterable[Any]) -> int:
    """The number of elements of these sizes."""
    return math.prod(sizes)
