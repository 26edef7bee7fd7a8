"""One TensorProto: its type and shape, the bytes it really stores, and its values in chunks.

ONNX stores numbers in one of four ways: raw bytes, a typed list (where a negative int32 takes ten
bytes), an external file, or, for text, a list of strings. Nothing is unpacked until asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from compaudit.errors import RequestError
from compaudit.models.base import bits_of
from compaudit.models.onnx.elements import NUMPY, PACKED_BITS, name_of, packed_bytes, unpack
from compaudit.models.onnx.external import ExternalFiles, Span
from compaudit.models.onnx.skim import place_of

__all__ = ["CHUNK_ELEMENTS", "Payload", "chunks_of_bytes", "payload_of"]

CHUNK_ELEMENTS = 1 << 18
"""Elements per chunk: small enough for the cache, a multiple of 8 to cut packed types at bytes."""

_FIELDS = {
    **dict.fromkeys(("float32", "complex64"), "float_data"),
    **dict.fromkeys(("float64", "complex128"), "double_data"),
    **dict.fromkeys(("uint32", "uint64"), "uint64_data"),
    "int64": "int64_data",
    "string": "string_data",
}
"""The typed list of each element type; the others are all in ``int32_data``."""

_LISTS = frozenset((*_FIELDS.values(), "int32_data"))


@dataclass(frozen=True, slots=True)
class Payload:
    """The numbers of one TensorProto.

    Attributes:
        dtype: the element type, ``float32``, ``int4`` …
        shape: as declared.
        bytes: bytes they take where they are stored.
        values: reads them flat, in order, in chunks; None for text.
        buffer: their bytes, where they are stored as raw bytes.
        span: where they are, when in an external file.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: int
    values: Callable[[], Iterator[NDArray[Any]]] | None
    buffer: Callable[[], NDArray[np.uint8]] | None = None
    span: Span | None = None

    @property
    def elements(self) -> int:
        """Elements that the shape describes."""
        return math.prod(self.shape)

    def array(self) -> NDArray[Any]:
        """All values at once, flat; for small tensors (shapes, zero points)."""
        if self.values is None:
            raise TypeError(f"{self.dtype} has no numbers")
        return np.concatenate([*self.values(), np.empty(0, NUMPY[self.dtype])])


def payload_of(proto: TensorProto, name: str, files: ExternalFiles) -> Payload:
    """What a TensorProto stores.

    Raises:
        RequestError: its data does not fit its shape, or its external data is unsafe or missing.
    """
    try:
        dtype = name_of(proto.data_type)
    except RequestError as error:
        what = f"has element type {proto.data_type}, which ONNX does not define"
        raise _broken(name, what) from error
    shape = tuple(proto.dims)
    if any(size < 0 for size in shape):
        raise _broken(name, f"has the shape {list(shape)}")
    if dtype == "string":
        if proto.data_location == TensorProto.EXTERNAL:
            raise _broken(name, "holds text in an external file, which ONNX does not allow")
        return _text(proto, name, shape)
    elements = math.prod(shape)
    needed = packed_bytes(elements, bits_of(dtype))
    if proto.data_location == TensorProto.EXTERNAL:
        span = files.locate(proto, name, needed)
        buffer = partial(_mapped, span.real, span.offset, span.length)
        return Payload(dtype, shape, needed, _reader(buffer, dtype, elements), buffer, span)
    if proto.HasField("raw_data"):
        if any(getattr(proto, field) for field in _LISTS):
            raise _broken(name, "states its numbers twice, as raw data and as a list")
        raw = proto.raw_data
        place = place_of(raw)
        stored = len(raw) if place is None else place.length
        if stored != needed:
            raise _broken(name, f"needs {needed} bytes for its shape {list(shape)}, has {stored}")
        if place is None:
            buffer = partial(np.frombuffer, raw, np.uint8)
        else:
            buffer = partial(_mapped, files.model, place.offset, place.length)
        return Payload(dtype, shape, needed, _reader(buffer, dtype, elements), buffer)
    return _listed(proto, name, dtype, shape)


def chunks_of_bytes(data: NDArray[np.uint8], dtype: str, elements: int) -> Iterator[NDArray[Any]]:
    """Raw bytes → values, or integer codes of packed types, at most `CHUNK_ELEMENTS` at a time."""
    bits = bits_of(dtype)
    for start in range(0, elements, CHUNK_ELEMENTS):
        count = min(CHUNK_ELEMENTS, elements - start)
        first = start * bits // 8
        part = data[first : first + packed_bytes(count, bits)]
        yield unpack(part, dtype, count) if dtype in PACKED_BITS else _aligned(part, NUMPY[dtype])


def _aligned(part: NDArray[np.uint8], kind: np.dtype[Any]) -> NDArray[Any]:
    """Bytes as numbers. Protobuf aligns nothing, and NumPy is ten times slower on what is not."""
    numbers = part.view(kind)
    return numbers if numbers.flags.aligned else part.copy().view(kind)


def _reader(
    buffer: Callable[[], NDArray[np.uint8]], dtype: str, elements: int
) -> Callable[[], Iterator[NDArray[Any]]]:
    return lambda: chunks_of_bytes(buffer(), dtype, elements)


def _mapped(path: Path, offset: int, length: int) -> NDArray[np.uint8]:
    if length == 0:
        return np.empty(0, np.uint8)
    try:
        mapped = np.memmap(path, np.uint8, "r", offset, (length,))
    except (OSError, ValueError) as error:
        raise RequestError(
            f"{path} cannot be read any more: {error}",
            hint="was it changed while it was being read? try again",
            code="unreadable-file",
        ) from error
    return mapped.view(np.ndarray)


def _text(proto: TensorProto, name: str, shape: tuple[int, ...]) -> Payload:
    if len(proto.string_data) != math.prod(shape):
        raise _broken(name, f"has {len(proto.string_data)} strings for the shape {list(shape)}")
    return Payload("string", shape, sum(map(len, proto.string_data)), None)


def _listed(proto: TensorProto, name: str, dtype: str, shape: tuple[int, ...]) -> Payload:
    """Numbers in a typed list: one an element, but two for complex, a byte for packed types."""
    field = _FIELDS.get(dtype, "int32_data")
    entries = getattr(proto, field)
    elements = math.prod(shape)
    if dtype in ("complex64", "complex128"):
        expected = 2 * elements
    elif dtype in PACKED_BITS and PACKED_BITS[dtype] != 6:
        expected = packed_bytes(elements, PACKED_BITS[dtype])
    else:
        expected = elements
    if len(entries) != expected:
        raise _broken(
            name, f"has {len(entries)} numbers where its shape {list(shape)} needs {expected}"
        )

    def parts() -> Iterator[NDArray[Any]]:
        kind = {"float_data": np.float32, "double_data": np.float64, "int64_data": np.int64}.get(
            field, np.uint64 if field == "uint64_data" else np.int32
        )
        for start in range(0, len(entries), CHUNK_ELEMENTS):
            yield np.array(entries[start : start + CHUNK_ELEMENTS], kind)

    def values() -> Iterator[NDArray[Any]]:
        left = elements
        for part in parts():
            converted = _converted(part, dtype, left)
            left -= converted.size
            yield converted

    match field:
        case "float_data":
            stored = 4 * expected
        case "double_data":
            stored = 8 * expected
        case _:
            stored = sum(_varint_bytes(part) for part in parts())
    return Payload(dtype, shape, stored, values)


def _converted(part: NDArray[Any], dtype: str, left: int) -> NDArray[Any]:
    """Entries of a typed list → values of the tensor's own type."""
    kind = NUMPY[dtype]
    if dtype in ("complex64", "complex128"):
        return part.view(kind)
    if dtype in ("float32", "float64", "int32", "int64", "uint64"):
        return part
    if dtype in PACKED_BITS and PACKED_BITS[dtype] != 6:
        count = min(left, part.size * 8 // PACKED_BITS[dtype])
        return unpack(part.astype(np.uint8), dtype, count)
    if PACKED_BITS.get(dtype) == 6:
        return (part.astype(np.uint8) & 0x3F).view(kind)
    if kind.kind in "biu":
        return part.astype(kind)
    return part.astype(f"u{kind.itemsize}").view(kind)


def _varint_bytes(numbers: NDArray[Any]) -> int:
    """Bytes of these integers in protobuf: seven bits a byte, negative ones always ten."""
    if numbers.dtype.kind == "i":
        numbers = numbers.astype(np.int64).view(np.uint64)
    total = numbers.size
    for bits in range(7, 64, 7):
        total += int(np.count_nonzero(numbers >> np.uint64(bits)))
    return total


def _broken(name: str, what: str) -> RequestError:
    return RequestError(
        f"tensor {name!r} {what}",
        hint="download or export the model again",
        code="broken-model",
    )
