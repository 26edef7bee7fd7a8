"""Quantised weights: the code that stands for zero, and weights packed by ONNX Runtime's operators.

A stored integer means ``(q - zero_point) * scale``, and the zero point stands at the node that uses
it, not at the tensor. It is looked up through whatever carries the tensor there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Node, ZeroPoint
from compaudit.models.onnx.elements import packed_bytes, unpack
from compaudit.models.onnx.flow import Flow
from compaudit.models.onnx.tensors import CHUNK_ELEMENTS, Payload, chunks_of_bytes

__all__ = ["Meaning", "meaning_of"]

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

# A tensor is rarely carried over more than a handful of nodes to where it is used.
_FARTHEST = 64

_NF4_ZERO = 7  # the code of 0.0 in the NF4 table (QLoRA, appendix E); FP4 has 0.0 at code 0


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a stored tensor of integers stands for.

    Attributes:
        dtype, shape: of the values, before any packing.
        values: reads one code per value.
        zero_point: the codes that stand for zero; None where 0 does.
        note: what could not be found out, mostly empty.
    """

    dtype: str
    shape: tuple[int, ...]
    values: Callable[[], Iterator[NDArray[Any]]] | None
    zero_point: ZeroPoint | None = None
    note: str = ""


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
        if slot == (0 if node.op == "GatherBlockQuantized" else 1) and key in _PACKED:
            return _PACKED[key](payload, node, _Lookup(flow, payloads)) or plain
        if slot in (slots := _ZERO_POINTS.get(key, {})):
            zero_slot, axis = slots[slot]
            codes = _Lookup(flow, payloads).codes(node, zero_slot)
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
        for node, slot in flow.readers.get(value, ()):
            yield node, slot, axes
        for step in flow.steps.get(value, ()):
            if step.target not in seen and len(seen) < _FARTHEST:
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


@dataclass(frozen=True, slots=True)
class _Lookup:
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


# --------------------------------------------------------------------------- packed weights


def _matmul_n_bits(payload: Payload, node: Node, lookup: _Lookup) -> Meaning | None:
    """MatMulNBits: [N, blocks, bytes], each row padded to whole blocks, lowest bits first."""
    settings = [node.attributes.get(key) for key in ("N", "K", "block_size")]
    bits = node.attributes.get("bits", 4)
    if payload.buffer is None or payload.dtype != "uint8" or bits not in (2, 4, 8):
        return None
    if not all(isinstance(value, int) and value > 0 for value in settings):
        return None
    n, k, block = (int(value) for value in settings if value is not None)
    blocks = -(-k // block)
    if block * bits % 8 or payload.bytes != n * blocks * (block * bits // 8):
        return None
    read, row_bytes = payload.buffer, blocks * (block * bits // 8)
    dtype = f"uint{bits}"

    def values() -> Iterator[NDArray[Any]]:
        rows = read().reshape(n, row_bytes)
        step = max(1, CHUNK_ELEMENTS // (blocks * block))
        for first in range(0, n, step):
            part = rows[first : first + step]
            codes = _codes(part, dtype, len(part) * blocks * block)
            yield codes.reshape(len(part), -1)[:, :k].reshape(-1)

    codes = _zero_points(lookup, node, n, blocks, bits)
    if isinstance(codes, str):
        return Meaning(dtype, (n, k), values, None, codes)
    if codes.size == 1:
        return Meaning(dtype, (n, k), values, ZeroPoint(codes))
    return Meaning(dtype, (n, k), values, ZeroPoint(codes, axis=1, block_size=block))


def _zero_points(
    lookup: _Lookup, node: Node, n: int, blocks: int, bits: int
) -> NDArray[np.integer[Any]] | str:
    """One code for all (the middle of the range, when none is stored), or one a block."""
    if len(node.inputs) <= 3 or not node.inputs[3]:
        return np.array([1 << (bits - 1)], np.uint8)
    stored = lookup.payload(node, 3)
    if stored is None:
        return "its zero points are computed while the model runs"
    if stored.buffer is None or stored.dtype != "uint8":
        return _whole_numbers(stored, n, blocks)
    row = packed_bytes(blocks, bits)
    if stored.bytes != n * row:
        return "its zero points do not fit its blocks"
    codes = _codes(stored.buffer(), f"uint{bits}", n * row * 8 // bits)
    return codes.reshape(n, -1)[:, :blocks]


def _whole_numbers(stored: Payload, n: int, blocks: int) -> NDArray[np.integer[Any]] | str:
    """Zero points stored as real numbers: codes only where they are whole."""
    if stored.elements != n * blocks or stored.values is None:
        return "its zero points do not fit its blocks"
    numbers = stored.array().astype(np.float64)
    if not np.array_equal(numbers, np.rint(numbers)):
        return "its zero points are not whole numbers, so no code stands for zero"
    return numbers.astype(np.int16).reshape(n, blocks)


def _matmul_bnb4(payload: Payload, node: Node, lookup: _Lookup) -> Meaning | None:
    """MatMulBnb4: N x K codes of FP4 or NF4, two to a byte."""
    del lookup
    n, k = node.attributes.get("N"), node.attributes.get("K")
    if payload.buffer is None or not isinstance(n, int) or not isinstance(k, int):
        return None
    elements = n * k
    if n <= 0 or k <= 0 or payload.bytes != packed_bytes(elements, 4):
        return None
    read = payload.buffer
    normal = node.attributes.get("quant_type", 1) == 1
    zero_point = ZeroPoint(np.array([_NF4_ZERO], np.uint8)) if normal else None
    return Meaning("uint4", (n, k), lambda: chunks_of_bytes(read(), "uint4", elements), zero_point)


def _gather_block_quantized(payload: Payload, node: Node, lookup: _Lookup) -> Meaning | None:
    """GatherBlockQuantized: int4, uint4, or uint8 that holds `bits` to a value, packed by rows."""
    bits = node.attributes.get("bits", 4)
    shape, dtype, values = payload.shape, payload.dtype, payload.values
    if not shape:
        return None
    packed = dtype == "uint8" and bits in (2, 4)
    if packed:
        if payload.buffer is None:
            return None
        read, dtype = payload.buffer, f"uint{bits}"
        shape = (*shape[:-1], shape[-1] * 8 // bits)
        elements = payload.bytes * 8 // bits
        values = lambda: chunks_of_bytes(read(), dtype, elements)  # noqa: E731
    axis = int(node.attributes.get("quantize_axis", 1)) % len(shape)
    block = int(node.attributes.get("block_size", 128))
    if len(node.inputs) <= 3 or not node.inputs[3]:
        middle = payload.dtype == "uint8"
        zero_point = ZeroPoint(np.array([1 << (bits - 1)], np.uint8)) if middle else None
        return Meaning(dtype, shape, values, zero_point)
    stored = lookup.payload(node, 3)
    if stored is None or (packed and stored.buffer is None):
        return Meaning(dtype, shape, values, None, "its zero points are not stored")
    blocks = (*shape[:axis], -(-shape[axis] // block), *shape[axis + 1 :])
    codes = stored.array()
    if packed:
        codes = _codes(stored.array(), dtype, stored.bytes * 8 // bits)
        codes = codes.reshape(*stored.shape[:-1], -1)[..., : blocks[-1]]
    if codes.size != np.prod(blocks):
        return Meaning(dtype, shape, values, None, "its zero points do not fit its blocks")
    return Meaning(dtype, shape, values, ZeroPoint(codes.reshape(blocks), axis, block))


_PACKED: dict[tuple[str, str], Callable[[Payload, Node, _Lookup], Meaning | None]] = {
    (MICROSOFT, "MatMulNBits"): _matmul_n_bits,
    (MICROSOFT, "MatMulBnb4"): _matmul_bnb4,
    (MICROSOFT, "GatherBlockQuantized"): _gather_block_quantized,
}


def _codes(data: NDArray[np.uint8], dtype: str, elements: int) -> NDArray[Any]:
    flat = data.reshape(-1)
    return flat[:elements] if dtype == "uint8" else unpack(flat, dtype, elements)
