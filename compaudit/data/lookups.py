"""Which inputs of a model look something up in a stored table, and how large that is."""

from __future__ import annotations

from compaudit.models.base import Graph, Model

__all__ = ["lookup_bounds"]

_PASS_ON = {
    *("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"),
    *("aten.view.default", "aten.reshape.default", "aten.unsqueeze.default", "aten.clone.default"),
    *("aten._to_copy.default", "aten.to.dtype", "aten.flatten.using_ints", "aten.alias.default"),
}
"""What an index goes through unchanged on its way to a table."""

_SAME_TABLE = {"Cast", "Identity", "DequantizeLinear"}
"""What a stored table goes through, in its own shape, before it is looked up."""

_LOOKUPS = {
    "Gather": (0, 1, "axis"),
    "GatherBlockQuantized": (0, 1, "gather_axis"),
    "aten.embedding.default": (0, 1, ""),
}
"""Operator → slots of the table and of the index, and the attribute that names the axis, else 0."""


def lookup_bounds(graph: Graph, model: Model) -> dict[str, range]:
    """For every input that indexes a stored table: the indices that the smallest such one has.

    ONNX counts negative ones from the end; PyTorch's embeddings have none.
    """
    tables = {tensor.name: tensor.shape for tensor in model.tensors}
    origin = {value.name: value.name for value in graph.inputs}
    bounds: dict[str, range] = {}
    for node in graph.nodes:
        first = node.inputs[0] if node.inputs else ""
        if node.op in _PASS_ON and first in origin:
            origin |= dict.fromkeys(node.outputs, origin[first])
        if node.op in _SAME_TABLE and first in tables:
            tables |= dict.fromkeys(node.outputs, tables[first])
        table, index, axis = _LOOKUPS.get(node.op, (0, 0, ""))
        if index >= len(node.inputs) or node.op not in _LOOKUPS:
            continue
        shape, name = tables.get(node.inputs[table], ()), origin.get(node.inputs[index])
        place = node.attributes.get(axis, 0)
        if name is None or not isinstance(place, int):
            continue
        if -len(shape) <= place < len(shape) and shape[place] > 0:
            rows = shape[place]
            known = range(0 if node.op.startswith("aten.") else -rows, rows)
            bounds[name] = min(known, bounds.get(name, known), key=lambda bound: bound.stop)
    return bounds
