"""Whether a file begins as a ModelProto does: protobuf has no magic bytes, but its fields tell."""

from __future__ import annotations

__all__ = ["looks_like_onnx"]

_VARINT, _BYTES = 0, 2

_FIELDS = {
    **dict.fromkeys((1, 5), _VARINT),
    **dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), _BYTES),
}
"""Field numbers of ModelProto and how protobuf writes them (onnx.proto)."""

_TEXT_FIELDS = (2, 3, 4)  # producer name and version, domain: short text
_DECISIVE = (7, 8)  # graph, opset_import: nothing but a model has come this far
_LONGEST_NAME = 4096


def looks_like_onnx(start: bytes, size: int) -> bool:
    """Whether these first bytes of a file are the first fields of an ONNX model.

    Args:
        start: the beginning of the file.
        size: of the whole file. A field may announce more: the file is then cut short.
    """
    if not start or _is_text(start):
        return False
    position, fields = 0, 0
    while position < len(start):
        tag, position = _varint(start, position)
        number, wire = tag >> 3, tag & 7
        if _FIELDS.get(number) != wire:
            return False
        fields += 1
        length, position = _varint(start, position)
        if wire == _VARINT:
            continue
        if number in _TEXT_FIELDS and not _is_name(start[position : position + length], length):
            return False
        if number in _DECISIVE and (fields > 1 or position + length <= max(size, 2**31)):
            return number != 7 or _is_graph(start[position:])
        position += length
    return fields > 0


def _is_graph(start: bytes) -> bool:
    """A graph's first field: a node, a name, an initializer, a text, an input, an output."""
    return not start or start[0] in (0x0A, 0x12, 0x2A, 0x52, 0x5A, 0x62, 0x6A, 0x72, 0x7A, 0x82)


def _is_name(name: bytes, length: int) -> bool:
    if length > _LONGEST_NAME:
        return False
    return all(byte >= 0x20 for byte in name)


def _is_text(start: bytes) -> bool:
    """Whether these bytes are plain text: a model always has some control characters."""
    return all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in start[:4096])


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 64:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        shift += 7
        if byte < 0x80:
            break
    return value, position
