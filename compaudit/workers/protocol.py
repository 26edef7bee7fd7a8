"""How a worker and its parent speak: length-prefixed MessagePack frames over two pipes.

No pickle: a worker holds code nobody vouches for, and what comes back from it is only data. Arrays
travel as an extension type; a request names a function by module and qualified name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

import msgspec
import numpy as np

__all__ = ["Reply", "Request", "decode", "encode", "function_name", "result_type"]

_ARRAY = 1
_PREFIX = struct.Struct("<Q")
PREFIX_BYTES = _PREFIX.size


class Request(msgspec.Struct, frozen=True):
    """Call ``function`` with the worker's workspace and these arguments."""

    function: str
    arguments: list[Any]


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


def encode(message: Any) -> bytes:
    """A frame: eight bytes of length, then the message."""
    body = msgspec.msgpack.encode(message, enc_hook=_encode_array)
    return _PREFIX.pack(len(body)) + body


def frame_length(prefix: bytes) -> int:
    """The length of the message that follows its eight-byte prefix."""
    (length,) = _PREFIX.unpack(prefix)
    return int(length)


def decode(body: bytes, kind: Any) -> Any:
    """A message of the given type. Raises msgspec.ValidationError."""
    return convert(msgspec.msgpack.decode(body, ext_hook=_decode_array), kind)


def convert(value: Any, kind: Any) -> Any:
    """Plain values into the given type, arrays left as they are. Raises ValidationError."""
    return msgspec.convert(value, kind, dec_hook=_keep_array)


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"cannot send a {type(value).__name__}")
    header = msgspec.msgpack.encode((value.dtype.str, value.shape))
    data = np.ascontiguousarray(value).tobytes()
    return msgspec.msgpack.Ext(_ARRAY, _PREFIX.pack(len(header)) + header + data)


def _decode_array(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"unknown extension {code}")
    length = frame_length(bytes(data[:PREFIX_BYTES]))
    dtype, shape = msgspec.msgpack.decode(
        data[PREFIX_BYTES : PREFIX_BYTES + length], type=tuple[str, tuple[int, ...]]
    )
    return np.frombuffer(data[PREFIX_BYTES + length :], dtype=np.dtype(dtype)).reshape(shape)


def _keep_array(kind: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise NotImplementedError(f"cannot receive a {type(value).__name__} as {kind}")
