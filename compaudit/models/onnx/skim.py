"""A model file without its weights: what is large and raw stays where it is, in the mapped file.

Protobuf parses a model by copying it, which for a large one costs more than all else, in time and
in memory. So the raw bytes of large tensors are cut out before it is parsed, and a note of where
they are is left in their place. Nothing is interpreted here: lengths are read, and written anew.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["LARGE", "MESSAGES", "RAW_DATA", "Place", "is_cut_short", "place_of", "skim"]

LARGE = 1 << 16
"""Bytes from which a field is looked into."""

MESSAGES: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
"""The fields of each message of onnx.proto that lead to tensors."""

RAW_DATA = 9
"""The field of a TensorProto that holds its bytes."""

_BYTES = 2  # the wire type of everything that states its length
_DEEPEST = 100  # protobuf's own limit of nesting

# Random, so that no file can contain a note of its own.
_MARK = secrets.token_bytes(16)
_NOTE = struct.Struct("<16sQQ")

_Parts = list[memoryview | bytes]


class Place(NamedTuple):
    """Bytes of the model file."""

    offset: int
    length: int


def skim(file: memoryview) -> memoryview | bytes:
    """The file with every large ``raw_data`` replaced by a note of its place.

    A file that is not well-formed is returned as it is, for protobuf to complain about.
    """
    try:
        return b"".join(_message(file, 0, len(file), "ModelProto", 0))
    except _MalformedError:
        return file


def place_of(raw_data: bytes) -> Place | None:
    """Where the bytes of this ``raw_data`` are; None where they are themselves."""
    if len(raw_data) != _NOTE.size or not raw_data.startswith(_MARK):
        return None
    _, offset, length = _NOTE.unpack(raw_data)
    return Place(offset, length)


def is_cut_short(file: memoryview) -> bool:
    """Whether the last field of the file is announced longer than the file is."""
    try:
        for _ in _fields(file, 0, len(file)):
            pass
    except _CutShortError:
        return True
    except _MalformedError:
        pass
    return False


class _MalformedError(Exception):
    """A field of a kind that ONNX does not use, or messages nested too deep."""


class _CutShortError(_MalformedError):
    """A field that ends behind the message it is in."""


class _Field(NamedTuple):
    number: int
    wire: int
    start: int
    body: int
    end: int


def _message(file: memoryview, start: int, end: int, kind: str, depth: int) -> _Parts:
    """The parts of one message; small fields are kept as they are, in whole runs."""
    if depth > _DEEPEST:
        raise _MalformedError
    parts: _Parts = []
    kept = start
    for field in _fields(file, start, end):
        length = field.end - field.body
        if field.wire != _BYTES or length < LARGE:
            continue
        if kind == "TensorProto" and field.number == RAW_DATA:
            inner: _Parts = [_NOTE.pack(_MARK, field.body, length)]
        elif (child := MESSAGES[kind].get(field.number)) is not None:
            inner = _message(file, field.body, field.end, child, depth + 1)
        else:
            continue
        parts += file[kept : field.start], _number(field.number << 3 | _BYTES)
        parts += _number(sum(map(len, inner))), *inner
        kept = field.end
    parts.append(file[kept:end])
    return parts


def _fields(file: memoryview, start: int, end: int) -> Iterator[_Field]:
    position = start
    while position < end:
        first = position
        tag, position = _read_number(file, position, end)
        body = position
        match tag & 7:
            case 0:
                _, position = _read_number(file, position, end)
            case 1:
                position += 8
            case 2:
                length, body = _read_number(file, position, end)
                position = body + length
            case 5:
                position += 4
            case _:
                raise _MalformedError
        if position > end:
            raise _CutShortError
        yield _Field(tag >> 3, tag & 7, first, body, position)


def _read_number(file: memoryview, position: int, end: int) -> tuple[int, int]:
    """A protobuf number (seven bits a byte, lowest first) and where it ends."""
    value = shift = 0
    while shift < 70:
        if position >= end:
            raise _CutShortError
        byte = file[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    raise _MalformedError


def _number(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
