"""Inputs and outputs: their element type and shape, from a ValueInfoProto."""

from __future__ import annotations

from onnx import TypeProto, ValueInfoProto

from compaudit.errors import RequestError
from compaudit.models.base import Dimension, Value
from compaudit.models.onnx.elements import name_of
from compaudit.models.onnx.proto import text

__all__ = ["value_of"]


def value_of(info: ValueInfoProto) -> Value:
    """``x: tensor(float)[N, 3]`` → name, ``float32``, ``("N", 3)``; an unknown shape is None."""
    kind = info.type
    if not kind.HasField("tensor_type"):
        return Value(text(info.name), _type_name(kind), None)
    shape: tuple[Dimension, ...] | None = None
    if kind.tensor_type.HasField("shape"):
        shape = tuple(
            dimension.dim_value
            if dimension.HasField("dim_value")
            else text(dimension.dim_param) or None
            for dimension in kind.tensor_type.shape.dim
        )
    return Value(text(info.name), _type_name(kind), shape)


def _type_name(kind: TypeProto) -> str:
    """``float32``, or ``sequence(float32)``, ``map(int64,float32)``, ``optional(float32)``."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            return _element(kind.tensor_type.elem_type)
        case "sparse_tensor_type":
            return f"sparse({_element(kind.sparse_tensor_type.elem_type)})"
        case "sequence_type":
            return f"sequence({_type_name(kind.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({_type_name(kind.optional_type.elem_type)})"
        case "map_type":
            key, value = kind.map_type.key_type, kind.map_type.value_type
            return f"map({_element(key)},{_type_name(value)})"
        case _:
            return "unknown"


def _element(data_type: int) -> str:
    try:
        return name_of(data_type)
    except RequestError:
        return "unknown"
