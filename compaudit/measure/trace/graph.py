"""The values of a graph that can be compared, and which layers they come from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compaudit.measure.trace.operators import (
    ACTIVATIONS,
    CARRIES_CODES,
    CODES,
    INTEGER,
    NO_NUMBERS,
    NORMALISATIONS,
    NUMBERLESS,
    UNCHANGED,
)
from compaudit.models.base import Model, Node, Role, Tensor
from compaudit.results import TensorResult

__all__ = ["Heard", "Scale", "TracedGraph"]

_FARTHEST = 64


@dataclass(frozen=True, slots=True)
class Scale:
    """What codes stand for: (code − zero_point) × scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A value to listen to.

    Attributes:
        name: the value.
        op: the operator that it is the result of.
        scale: of a value of codes.
    """

    name: str
    op: str
    scale: Scale | None = None


class TracedGraph:
    """The main graph of a model, with the layer of every node.

    Args:
        model: with a graph.
        tensors: its ledger, which says what layer a stored tensor belongs to.

    Attributes:
        makers: the node that computes a value.
    """

    def __init__(self, model: Model, tensors: Sequence[TensorResult]) -> None:
        assert model.graph is not None, "only a graph can be traced as one"
        self._stored = {tensor.name: tensor for tensor in model.tensors}
        self._given = {value.name for value in model.graph.outputs}
        self._kinds = {value.name: value.dtype for value in model.graph.values}
        self.nodes = tuple(node for node in model.graph.nodes if not node.scope)
        self.makers = {name: node for node in self.nodes for name in node.outputs if name}
        self._readers: defaultdict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                self._readers[name].append(node)
        self._taken = _taken(model.graph.nodes)
        self._moving = self._dynamic({value.name for value in model.graph.inputs})
        self._layers = self._of_nodes({row.name: row.layer for row in tensors if row.layer})

    def values(self) -> list[str]:
        """What can be compared, in the order of execution: numbers that depend on the inputs.

        Without what only moves other values, but with all outputs of the model.
        """
        return [
            value
            for node, value in ((node, _first(node)) for node in self.nodes)
            if value in self._moving
            and (value in self._given or node.op not in UNCHANGED)
            and (self._codes(value) or not self._kinds.get(value, "").startswith(NO_NUMBERS))
        ]

    def node_of(self, layer: str) -> Node | None:
        """The node that computes with the weights of a layer, where it is one."""
        values = [value for value, name in self._layers.items() if name == layer]
        return self.makers[values[0]] if len(values) == 1 else None

    def only_reader(self, value: str) -> Node | None:
        """The node that takes a value, where one does and the model does not give it out."""
        readers = self._readers.get(value, [])
        return readers[0] if len(readers) == 1 and value not in self._given else None

    def activation_behind(self, value: str) -> Node | None:
        """The activation that alone takes a value."""
        reader = self.only_reader(value)
        return reader if reader is not None and reader.op in ACTIVATIONS else None

    def normalised(self, value: str) -> str | None:
        """What becomes of a value in the BatchNormalization that alone takes it."""
        reader = self.only_reader(value)
        if reader is None or reader.op not in NORMALISATIONS or reader.inputs[0] != value:
            return None
        return reader.outputs[0]

    def end_of(self, node: Node) -> str:
        """The value in which the layer that a node computes is complete: with bias and scales."""
        value = node.outputs[0]
        integer = node.op in INTEGER
        for _ in range(_FARTHEST):
            reader = self.only_reader(value)
            if reader is None or not reader.outputs or not self._completes(reader, integer):
                break
            value = reader.outputs[0]
        return value

    def is_quantized(self, value: str) -> bool:
        """Whether a value goes on as codes only, or is codes."""
        return self._heard_again(value) is not None or self._codes(value) is not None

    def heard(self, value: str) -> Heard:
        """What the nodes behind a value hear of it: after quantisation, where it is quantised."""
        op = self.makers[value].op
        again = self._heard_again(value)
        return Heard(value if again is None else again, op, self._codes(value))

    def raw(self, value: str) -> Heard | None:
        """A value as it is computed, before quantisation; None where it is computed as codes."""
        codes = self._codes(value) is not None
        return None if codes else Heard(value, self.makers[value].op)

    def behind(self) -> dict[str, frozenset[str]]:
        """For every value, the layers it directly comes from: the nearest ones upstream.

        A BatchNormalization counts with the layer in front of it, into which it may be folded.
        """
        found: dict[str, frozenset[str]] = {}
        for node in self.nodes:
            layer = None if node.op in NORMALISATIONS else self._layers.get(_first(node))
            if layer is not None:
                sources = frozenset([layer])
            else:
                sources = frozenset().union(*(found.get(name, ()) for name in self._inputs(node)))
            # A scale measured on the way is none of the layer's result.
            results = node.outputs[:1] if node.op == "DynamicQuantizeLinear" else node.outputs
            found.update(dict.fromkeys(filter(None, results), sources))
        return found

    # ------------------------------------------------------------------------------ inside

    def _inputs(self, node: Node) -> tuple[str, ...]:
        """What a node computes with, in its subgraphs as well."""
        return self._taken.get(_first(node), node.inputs)

    def _dynamic(self, inputs: set[str]) -> set[str]:
        """The values that depend on the inputs and hold numbers, not sizes."""
        moving, sizes = set(inputs), set[str]()
        for node in self.nodes:
            outputs = [name for name in node.outputs if name]
            if node.op in NUMBERLESS:
                sizes.update(outputs)
            elif any(name in moving for name in self._inputs(node)):
                moving.update(outputs)
            elif any(name in sizes for name in node.inputs):
                sizes.update(outputs)
        return moving

    def _of_nodes(self, owners: Mapping[str, str]) -> dict[str, str]:
        """The layer of every node that computes with a weight, by the node's first result.

        A weight may have come a long way (dequantised, cast, transposed), and serve several nodes.
        A bias of its own node makes no layer: exporters fuse it or not.
        """
        weights = {
            name: tensor
            for name, tensor in self._stored.items()
            if tensor.role is Role.WEIGHT and name in owners
        }
        sources = {name: frozenset([name]) for name in weights}
        found: dict[str, str] = {}
        for node in self.nodes:
            fixed = [sources.get(name, frozenset()) for name in node.inputs]
            held = frozenset[str]().union(*fixed)
            if not held:
                continue
            if any(name in self._moving for name in node.inputs):
                largest = max(sorted(held), key=lambda name: weights[name].logical_elements)
                found[_first(node)] = owners[largest]
            else:
                sources.update(dict.fromkeys(filter(None, node.outputs), held))
        return found

    def _completes(self, node: Node, integer: bool) -> bool:
        """Whether a node that follows a layer is a part of it: a bias, a scale, a type."""
        if node.op in ("Identity", "Cast"):
            return True
        if node.op in ("Add", "Sub", "aten.add.Tensor"):
            return sum(name in self._moving for name in node.inputs) == 1
        return node.op == "Mul" and integer

    def _heard_again(self, value: str) -> str | None:
        """The value after QuantizeLinear and DequantizeLinear, where nothing reads it before."""
        readers = self._readers.get(value, [])
        if not readers or value in self._given:
            return None
        if any(reader.op != "QuantizeLinear" for reader in readers):
            return None
        for reader in self._readers.get(readers[0].outputs[0], []):
            if reader.op == "DequantizeLinear":
                return reader.outputs[0]
        return None

    def _codes(self, value: str) -> Scale | None:
        """What the codes of a value stand for; None for a value that is numbers, or unknown."""
        for _ in range(_FARTHEST):
            node = self.makers.get(value)
            if node is None or not node.inputs:
                return None
            slots = CODES.get((node.domain, node.op))
            if slots is not None:
                return self._scale(
                    *(node.inputs[at] if at < len(node.inputs) else "" for at in slots)
                )
            if node.op not in CARRIES_CODES:
                return None
            value = node.inputs[0]
        return None

    def _scale(self, scale: str, point: str) -> Scale | None:
        one = _single(self._stored.get(scale))
        if one is None:
            return None
        zero = _single(self._stored.get(point)) if point else 0.0
        return None if zero is None else Scale(one, int(zero))


def _taken(nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """What nodes with subgraphs compute with, by their first result."""
    inside: defaultdict[str, list[str]] = defaultdict(list)
    for node in nodes:
        scope = node.scope
        while scope:
            inside[scope].extend(node.inputs)
            scope = scope.rpartition("/")[0]
    found: dict[str, tuple[str, ...]] = {}
    for node in nodes if inside else ():
        texts = [value for value in node.attributes.values() if isinstance(value, str)]
        held = [name for scope in texts for name in inside.get(scope, ())]
        if held and not node.scope:
            found[_first(node)] = (*node.inputs, *held)
    return found


def _first(node: Node) -> str:
    """The first result that a node has."""
    return next(filter(None, node.outputs), "")


def _single(tensor: Tensor | None) -> float | None:
    """The one number that a stored tensor holds."""
    if tensor is None or tensor.values is None or tensor.logical_elements != 1:
        return None
    return float(next(iter(tensor.values()))[0])
