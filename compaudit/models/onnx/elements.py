"""Element types of ONNX: names, numbers, NumPy types, and unpacking what is packed.

Without importing onnx, so that a process that only runs a model need not load it.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError

__all__ = ["NUMBERS", "NUMPY", "PACKED_BITS", "is_real", "name_of", "packed_bytes", "unpack"]

NUMBERS: dict[str, int] = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "complex64": 14,
    "complex128": 15,
    "bfloat16": 16,
    "float8e4m3fn": 17,
    "float8e4m3fnuz": 18,
    "float8e5m2": 19,
    "float8e5m2fnuz": 20,
    "uint4": 21,
    "int4": 22,
    "float4e2m1": 23,
    "float8e8m0": 24,
    "uint2": 25,
    "int2": 26,
    "float6e2m3": 27,
    "float6e3m2": 28,
}
"""Our name of each element type, and its number in ONNX (TensorProto.DataType)."""

_NAMES = {number: name for name, number in NUMBERS.items()}

NUMPY: dict[str, np.dtype[Any]] = {
    **{f"float{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    **{f"complex{bits}": np.dtype(f"complex{bits}") for bits in (64, 128)},
    **{f"int{bits}": np.dtype(f"int{max(bits, 8)}") for bits in (2, 4, 8, 16, 32, 64)},
    **{f"uint{bits}": np.dtype(f"uint{max(bits, 8)}") for bits in (2, 4, 8, 16, 32, 64)},
    "bool": np.dtype(np.bool_),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "float8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "float8e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "float8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "float6e2m3": np.dtype(ml_dtypes.float6_e2m3fn),
    "float6e3m2": np.dtype(ml_dtypes.float6_e3m2fn),
    "float4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
}
"""The NumPy type that one unpacked element has; strings have none."""

PACKED_BITS = {
    **dict.fromkeys(("int2", "uint2"), 2),
    **dict.fromkeys(("int4", "uint4", "float4e2m1"), 4),
    **dict.fromkeys(("float6e2m3", "float6e3m2"), 6),
}
"""Bits of the types that share bytes, lowest bits first."""


def name_of(data_type: int) -> str:
    """``1`` → ``float32``, ``22`` → ``int4``. Raises RequestError for a number that is no type."""
    try:
        return _NAMES[data_type]
    except KeyError:
        raise RequestError(
            f"a tensor has element type {data_type}, which ONNX does not define",
            hint="export the model again, or update the onnx package",
            code="broken-model",
        ) from None


def is_real(dtype: str) -> bool:
    """Whether its elements are real (or complex) numbers rather than integers, codes or text."""
    return dtype.startswith(("float", "bfloat", "complex"))


def packed_bytes(elements: int, bits: int) -> int:
    """Bytes that so many elements fill when they are stored without gaps."""
    return -(-elements * bits // 8)


def unpack(data: NDArray[np.uint8], dtype: str, elements: int) -> NDArray[Any]:
    """Whole bytes → one value or integer code per element.

    Args:
        data: the bytes; starts at the first bit of an element.
        dtype: one of `PACKED_BITS`.
        elements: how many to return, at most as many as `data` holds.
    """
    bits = PACKED_BITS[dtype]
    codes = _split(data, bits)[:elements]
    match dtype:
        case "int4" | "int2":
            sign = 1 << (bits - 1)
            return ((codes ^ sign).astype(np.int8) - sign).astype(np.int8)
        case "uint4" | "uint2":
            return codes
        case _:
            return codes.view(NUMPY[dtype])


def _split(data: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    if bits == 6:
        return _split_sixes(data)
    per_byte = 8 // bits
    codes = np.empty((data.size, per_byte), np.uint8)
    for position in range(per_byte):
        codes[:, position] = (data >> (bits * position)) & ((1 << bits) - 1)
    return codes.reshape(-1)


def _split_sixes(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    padded = np.zeros(-(-data.size // 3) * 3, np.uint32)
    padded[: data.size] = data
    first, second, third = padded.reshape(-1, 3).T
    word = first | second << 8 | third << 16
    codes = np.empty((word.size, 4), np.uint8)
    for position in range(4):
        codes[:, position] = (word >> (6 * position)) & 0x3F
    return codes.reshape(-1)
