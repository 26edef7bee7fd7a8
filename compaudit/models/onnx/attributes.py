"""Attributes of a node: as plain Python values, and the tensors that are stored in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from onnx import AttributeProto, SparseTensorProto, TensorProto, numpy_helper

from compaudit.models.base import Node
from compaudit.models.onnx.proto import text
from compaudit.models.roles import ATTRIBUTES

__all__ = ["MARKER", "plain_attributes", "stored_attributes"]

MARKER = "<tensor>"
"""Stands for a tensor attribute that is too large, or too odd, to be shown as an array."""

_LARGEST_SHOWN = 1024

_BY_FIELD = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
}
_BY_LIST = {
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
}


def plain_attributes(attributes: Iterable[AttributeProto]) -> dict[str, Any]:
    """Numbers, text, lists and small arrays; subgraphs are left to the caller."""
    plain: dict[str, Any] = {}
    for attribute in attributes:
        name = text(attribute.name)
        match _kind(attribute):
            case AttributeProto.FLOAT:
                plain[name] = attribute.f
            case AttributeProto.INT:
                plain[name] = attribute.i
            case AttributeProto.STRING:
                plain[name] = text(attribute.s)
            case AttributeProto.FLOATS:
                plain[name] = list(attribute.floats)
            case AttributeProto.INTS:
                plain[name] = list(attribute.ints)
            case AttributeProto.STRINGS:
                plain[name] = [text(value) for value in attribute.strings]
            case AttributeProto.TENSOR:
                plain[name] = _small_array(attribute.t)
            case AttributeProto.TENSORS | AttributeProto.SPARSE_TENSOR:
                plain[name] = MARKER
    return plain


def stored_attributes(
    attributes: Iterable[AttributeProto], node: Node
) -> Iterator[tuple[str, TensorProto | SparseTensorProto]]:
    """The tensors in a node's attributes, each with the attribute's name.

    Lists of numbers count where the operator keeps its weights in them (`ATTRIBUTES`) and in a
    Constant; elsewhere they are settings (strides, axes), part of the graph.
    """
    lists = ATTRIBUTES.get((node.domain, node.op), {})
    for attribute in attributes:
        name = text(attribute.name)
        if attribute.HasField("t"):
            yield name, attribute.t
        if attribute.HasField("sparse_tensor"):
            yield name, attribute.sparse_tensor
        for index, tensor in enumerate(attribute.tensors):
            yield f"{name}_{index}", tensor
        for index, sparse in enumerate(attribute.sparse_tensors):
            yield f"{name}_{index}", sparse
        if name in lists or (node.domain == "" and node.op == "Constant"):
            yield from ((name, tensor) for tensor in _as_tensor(attribute))


def _as_tensor(attribute: AttributeProto) -> Iterator[TensorProto]:
    """A number or list of numbers as the tensor it stands for, with the same bytes."""
    match _kind(attribute):
        case AttributeProto.FLOAT:
            yield TensorProto(data_type=TensorProto.FLOAT, float_data=[attribute.f])
        case AttributeProto.FLOATS:
            numbers = attribute.floats
            yield TensorProto(data_type=TensorProto.FLOAT, dims=[len(numbers)], float_data=numbers)
        case AttributeProto.INT:
            yield TensorProto(data_type=TensorProto.INT64, int64_data=[attribute.i])
        case AttributeProto.INTS:
            yield TensorProto(
                data_type=TensorProto.INT64, dims=[len(attribute.ints)], int64_data=attribute.ints
            )
        case AttributeProto.STRING:
            yield TensorProto(data_type=TensorProto.STRING, string_data=[attribute.s])
        case AttributeProto.STRINGS:
            yield TensorProto(
                data_type=TensorProto.STRING,
                dims=[len(attribute.strings)],
                string_data=attribute.strings,
            )


def _kind(attribute: AttributeProto) -> int:
    """The attribute's type, which files of the first ONNX versions leave to be seen."""
    if attribute.type != AttributeProto.UNDEFINED:
        return attribute.type
    for field, kind in _BY_FIELD.items():
        if attribute.HasField(field):
            return kind
    return next((kind for field, kind in _BY_LIST.items() if getattr(attribute, field)), 0)


def _small_array(tensor: TensorProto) -> Any:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
        return MARKER
    if any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > _LARGEST_SHOWN:
        return MARKER
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError):
        return MARKER
