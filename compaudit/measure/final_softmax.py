"""Does a model end in a Softmax, and which value holds the logits in front of it?

A float32 Softmax gives exact zeros where the logits are far apart, and the divergence from a zero
is infinite. What goes into the Softmax says the same without that loss.
"""

from __future__ import annotations

from collections.abc import Mapping

from compaudit.models.base import Graph, Model, Node

__all__ = ["logits_in_front"]

_ONNX = frozenset(("Softmax", "LogSoftmax"))
_ATEN = frozenset(
    (
        *("aten.softmax.int", "aten._softmax.default", "aten.log_softmax.int"),
        *("aten._log_softmax.default", "aten.special_softmax.int", "aten.special_log_softmax.int"),
    )
)
_THROUGH = frozenset(
    (
        *("Identity", "Cast", "QuantizeLinear", "DequantizeLinear"),
        *("aten.clone.default", "aten.detach.default", "aten.alias.default"),
        *("aten._to_copy.default", "aten.to.dtype", "aten.contiguous.default"),
    )
)
"""What may stand behind the Softmax: it changes the type of the numbers, and neither their order
nor their place. Quantisers put QuantizeLinear and DequantizeLinear there."""
_FARTHEST = 16


def logits_in_front(model: Model | None) -> dict[str, str]:
    """For every output that a final Softmax over the last axis gives, the value in front of it.

    Args:
        model: as it was read; None where only running code can read it.

    Returns:
        Output → value of the main graph, as `RunSettings.taps` takes it. An output that is not a
        Softmax's, or one over another axis, is not there. Before opset 13 a Softmax without an axis
        is one over all dimensions from the second on; which opset it is does not matter where the
        output has two dimensions, and where it has more and no axis is stated, it is left out.
    """
    graph = None if model is None else model.graph
    if graph is None:
        return {}
    makers = {name: node for node in graph.nodes if not node.scope for name in node.outputs if name}
    ranks = _ranks(graph)
    found = {}
    given = {output.name for output in graph.outputs}
    for output in graph.outputs:
        logits = _in_front(output.name, makers, ranks)
        # What an exported program gives out has another name there than inside of it.
        if logits is not None and not (logits in given and makers[logits].domain == "torch"):
            found[output.name] = logits
    return found


def _ranks(graph: Graph) -> dict[str, int]:
    """How many dimensions a value has, where that is stated."""
    values = (*graph.values, *graph.inputs, *graph.outputs)
    return {value.name: len(value.shape) for value in values if value.shape is not None}


def _in_front(name: str, makers: Mapping[str, Node], ranks: Mapping[str, int]) -> str | None:
    rank = ranks.get(name)
    for _ in range(_FARTHEST):
        node = makers.get(name)
        if node is None or not node.inputs or not node.inputs[0]:
            return None
        rank = rank if rank is not None else ranks.get(node.inputs[0])
        if _is_softmax(node):
            logits = node.inputs[0]
            # A value that nothing computes is an input, or stored: the model is nothing but this.
            return logits if logits in makers and _over_last_axis(node, rank) else None
        if node.op not in _THROUGH or node.domain not in ("", "torch"):
            return None
        name = node.inputs[0]
    return None


def _is_softmax(node: Node) -> bool:
    return (node.domain == "" and node.op in _ONNX) or (node.domain == "torch" and node.op in _ATEN)


def _over_last_axis(node: Node, rank: int | None) -> bool:
    axis = node.attributes.get("dim" if node.domain == "torch" else "axis")
    if axis is None:
        return node.domain == "" and rank in (1, 2)
    return axis == -1 or (rank is not None and axis == rank - 1)
