"""Between ONNX Runtime's values and NumPy arrays: types, shapes, and what is no array at all."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Dimension, Value
from compaudit.models.onnx.elements import NUMBERS, NUMPY, PACKED_BITS, unpack

__all__ = ["HANDED_OVER", "as_array", "described", "dtype_of"]

HANDED_OVER = frozenset(
    name for name in NUMBERS if name.startswith(("bfloat", "float8")) or name in PACKED_BITS
)
"""Types that sess.run neither takes nor gives as NumPy arrays."""

# Packed integers share NumPy's int8; as arrays of their own they are ml_dtypes.int4 and so on.
_ONNX_NAMES = {kind: name for name, kind in NUMPY.items() if not re.fullmatch(r"u?int[24]", name)}


def described(argument: Any) -> Value:
    """``tensor(float)`` with ``[None, 'N', 3]`` → ``float32`` with ``(None, "N", 3)``."""
    dtype = re.sub(r"tensor\((\w+)\)", lambda found: _element(found[1]), argument.type)
    dtype = re.sub(r"\bseq\(", "sequence(", dtype)
    shape: tuple[Dimension, ...] | None = None
    if dtype in NUMBERS:
        shape = tuple(size if isinstance(size, int | str) else None for size in argument.shape)
    return Value(argument.name, dtype, shape)


def _element(name: str) -> str:
    return {"float": "float32", "double": "float64"}.get(name, name)


def dtype_of(array: NDArray[Any]) -> str:
    """The ONNX name of an array's type; ml_dtypes writes them with underscores."""
    if array.dtype.kind in "USOT":
        return "string"
    return _ONNX_NAMES.get(array.dtype, str(array.dtype))


def as_array(value: Value, result: Any) -> NDArray[Any]:
    """One output as an array: tensors, equal tensors in a sequence, and ZipMap's probabilities."""
    if hasattr(result, "data_ptr"):
        return _from_ort_value(result)
    match result:
        case np.ndarray():
            return result
        case [dict() as first, *_] if all(list(row) == list(first) for row in result):
            return np.array([list(row.values()) for row in result])
        case dict() if result:
            return np.array(list(result.values()))
        case [np.ndarray() as first, *_] if len({array.shape for array in result}) == 1:
            return np.stack(result)
        case np.generic() | float() | int() | str():
            return np.asarray(result)
    raise RequestError(
        f"output {value.name!r} is {value.dtype}, which cannot be compared as an array",
        hint="export the model with tensor outputs (scikit-learn: options={'zipmap': False})",
        code="unsupported-output",
    )


def _from_ort_value(value: Any) -> NDArray[Any]:
    dtype = _element(value.data_type().removeprefix("tensor(").removesuffix(")"))
    if dtype not in HANDED_OVER:
        array: NDArray[Any] = value.numpy()
        return array
    shape = tuple(value.shape())
    data = np.frombuffer(ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()), np.uint8)
    if dtype in PACKED_BITS:
        return unpack(data, dtype, int(np.prod(shape))).reshape(shape)
    return data.view(NUMPY[dtype]).reshape(shape)
