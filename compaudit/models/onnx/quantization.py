"""Quantised weights: the scale and the zero point of their codes.

A stored integer means ``(q - zero_point) * scale``, and both stand at the node that uses it, not at
the tensor. They are looked up through whatever carries the tensor there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Node, Role, Tensor
from compaudit.models.onnx.flow import FARTHEST, Flow
from compaudit.models.onnx.meaning import Lookup, Meaning
from compaudit.models.onnx.packed import PACKED
from compaudit.models.onnx.tensors import Payload
from compaudit.models.quantized import Quantization, Shared

__all__ = ["meaning_of", "with_product_scales"]

MICROSOFT = "com.microsoft"
_CODES = ("int", "uint", "float8", "float4")


class _Slots(NamedTuple):
    """Where the scale and the zero point of a data slot stand, and the axis of one per channel.

    The axis is a number, or the attribute that holds it.
    """

    scale: int | None
    zero_point: int
    axis: int | str


_QUANTIZED: dict[tuple[str, str], dict[int, _Slots]] = {
    ("", "DequantizeLinear"): {0: _Slots(1, 2, "axis")},
    (MICROSOFT, "DequantizeLinear"): {0: _Slots(1, 2, "axis")},
    ("", "QLinearConv"): {3: _Slots(4, 5, 0)},
    (MICROSOFT, "QLinearConv"): {3: _Slots(4, 5, 0)},
    ("", "QLinearMatMul"): {0: _Slots(1, 2, -2), 3: _Slots(4, 5, -1)},
    ("", "ConvInteger"): {1: _Slots(None, 3, 0)},
    ("", "MatMulInteger"): {0: _Slots(None, 2, -2), 1: _Slots(None, 3, -1)},
    (MICROSOFT, "MatMulIntegerToFloat"): {0: _Slots(2, 4, -2), 1: _Slots(3, 5, -1)},
    (MICROSOFT, "DynamicQuantizeMatMul"): {1: _Slots(2, 3, -1)},
    (MICROSOFT, "QGemm"): {0: _Slots(1, 2, 0), 3: _Slots(4, 5, "transB")},
    (MICROSOFT, "QLinearAdd"): {0: _Slots(1, 2, 0), 3: _Slots(4, 5, 0)},
    (MICROSOFT, "QLinearMul"): {0: _Slots(1, 2, 0), 3: _Slots(4, 5, 0)},
    (MICROSOFT, "QAttention"): {1: _Slots(4, 7, -1)},
    (MICROSOFT, "DynamicQuantizeLSTM"): {1: _Slots(8, 9, 0), 2: _Slots(10, 11, 0)},
    (MICROSOFT, "QEmbedLayerNormalization"): {
        slot: _Slots(slot + 6, slot + 11, 0) for slot in range(2, 7)
    },
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
    if not payload.dtype.startswith(_CODES) or payload.values is None:
        return plain
    for node, slot, axes in _uses(name, flow, len(payload.shape)):
        key = (node.domain, node.op)
        if slot == (0 if node.op == "GatherBlockQuantized" else 1) and key in PACKED:
            return PACKED[key](payload, node, Lookup(flow, payloads)) or plain
        if slot in (places := _QUANTIZED.get(key, {})):
            return _quantized(plain, places[slot], node, axes, Lookup(flow, payloads))
    return plain


def with_product_scales(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The weights of integer products with their scale, which is multiplied in behind the product.

    Only where one stored scale alone serves the product, and fits.
    """
    scales: dict[str, list[Tensor]] = defaultdict(list)
    for tensor in tensors:
        real = tensor.dtype.startswith(("float", "bfloat"))
        if tensor.role is Role.QUANTIZATION and tensor.use is not None and real:
            scales[tensor.use.node].append(tensor)
    return [_with_scale(tensor, scales) for tensor in tensors]


def _with_scale(tensor: Tensor, scales: Mapping[str, Sequence[Tensor]]) -> Tensor:
    codes, use = tensor.quantization, tensor.use
    if codes is None or codes.scale is not None or use is None:
        return tensor
    axis = {"ConvInteger": 0, "MatMulInteger": -1}.get(use.op)
    serving = scales.get(use.node, ())
    if axis is None or len(serving) != 1 or serving[0].values is None:
        return tensor
    numbers = np.concatenate(list(serving[0].values()))
    if numbers.size == 1:
        scale = Shared.one(numbers)
    elif tensor.shape and numbers.size == tensor.shape[axis]:
        scale = Shared.per_channel(numbers, axis, tensor.shape)
    else:
        return tensor
    return replace(tensor, quantization=replace(codes, scale=scale))


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


def _quantized(plain: Meaning, place: _Slots, node: Node, axes: _Axes, lookup: Lookup) -> Meaning:
    """The meaning with what can be found of its scale and its zero point."""
    scales = None if place.scale is None else lookup.numbers(node, place.scale)
    scale = None if scales is None else _shared(scales, plain.shape, node, place.axis, axes)
    codes = lookup.codes(node, place.zero_point)
    note, zero_point = "", None
    if isinstance(codes, str):
        note = codes
    elif codes.size and codes.any():
        zero_point = _shared(codes, plain.shape, node, place.axis, axes)
        if zero_point is None:
            note = "its zero points cannot be matched to its channels"
    return Meaning(plain.dtype, plain.shape, plain.values, Quantization(scale, zero_point), note)


def _shared(
    numbers: NDArray[Any],
    shape: tuple[int, ...],
    node: Node,
    axis_rule: int | str,
    axes: _Axes,
) -> Shared | None:
    """Scales or zero points as the tensor sees them; None where they fit none of its axes."""
    if numbers.size == 0:
        return None
    if numbers.size == 1:
        return Shared.one(numbers)
    rank = len(shape)
    axis = _axis(axis_rule, node)
    if axes is not None and -rank <= axis < rank:
        own = axes[axis % rank]
        block = node.attributes.get("block_size", 0)
        if numbers.ndim == rank and block:
            back = np.argsort(axes)
            return Shared.blocked(numbers.transpose(back), own, int(block))
        if numbers.size == shape[own]:
            return Shared.per_channel(numbers.reshape(-1), own, shape)
    # Which one belongs to which channel does not matter where they are all the same.
    return Shared.one(numbers.reshape(-1)[0]) if numbers.min() == numbers.max() else None


def _axis(rule: int | str, node: Node) -> int:
    match rule:
        case "transB":
            return 0 if node.attributes.get("transB", 0) else 1
        case str():
            return int(node.attributes.get(rule, 1))
        case _:
            return rule
