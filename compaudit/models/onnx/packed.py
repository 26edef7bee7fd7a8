"""Weights packed by ONNX Runtime's own operators: MatMulNBits, MatMulBnb4, GatherBlockQuantized.

They are stored as bytes without a shape of their own; the node that uses them says what they are.
Layouts as in onnxruntime/core/graph/contrib_ops/contrib_defs.cc, checked against what it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Node
from compaudit.models.onnx.elements import packed_bytes, unpack
from compaudit.models.onnx.meaning import Lookup, Meaning
from compaudit.models.onnx.tensors import CHUNK_ELEMENTS, Payload, chunks_of_bytes
from compaudit.models.quantized import Quantization, Shared

__all__ = ["PACKED"]

MICROSOFT = "com.microsoft"

# QLoRA (arXiv 2305.14314), appendix E.
_NF4 = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ]
)
# bitsandbytes' FP4: three bits of magnitude below a sign, the largest being 1.
_FP4_MAGNITUDES = np.array(
    [0.0, 0.0625 / 12, 8.0 / 12, 1.0, 4.0 / 12, 6.0 / 12, 2.0 / 12, 3.0 / 12]
)
_FP4 = np.concatenate([_FP4_MAGNITUDES, -_FP4_MAGNITUDES])


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

    scale = _scales(lookup, node, (n, blocks), block)
    codes = _zero_points(lookup, node, n, blocks, bits)
    if isinstance(codes, str):
        return Meaning(dtype, (n, k), values, Quantization(scale), codes)
    zero = Shared.one(codes) if codes.size == 1 else Shared.blocked(codes, 1, block)
    return Meaning(dtype, (n, k), values, Quantization(scale, zero))


def _scales(lookup: Lookup, node: Node, counts: tuple[int, ...], block: int) -> Shared | None:
    """The scales in slot 2, one a block of the last axis; None where they do not fit."""
    numbers = lookup.numbers(node, 2)
    if numbers is None or numbers.size != np.prod(counts):
        return None
    return Shared.blocked(numbers.reshape(counts), -1, block)


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
    n, k = node.attributes.get("N"), node.attributes.get("K")
    if payload.buffer is None or not isinstance(n, int) or not isinstance(k, int):
        return None
    elements = n * k
    if n <= 0 or k <= 0 or payload.bytes != packed_bytes(elements, 4):
        return None
    read = payload.buffer
    normal = node.attributes.get("quant_type", 1) == 1
    quantization = Quantization(
        _absolute_maxima(lookup, node, n, k), codebook=_NF4 if normal else _FP4
    )

    def values() -> Iterator[NDArray[Any]]:
        data = read()
        for first in range(0, data.size, CHUNK_ELEMENTS // 2):
            part = data[first : first + CHUNK_ELEMENTS // 2]
            count = min(2 * part.size, elements - 2 * first)
            yield unpack(_swapped(part), "uint4", count)  # the high half comes first

    return Meaning("uint4", (n, k), values, quantization)


def _absolute_maxima(lookup: Lookup, node: Node, n: int, k: int) -> Shared | None:
    """One scale for `block_size` consecutive weights, where blocks do not reach over rows."""
    block = node.attributes.get("block_size")
    if not isinstance(block, int) or block <= 0 or k % block:
        return None
    return _scales(lookup, node, (n, k // block), block)


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
    blocks = (*shape[:axis], -(-shape[axis] // block), *shape[axis + 1 :])
    numbers = lookup.numbers(node, 2)
    scale = None
    if numbers is not None and numbers.size == np.prod(blocks):
        scale = Shared.blocked(numbers.reshape(blocks), axis, block)
    if len(node.inputs) <= 3 or not node.inputs[3]:
        middle = payload.dtype == "uint8"
        zero_point = Shared.one(np.uint8(1 << (bits - 1))) if middle else None
        return Meaning(dtype, shape, values, Quantization(scale, zero_point))
    stored = lookup.payload(node, 3)
    if stored is None or (packed and stored.buffer is None):
        return Meaning(dtype, shape, values, Quantization(scale), "its zero points are not stored")
    codes = stored.array()
    if packed:
        codes = _codes(stored.array(), dtype, stored.bytes * 8 // bits)
        codes = codes.reshape(*stored.shape[:-1], -1)[..., : blocks[-1]]
    if codes.size != np.prod(blocks):
        return Meaning(
            dtype, shape, values, Quantization(scale), "its zero points do not fit its blocks"
        )
    zero_point = Shared.blocked(codes.reshape(blocks), axis, block)
    return Meaning(dtype, shape, values, Quantization(scale, zero_point))


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
