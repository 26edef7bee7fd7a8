"""Computes what a model computes of sizes: small tensors that depend on nothing but constants.

ONNX's inference follows whole numbers through a few operators; exporters write sizes with many more
(the scales of a Resize, a Where around a −1). They are evaluated here, by ONNX's own reference, and
put in the model as constants, so that inference gets further.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    helper,
    numpy_helper,
)

from compaudit.models.onnx.proto import text

__all__ = ["fold"]

_LARGEST = 256
"""Elements of a tensor that may be sizes, axes or scales."""

_FOLDED = frozenset(
    (
        *("Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Concat", "ConstantOfShape", "Div"),
        *("Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater"),
        *("GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg"),
        *("Not", "Or", "Pow", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum"),
        *("Reshape", "Round", "ScatterElements", "ScatterND", "Shape", "Size", "Slice", "Split"),
        *("Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where", "Xor"),
    )
)

Array = NDArray[Any]


def fold(model: ModelProto, sizes: Mapping[str, tuple[int, ...]]) -> bool:
    """Replace nodes of the main graph by what they compute; say whether there were any."""
    known = _known(model.graph)
    kept: list[NodeProto] = []
    for node in model.graph.node:
        results = _evaluated(node, known, sizes, model.opset_import)
        if results is None:
            kept.append(node)
            continue
        for name, array in zip(node.output, results, strict=True):
            if name:
                known[text(name)] = array
                model.graph.initializer.append(numpy_helper.from_array(array, text(name)))
    folded = len(kept) < len(model.graph.node)
    if folded:
        remaining = [_copied(node) for node in kept]
        del model.graph.node[:]
        model.graph.node.extend(remaining)
    return folded


def _copied(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def _known(graph: GraphProto) -> dict[str, Array]:
    """Small stored tensors by name."""
    held = [(text(tensor.name), tensor) for tensor in graph.initializer]
    known: dict[str, Array] = {}
    for node in graph.node:
        if node.op_type != "Constant" or node.domain or len(node.output) != 1:
            continue
        for attribute in node.attribute:
            name = text(node.output[0])
            match text(attribute.name):
                case "value":
                    held.append((name, attribute.t))
                case "value_int":
                    known[name] = np.array(attribute.i, np.int64)
                case "value_ints":
                    known[name] = np.array(attribute.ints, np.int64)
                case "value_float":
                    known[name] = np.array(attribute.f, np.float32)
                case "value_floats":
                    known[name] = np.array(attribute.floats, np.float32)
    for name, tensor in held:
        array = _array(tensor)
        if array is not None:
            known[name] = array
    return known


def _array(tensor: TensorProto) -> Array | None:
    elsewhere = tensor.data_location == TensorProto.EXTERNAL
    if elsewhere or any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > _LARGEST:
        return None
    try:
        array: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError):
        return None
    return array if array.dtype.kind in "biuf" else None


def _evaluated(
    node: NodeProto,
    known: Mapping[str, Array],
    sizes: Mapping[str, tuple[int, ...]],
    opsets: Sequence[OperatorSetIdProto],
) -> list[Array] | None:
    """The results of a node; None where they are not known, or not small."""
    if node.domain or node.op_type not in _FOLDED or not node.output:
        return None
    inputs = [text(name) for name in node.input]
    if node.op_type in ("Shape", "Size"):
        shape = sizes.get(inputs[0]) if inputs else None
        single = len(node.output) == 1
        return [_of_shape(node, shape)] if single and shape is not None else None
    if not inputs or not all(name in known for name in inputs if name):
        return None
    if _too_large(node, [known.get(name) for name in inputs]):
        return None
    results = _computed(node, {name: known[name] for name in inputs if name}, opsets)
    if results is None or any(array.size > _LARGEST for array in results):
        return None
    return results


def _of_shape(node: NodeProto, shape: tuple[int, ...]) -> Array:
    if node.op_type == "Size":
        return np.array(math.prod(shape), np.int64)
    bounds = {text(given.name): given.i for given in node.attribute}
    return np.array(shape[bounds.get("start", 0) : bounds.get("end", len(shape))], np.int64)


def _too_large(node: NodeProto, inputs: Sequence[Array | None]) -> bool:
    """Whether the result of an operator that makes many elements of few would be large."""
    last = inputs[-1]
    if last is None:
        return True
    with np.errstate(all="ignore"):
        match node.op_type:
            case "ConstantOfShape":
                elements = float(np.prod(last.astype(float)))
            case "Expand" | "Tile":
                first = inputs[0]
                many = 1 if first is None else first.size
                elements = many * float(np.prod(last.astype(float)))
            case "Range" if len(inputs) == 3 and all(part is not None for part in inputs):
                start, stop, step = (float(np.reshape(part, -1)[0]) for part in inputs)  # type: ignore[arg-type]
                elements = abs(stop - start) / abs(step) if step else math.inf
            case "Range":
                return True
            case _:
                return False
    return not elements <= _LARGEST


def _computed(
    node: NodeProto, feeds: dict[str, Array], opsets: Sequence[OperatorSetIdProto]
) -> list[Array] | None:
    from onnx.reference import ReferenceEvaluator

    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ],
        [helper.make_empty_tensor_value_info(text(name)) for name in node.output if name],
    )
    model = helper.make_model(graph, opset_imports=[o for o in opsets if not o.domain])
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception:  # whatever it meets in a broken model, the node is then simply not folded
        return None
    arrays = [np.asarray(result) for result in results]
    if len(arrays) != len(node.output) or any(array.dtype.kind not in "biuf" for array in arrays):
        return None
    return arrays
