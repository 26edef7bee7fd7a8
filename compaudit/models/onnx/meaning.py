"""What stored integers stand for, and how the numbers beside them are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Node
from compaudit.models.onnx.elements import is_real
from compaudit.models.onnx.flow import Flow
from compaudit.models.onnx.tensors import Payload
from compaudit.models.quantized import Quantization

__all__ = ["Lookup", "Meaning", "is_mask"]

_HIDDEN = -1e4
"""What a mask adds to a score that shall not count, or less; float16 ends at −65,504."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a stored tensor of integers stands for.

    Attributes:
        dtype, shape: of the values, before any packing.
        values: reads one code per value.
        quantization: what they stand for; None where no operator says so.
        note: what could not be found out, mostly empty.
    """

    dtype: str
    shape: tuple[int, ...]
    values: Callable[[], Iterator[NDArray[Any]]] | None
    quantization: Quantization | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Finds the stored tensor behind an input of a node."""

    flow: Flow
    payloads: Mapping[str, Payload]

    def payload(self, node: Node, slot: int) -> Payload | None:
        """None where the input is absent or computed."""
        name = node.inputs[slot] if slot < len(node.inputs) else ""
        return self.payloads.get(self.flow.single_source(name)) if name else None

    def codes(self, node: Node, slot: int) -> NDArray[np.integer[Any]] | str:
        """The zero point's codes in its own shape, or why they are not known."""
        if slot >= len(node.inputs) or not node.inputs[slot]:
            return np.zeros((), np.uint8)
        payload = self.payload(node, slot)
        if payload is None:
            return "its zero point is computed while the model runs"
        if not payload.dtype.startswith(("int", "uint")):
            return np.zeros((), np.uint8)  # the zero point of an fp8 type is always zero
        return payload.array().reshape(payload.shape)

    def numbers(self, node: Node, slot: int) -> NDArray[Any] | None:
        """Stored numbers (scales) in their own shape; None where they are absent or computed."""
        payload = self.payload(node, slot)
        if payload is None or payload.values is None:
            return None
        return payload.array().reshape(payload.shape)


def is_mask(payload: Payload) -> bool:
    """Whether these numbers hide attention scores: zeros and hugely negative ones, nothing else.

    Exporters store a causal mask as an operand of an addition, where a bias stands too.
    """
    if payload.values is None or len(payload.shape) < 2 or not is_real(payload.dtype):
        return False
    hides = False
    for chunk in payload.values():
        hidden = chunk <= _HIDDEN
        if not bool((hidden | (chunk == 0)).all()):
            return False
        hides = hides or bool(hidden.any())
    return hides
