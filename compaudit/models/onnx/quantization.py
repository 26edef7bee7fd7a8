"""Quantised weights: the code that stands for zero.

A stored integer means ``(q - zero_point) * scale``, and the zero point stands at the node that uses
it, not at the tensor. It is looked up through whatever carries the tensor there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Node, ZeroPoint
from compaudit.models.onnx.flow import FARTHEST, Flow
from compaudit.models.onnx.meaning import Lookup, Meaning
from compaudit.models.onnx.packed import PACKED
from compaudit.models.onnx.tensors import Payload

__all__ = ["meaning_of"]

MICROSOFT = "com.microsoft"

# The slot of the zero point for each data slot, and the axis of one code per channel: a number, or
# the attribute that holds it.
_ZERO_POINTS: dict[tuple[str, str], dict[int, tuple[int, int | str]]] = {
    ("", "DequantizeLinear"): {0: (2, "axis")},
    (MICROSOFT, "DequantizeLinear"): {0: (2, "axis")},
    ("", "QLinearConv"): {3: (5, 0)},
    (MICROSOFT, "QLinearConv"): {3: (5, 0)},
    ("", "QLinearMatMul"): {0: (2, -2), 3: (5, -1)},
    ("", "ConvInteger"): {1: (3, 0)},
    ("", "MatMulInteger"): {0: (2, -2), 1: (3, -1)},
    (MICROSOFT, "MatMulIntegerToFloat"): {0: (4, -2), 1: (5, -1)},
    (MICROSOFT, "DynamicQuantizeMatMul"): {1: (3, -1)},
    (MICROSOFT, "QGemm"): {0: (2, 0), 3: (5, "transB")},
    (MICROSOFT, "QLinearAdd"): {0: (2, 0), 3: (5, 0)},
    (MICROSOFT, "QLinearMul"): {0: (2, 0), 3: (5, 0)},
    (MICROSOFT, "QAttention"): {1: (7, -1)},
    (MICROSOFT, "DynamicQuantizeLSTM"): {1: (9, 0), 2: (11, 0)},
    (MICROSOFT, "QEmbedLayerNormalization"): {2: (13, 0), 3: (14, 0), 4: (15, 0), 5: (16, 0)},
}


def meaning_of(name: str, payload: Payload, flow: Flow, payloads: Mapping[str, Payload]) -> Meaning:
    """The values behind a stored tensor.

    Args:
        name: the tensor.
        payload: what it stores.
        flow: the uses of all values.
        payloads: all stored tensors, for zero points.
    """
    plain = Meaning(payload.dtype, payload.shape, payload.values)
    if not payload.dtype.startswith(("int", "uint")) or payload.values is None:
        return plain
    for node, slot, axes in _uses(name, flow, len(payload.shape)):
        key = (node.domain, node.op)
        if slot == (0 if node.op == "GatherBlockQuantized" else 1) and key in PACKED:
            return PACKED[key](payload, node, Lookup(flow, payloads)) or plain
        if slot in (slots := _ZERO_POINTS.get(key, {})):
            zero_slot, axis = slots[slot]
            codes = Lookup(flow, payloads).codes(node, zero_slot)
            if isinstance(codes, str):
                return Meaning(payload.dtype, payload.shape, payload.values, None, codes)
            return _with_zero_point(plain, codes, node, axis, axes)
    return plain


# ------------------------------------------------------------------------- finding the use

_Axes = tuple[int, ...] | None
"""The tensor's own axis behind each axis at the point of use; None after a reshape."""


def _uses(name: str, flow: Flow, rank: int) -> Iterator[tuple[Node, int, _Axes]]:
    """Every node that takes this tensor, nearest first, seen through what carries it."""
    waiting: list[tuple[str, _Axes]] = [(name, tuple(range(rank)))]
    seen = {name}
    for value, axes in waiting:
        for node, slot in islice(flow.readers.get(value, ()), FARTHEST):
            yield node, slot, axes
        if len(seen) > FARTHEST:
            return
        for step in islice(flow.steps.get(value, ()), FARTHEST):
            if step.target not in seen:
                seen.add(step.target)
                waiting.append((step.target, _moved(axes, step.node)))


def _moved(axes: _Axes, node: Node | None) -> _Axes:
    if axes is None or node is None or node.op in ("Identity", "Cast"):
        return axes
    if node.op == "Transpose":
        order = node.attributes.get("perm", list(range(len(axes)))[::-1])
        if isinstance(order, list) and sorted(order) == list(range(len(axes))):
            return tuple(axes[place] for place in order)
    return None


def _with_zero_point(
    plain: Meaning,
    codes: NDArray[np.integer[Any]],
    node: Node,
    axis_rule: int | str,
    axes: _Axes,
) -> Meaning:
    def known(zero_point: ZeroPoint | None, note: str = "") -> Meaning:
        return Meaning(plain.dtype, plain.shape, plain.values, zero_point, note)

    if codes.size == 0 or not codes.any():
        return known(None)
    if codes.min() == codes.max():
        return known(ZeroPoint(codes.reshape(-1)[:1]))
    rank = len(plain.shape)
    axis = _axis(axis_rule, node)
    if axes is None or not -rank <= axis < rank:
        return known(None, "its zero points cannot be matched to its channels")
    own = axes[axis % rank]
    block = node.attributes.get("block_size", 0)
    if codes.ndim == rank and block:
        back = np.argsort(axes)
        return known(ZeroPoint(codes.transpose(back), own, int(block)))
    if codes.size == plain.shape[own]:
        return known(ZeroPoint(codes.reshape(-1), own))
    return known(None, "its zero points cannot be matched to its channels")


def _axis(rule: int | str, node: Node) -> int:
    match rule:
        case "transB":
            return 0 if node.attributes.get("transB", 0) else 1
        case str():
            return int(node.attributes.get(rule, 1))
        case _:
            return rule
