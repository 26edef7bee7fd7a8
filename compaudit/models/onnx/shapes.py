"""The sizes of all values, from the sizes of the inputs, by ONNX's own shape inference.

Inference is native code: call it in a worker. It runs on a flat copy of the model without weights,
so neither external data nor a large file is read for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)

from compaudit.models.base import Dimension, Source
from compaudit.models.onnx.flattened import Flat, flatten
from compaudit.models.onnx.folding import fold
from compaudit.models.onnx.proto import parse, text
from compaudit.models.onnx.skim import place_of
from compaudit.models.onnx.stand_ins import StandIns
from compaudit.models.shapes import Shapes, input_sizes, stated_shapes

__all__ = ["infer_shapes"]

Sizes = dict[str, tuple[int, ...]]

_LARGEST_KEPT = 4096
"""Elements of a tensor that may be sizes, axes or indices; larger ones are weights."""

_LONGEST = 1 << 20
"""Elements of a vector up to which ONNX may take it for sizes."""

_ROUNDS = 40
_FARTHEST = 16
_PLAIN = frozenset(("Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape"))


def infer_shapes(source: Source, input_shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    """The sizes of every value that follow from those of the inputs.

    Args:
        source: an ONNX file.
        input_shapes: sizes of inputs, with the batch dimension. Others are as the model declares
            them; an open first dimension is 1.

    Raises:
        RequestError: the file cannot be read.
    """
    flat = flatten(parse(Path(source.path or "")))
    inputs, _ = input_sizes(flat.walk.graph.inputs, input_shapes)
    constants = dict(_constants(flat.model.graph))
    graph = flat.model.graph
    _set_sizes(graph, inputs)
    for tensor in _tensors(graph):
        _empty(tensor)
    stand_ins = StandIns({text(t.name): tuple(t.dims) for t in graph.initializer})
    stand_ins.replace(graph.node)
    graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in stand_ins.weights.items()
    )
    found = _followed(flat.model)
    if _assume_states(flat, found):
        found = _followed(flat.model)
        if _drop_states(flat, found):
            found = _followed(flat.model)
    stated = stated_shapes(flat.walk.graph, input_shapes)
    missing = {
        name: sizes
        for name, sizes in stated.items()
        if name not in found and any(name == value.name for value in flat.walk.graph.values)
    }
    if missing and _state(graph, missing):
        found = {**missing, **_followed(flat.model)}
    return Shapes({**stated, **found}, flat.aliases, _trips(flat, found, constants))


def _followed(model: ModelProto) -> Sizes:
    """What can be inferred when sizes that the model computes are computed."""
    found = _inferred(model)
    for _ in range(_ROUNDS):
        if not _unknown(model.graph, found) or not fold(model, found):
            break
        found = {**found, **_inferred(model)}
    return found


def _inferred(model: ModelProto) -> Sizes:
    """What ONNX infers; nothing where it refuses the model as a whole."""
    try:
        plain = dict(_sizes(shape_inference.infer_shapes(model).graph))
        # Following data, ONNX takes every vector for sizes and writes out as many as it has.
        if any(len(sizes) == 1 and sizes[0] > _LONGEST for sizes in plain.values()):
            return plain
        return dict(_sizes(shape_inference.infer_shapes(model, data_prop=True).graph))
    except (shape_inference.InferenceError, RuntimeError, ValueError, TypeError):
        return {}


def _unknown(graph: GraphProto, found: Sizes) -> bool:
    return any(output not in found for node in graph.node for output in node.output if output)


def _sizes(graph: GraphProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    for tensor in graph.initializer:
        yield text(tensor.name), tuple(tensor.dims)
    for sparse in graph.sparse_initializer:
        yield text(sparse.values.name), tuple(sparse.dims)
    for value in (*graph.value_info, *graph.input, *graph.output):
        if not value.type.tensor_type.HasField("shape"):
            continue
        dimensions = value.type.tensor_type.shape.dim
        sizes = tuple(d.dim_value for d in dimensions if d.HasField("dim_value"))
        if len(sizes) == len(dimensions) and all(size >= 0 for size in sizes):
            yield text(value.name), sizes
    for node in graph.node:
        for inner in _subgraphs(node):
            yield from _sizes(inner)


# ------------------------------------------------------------------------------ preparing


def _set_sizes(graph: GraphProto, inputs: Mapping[str, tuple[Dimension, ...]]) -> None:
    """The inputs' sizes as they are now; what the file says of its outputs is left to inference."""
    for value in graph.input:
        shape = inputs.get(text(value.name))
        if shape is not None and value.type.HasField("tensor_type"):
            _set_shape(value, shape)
    _forget_outputs(graph)


def _forget_outputs(graph: GraphProto) -> None:
    for value in graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    for node in graph.node:
        for inner in _subgraphs(node):
            _forget_outputs(inner)


def _set_shape(value: ValueInfoProto, shape: Iterable[Dimension]) -> None:
    value.type.tensor_type.ClearField("shape")
    stated = value.type.tensor_type.shape
    stated.SetInParent()
    for size in shape:
        dimension = stated.dim.add()
        if isinstance(size, int):
            dimension.dim_value = size
        elif size:
            dimension.dim_param = size


def _state(graph: GraphProto, sizes: Sizes) -> bool:
    """Add sizes that the file states for results of operators that inference does not know."""
    made = {text(output) for node in graph.node for output in node.output}
    kinds = {
        text(value.name): value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.output)
    }
    added = [name for name in sizes if name in made]
    graph.value_info.extend(
        helper.make_tensor_value_info(name, kinds.get(name) or TensorProto.FLOAT, sizes[name])
        for name in added
    )
    return bool(added)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
        for inner in _subgraphs(node):
            yield from _tensors(inner)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _empty(tensor: TensorProto) -> None:
    """Leave type and sizes of a weight, and say that its numbers are elsewhere."""
    if place_of(tensor.raw_data) is None and np.prod(tensor.dims, dtype=float) <= _LARGEST_KEPT:
        return
    kept = TensorProto(name=text(tensor.name), dims=tensor.dims, data_type=tensor.data_type)
    kept.data_location = TensorProto.EXTERNAL
    tensor.CopyFrom(kept)


# ---------------------------------------------------------------------------------- loops


def _states(flat: Flat) -> Iterator[tuple[str, ValueInfoProto, str]]:
    """What a Loop hands from one round to the next: first value, in the body, and its result."""
    for _, node, body in flat.bodies():
        if node.domain == "" and node.op_type == "Loop":
            kept = zip(node.input[2:], body.input[2:], body.output[1:], strict=False)
            yield from ((text(first), inside, text(last.name)) for first, inside, last in kept)


def _assume_states(flat: Flat, found: Sizes) -> bool:
    """Suppose that what a Loop hands on keeps its sizes; say whether there was anything to."""
    assumed = False
    for first, inside, _ in _states(flat):
        stated = inside.type.tensor_type.HasField("shape")
        if first in found and text(inside.name) not in found and not stated:
            _set_shape(inside, found[first])
            assumed = True
    return assumed


def _drop_states(flat: Flat, found: Sizes) -> bool:
    """Take it back unless each round gives what it was given; say whether anything was."""
    wrong = [
        inside
        for first, inside, last in _states(flat)
        if text(inside.name) in found and found.get(last) != found[text(inside.name)]
    ]
    for inside in wrong:
        inside.type.tensor_type.ClearField("shape")
    return bool(wrong)


def _constants(graph: GraphProto) -> Iterator[tuple[str, int]]:
    """Single whole numbers that are stored, by name: trip counts and conditions."""
    held = [(text(tensor.name), tensor) for tensor in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    held.append((text(node.output[0]), attribute.t))
                elif attribute.type == AttributeProto.INT:
                    yield text(node.output[0]), attribute.i
        for inner in _subgraphs(node):
            yield from _constants(inner)
    for name, tensor in held:
        single = tensor.data_type in (TensorProto.INT64, TensorProto.BOOL)
        if not single or list(tensor.dims) not in ([], [1]):
            continue
        if tensor.data_location == TensorProto.EXTERNAL:
            continue
        try:
            yield name, int(numpy_helper.to_array(tensor).reshape(()))
        except (ValueError, TypeError):
            continue


def _trips(flat: Flat, sizes: Sizes, constants: Mapping[str, int]) -> dict[str, int]:
    """How often each body runs, where the model leaves no doubt about it."""
    makers = {text(output): node for node in _all_nodes(flat.model.graph) for output in node.output}

    def constant(name: str) -> int | None:
        for _ in range(_FARTHEST):
            if name in constants:
                return constants[name]
            node = makers.get(name)
            if node is None or node.op_type not in _PLAIN or not node.input:
                return None
            name = text(node.input[0])
        return None

    trips: dict[str, int] = {}
    for scope, node, body in flat.bodies():
        found = None
        if node.domain == "" and node.op_type == "Loop" and len(node.input) >= 2:
            if _runs_through(node, body, constant, makers):
                found = constant(text(node.input[0]))
        elif node.domain == "" and node.op_type == "Scan":
            found = _scanned(node, sizes)
        if found is not None:
            trips[scope] = max(0, found)
    return trips


def _runs_through(node: NodeProto, body: GraphProto, constant: object, makers: object) -> bool:
    """Whether the condition of a Loop is true from the beginning and stays so."""
    assert callable(constant)
    assert isinstance(makers, dict)
    first = text(node.input[1])
    if first and constant(first) != 1:
        return False
    if len(body.input) < 2 or not body.output:
        return False
    name = text(body.output[0].name)
    for _ in range(_FARTHEST):
        if name == text(body.input[1].name) or constant(name) == 1:
            return True
        maker = makers.get(name)
        if maker is None or maker.op_type != "Identity" or not maker.input:
            return False
        name = text(maker.input[0])
    return False


def _scanned(node: NodeProto, sizes: Sizes) -> int | None:
    settings = {text(given.name): given for given in node.attribute}
    if "num_scan_inputs" not in settings:
        return None
    count = settings["num_scan_inputs"].i
    if not 0 < count <= len(node.input):
        return None
    shape = sizes.get(text(node.input[len(node.input) - count]))
    axes = settings["scan_input_axes"].ints if "scan_input_axes" in settings else [0]
    axis = axes[0] if axes else 0
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for inner in _subgraphs(node):
            yield from _all_nodes(inner)
