"""Weights packed by ONNX Runtime's own operators: MatMulNBits, MatMulBnb4, GatherBlockQuantized.

They are stored as bytes without a shape of their own; the node that uses them says what they are.
Layouts as in onnxruntime/core/graph/contrib_ops/contrib_defs.cc, checked against what it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Node, ZeroPoint
from compaudit.models.onnx.elements import packed_bytes, unpack
from compaudit.models.onnx.meaning import Lookup, Meaning
from compaudit.models.onnx.tensors import CHUNK_ELEMENTS, Payload, chunks_of_bytes

__all__ = ["PACKED"]

MICROSOFT = "com.microsoft"

_NF4_ZERO = 7  # the code of 0.0 in the NF4 table (QLoRA, appendix E); FP4 has 0.0 at code 0
_FP4_MINUS_ZERO = 8


def _matmul_n_bits(payload: Payload, node: Node, lookup: Lookup) -> Meaning | None:
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
    lookup: Lookup, node: Node, n: int, blocks: int, bits: int
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


def _matmul_bnb4(payload: Payload, node: Node, lookup: Lookup) -> Meaning | None:
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

    def values() -> Iterator[NDArray[Any]]:
        data = read()
        for first in range(0, data.size, CHUNK_ELEMENTS // 2):
            part = data[first : first + CHUNK_ELEMENTS // 2]
            count = min(2 * part.size, elements - 2 * first)
            codes = unpack(_swapped(part), "uint4", count)  # the high half comes first
            if not normal:
                codes[codes == _FP4_MINUS_ZERO] = 0
            yield codes

    return Meaning("uint4", (n, k), values, zero_point)


def _gather_block_quantized(payload: Payload, node: Node, lookup: Lookup) -> Meaning | None:
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


PACKED: dict[tuple[str, str], Callable[[Payload, Node, Lookup], Meaning | None]] = {
    (MICROSOFT, "MatMulNBits"): _matmul_n_bits,
    (MICROSOFT, "MatMulBnb4"): _matmul_bnb4,
    (MICROSOFT, "GatherBlockQuantized"): _gather_block_quantized,
}


def _swapped(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes with their halves exchanged."""
    swapped: NDArray[np.uint8] = np.bitwise_or(data >> 4, data << 4, dtype=np.uint8)
    return swapped


def _codes(data: NDArray[np.uint8], dtype: str, elements: int) -> NDArray[Any]:
    flat = data.reshape(-1)
    return flat[:elements] if dtype == "uint8" else unpack(flat, dtype, elements)
