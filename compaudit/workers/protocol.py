"""How a worker and its parent speak: length-prefixed MessagePack frames over two pipes.

No pickle: a worker holds code nobody vouches for, and what comes back from it is only data. Arrays
travel as an extension type, large ones as where they lie in shared memory; a request names a
function by module and qualified name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, partial
from mmap import mmap
from typing import Annotated, Any, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.workers.shared import LEAST_BYTES, Room

__all__ = [
    "PREFIX_BYTES",
    "MalformedError",
    "Reply",
    "ReplyError",
    "Request",
    "argument_types",
    "convert",
    "decode",
    "encode",
    "frame_length",
    "function_name",
    "result_type",
]

_ARRAY = 1
_SHARED = 2
_TEXTS = "texts"
# NumPy itself takes a negative size, and reads beyond the buffer.
_Size = Annotated[int, msgspec.Meta(ge=0)]
_Header = tuple[str, tuple[_Size, ...]]
_Elsewhere = tuple[str, tuple[_Size, ...], _Size]
_PREFIX = struct.Struct("<Q")
PREFIX_BYTES = _PREFIX.size


class MalformedError(Exception):
    """What arrived is no message, or not of the type that was promised."""


class Request(msgspec.Struct, frozen=True):
    """Call ``function`` with the worker's workspace and these arguments.

    Attributes:
        place: where the reply may leave large arrays (`compaudit.workers.shared`), if anywhere.
    """

    function: str
    arguments: list[Any]
    place: int | None = None


class ReplyError(msgspec.Struct, frozen=True):
    """A CompauditError on its way to the parent; kind ``bug`` carries a traceback in `message`."""

    kind: str
    message: str
    hint: str
    code: str


class Reply(msgspec.Struct, frozen=True):
    """What the function returned, or how it failed."""

    value: Any
    error: ReplyError | None


def function_name(function: Callable[..., Any]) -> str:
    """The importable name of a module-level function: ``package.module:function``."""
    return f"{function.__module__}:{function.__qualname__}"


@cache
def result_type(function: Callable[..., Any]) -> Any:
    """What the function is annotated to return; replies are checked against it."""
    return get_type_hints(function)["return"]


@cache
def argument_types(function: Callable[..., Any]) -> tuple[Any, ...]:
    """The annotated types of the arguments after the workspace."""
    hints = get_type_hints(function)
    hints.pop("return", None)
    return tuple(hints.values())[1:]


def encode(message: Any, room: Room | None = None) -> bytearray:
    """A frame: eight bytes of length, then the message.

    Args:
        message: what is said.
        room: where large arrays are left; None to send them along.

    Raises:
        TypeError: something in it cannot travel.
        UnicodeEncodeError: a text in it is not Unicode (a file name of other bytes).
        ValueError, OverflowError: an array of 4 GiB or more, a whole number of more than 64 bits.
    """
    frame = bytearray(PREFIX_BYTES)
    encoder = _ENCODER
    if room is not None:
        encoder = msgspec.msgpack.Encoder(enc_hook=partial(_encode_special, room=room))
    encoder.encode_into(message, frame, PREFIX_BYTES)
    _PREFIX.pack_into(frame, 0, len(frame) - PREFIX_BYTES)
    return frame


def frame_length(prefix: bytes | bytearray | memoryview) -> int:
    """The length of the message that follows its eight-byte prefix."""
    (length,) = _PREFIX.unpack(prefix)
    return int(length)


def decode(body: bytes | bytearray, kind: Any, shared: Callable[[], mmap] | None = None) -> Any:
    """A message of the given type.

    Args:
        body: the frame without its prefix.
        kind: what it should be.
        shared: gives the memory in which arrays were left; None where there is none.

    Raises:
        MalformedError: it is something else.
    """
    try:
        plain = msgspec.msgpack.decode(body, ext_hook=_Arrays(shared).decode)
    except (AttributeError, ImportError, TypeError, ValueError, struct.error) as error:
        raise MalformedError(f"not a message: {error}") from error
    return convert(plain, kind)


def convert(value: Any, kind: Any) -> Any:
    """Plain values into the given type, arrays left as they are. Raises MalformedError."""
    try:
        return msgspec.convert(value, kind, dec_hook=_keep_array)
    except msgspec.ValidationError as error:
        raise MalformedError(str(error)) from error


# ------------------------------------------------------------------------------------ arrays


def _encode_special(value: Any, room: Room | None = None) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if room is not None and value.nbytes >= LEAST_BYTES and not value.dtype.hasobject:
            offset = room.put(value)
            if offset is not None:
                where = (_dtype_name(value.dtype), value.shape, offset)
                return msgspec.msgpack.Ext(_SHARED, msgspec.msgpack.encode(where))
        return _encode_array(value)
    raise TypeError(f"cannot send a {type(value).__name__}")


def _encode_array(array: NDArray[Any]) -> msgspec.msgpack.Ext:
    """Header and values in one buffer, with one copy whatever the order in memory."""
    header = msgspec.msgpack.encode((_dtype_name(array.dtype), array.shape))
    begin = PREFIX_BYTES + len(header)
    if array.dtype.hasobject:
        packed = bytearray(begin) + _encode_texts(array)
    else:
        packed = bytearray(begin + array.nbytes)
        np.ndarray(array.shape, array.dtype, packed, offset=begin)[...] = array
    _PREFIX.pack_into(packed, 0, len(header))
    packed[PREFIX_BYTES:begin] = header
    return msgspec.msgpack.Ext(_ARRAY, packed)


def _encode_texts(array: NDArray[Any]) -> bytes:
    texts = array.ravel().tolist()
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("cannot send an array of Python objects")
    return msgspec.msgpack.encode(texts)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_encode_special)


class _Arrays:
    """Takes the arrays of one message apart.

    Args:
        shared: as in `decode`.
    """

    def __init__(self, shared: Callable[[], mmap] | None) -> None:
        self._shared = shared
        self._mapped: mmap | None = None

    def decode(self, code: int, data: memoryview) -> NDArray[Any]:
        if code == _ARRAY:
            return _decode_array(data)
        if code == _SHARED and self._shared is not None:
            if self._mapped is None:
                self._mapped = self._shared()
            name, shape, offset = msgspec.msgpack.decode(data, type=_Elsewhere)
            return np.ndarray(shape, _dtype_of(name), self._mapped, offset=offset)
        raise ValueError(f"unknown extension {code}")


def _decode_array(data: memoryview) -> NDArray[Any]:
    begin = PREFIX_BYTES + frame_length(data[:PREFIX_BYTES])
    name, shape = msgspec.msgpack.decode(data[PREFIX_BYTES:begin], type=_Header)
    if name == _TEXTS:
        texts = msgspec.msgpack.decode(data[begin:], type=list[str])
        return np.array(texts, dtype=object).reshape(shape)
    array = np.ndarray(shape, _dtype_of(name), data, offset=begin)
    return array if array.flags.aligned else array.copy()


def _dtype_name(dtype: np.dtype[Any]) -> str:
    """How another process finds this element type again.

    The short form keeps byte order and lengths; types that an extension module added (bfloat16)
    have none of their own, and go by their name.
    """
    if dtype.hasobject:
        return _TEXTS
    if dtype.names is not None:
        raise TypeError(f"cannot send an array of {dtype}")
    return dtype.str if np.dtype(dtype.str) == dtype else dtype.name


def _dtype_of(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError:
        import ml_dtypes

        dtype = np.dtype(getattr(ml_dtypes, name))
    if dtype.hasobject:
        raise TypeError(f"{name} is not plain data")
    return dtype


def _keep_array(kind: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise TypeError(f"cannot receive a {type(value).__name__} as {kind}")
