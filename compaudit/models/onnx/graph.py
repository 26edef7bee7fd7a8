"""The operations of a model: main graph, subgraphs and functions, with one name a value.

A name in a subgraph or a function is qualified by its scope (``If_0.then_branch/w``), so that every
value of the model has a name of its own and nodes, tensors and uses can be matched by it. Function
bodies appear once, under the function's name, whatever number of nodes call them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
)

from compaudit.errors import RequestError
from compaudit.models.base import Graph, Node, Value
from compaudit.models.onnx.attributes import plain_attributes, stored_attributes
from compaudit.models.onnx.functions import FunctionKey, function_key, refuse_circles
from compaudit.models.onnx.proto import text
from compaudit.models.onnx.values import value_of

__all__ = ["Body", "Stored", "Walk", "walk"]

# A subgraph takes three levels of protobuf nesting, which itself refuses more than a hundred.
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Body:
    """The formal inputs and outputs of a subgraph or function, by qualified name, and its scope."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    scope: str


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor where the model stores it.

    Attributes:
        name: the value it is known by, qualified.
        proto: what is stored; None for a ConstantOfShape that leaves its value to the default 0.
        node: the node that holds it as an attribute; None for an initializer.
        attribute: the name of that attribute.
        training: it belongs to training, which inference never reads.
    """

    name: str
    proto: TensorProto | SparseTensorProto | None
    node: Node | None = None
    attribute: str = ""
    training: bool = False


@dataclass(slots=True)
class Walk:
    """Everything found in a model, in the order it was met.

    Attributes:
        graph: the same, as the rest of compaudit sees it.
        nodes: all nodes; those of a subgraph follow the node that holds it, functions come last.
        stored: every stored tensor.
        values: what the file states about values between nodes.
        bodies: the subgraphs of a node, by its place in `nodes` and the attribute's name.
        functions: the bodies of local functions.
    """

    graph: Graph = field(default_factory=lambda: Graph((), (), ()))
    nodes: list[Node] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    bodies: dict[int, dict[str, Body]] = field(default_factory=dict)
    functions: dict[FunctionKey, Body] = field(default_factory=dict)


class _Names:
    """The values visible in one scope: its own, then those of the scopes around it."""

    def __init__(self, scope: str, outer: _Names | None) -> None:
        self.scope = scope
        self._outer = outer
        self._own: dict[str, str] = {}

    def define(self, name: str) -> str:
        if name and name not in self._own:
            self._own[name] = f"{self.scope}/{name}" if self.scope else name
        return self._own.get(name, "")

    def resolve(self, name: str) -> str:
        if not name:
            return ""
        names: _Names | None = self
        while names is not None:
            if name in names._own:
                return names._own[name]
            names = names._outer
        return name


def walk(model: ModelProto) -> Walk:
    """All nodes and stored tensors of a model.

    Raises:
        RequestError: functions call one another in a circle, or subgraphs are nested too deep.
    """
    refuse_circles(model.functions)
    walker = _Walker()
    names = _Names("", None)
    walker.graph(model.graph, names, depth=0)
    for function in model.functions:
        walker.function(function)
    for number, info in enumerate(model.training_info):
        for part in ("initialization", "algorithm"):
            if info.HasField(part):
                walker.training(getattr(info, part), f"training_{number}.{part}")
    given = {text(i.name) for i in model.graph.initializer}
    given |= {text(i.values.name) for i in model.graph.sparse_initializer}
    walker.found.graph = Graph(
        nodes=tuple(walker.found.nodes),
        inputs=tuple(value_of(i) for i in model.graph.input if text(i.name) not in given),
        outputs=tuple(value_of(o) for o in model.graph.output),
        values=tuple(walker.found.values),
    )
    return walker.found


class _Walker:
    def __init__(self) -> None:
        self.found = Walk()
        self._scopes: dict[str, int] = {}
        self._training = False

    def graph(self, graph: GraphProto, names: _Names, depth: int) -> Body:
        if depth > _DEEPEST:
            raise RequestError(
                f"subgraphs are nested more than {_DEEPEST} deep",
                hint="export the model again with less control flow",
                code="unsupported-model",
            )
        inputs = tuple(names.define(text(value.name)) for value in graph.input)
        for tensor in graph.initializer:
            self._store(names.define(text(tensor.name)), tensor)
        for sparse in graph.sparse_initializer:
            self._store(names.define(text(sparse.values.name)), sparse)
        self._nodes(graph.node, names, depth)
        self._values(graph.value_info, names)
        outputs = tuple(names.resolve(text(value.name)) for value in graph.output)
        return Body(inputs, outputs, names.scope)

    def function(self, function: FunctionProto) -> None:
        key = function_key(text(function.domain), text(function.name))
        scope = self._scope("::".join(filter(None, (*key, text(function.overload)))))
        names = _Names(scope, None)
        inputs = tuple(names.define(text(name)) for name in function.input)
        self._attributes(function.attribute_proto, Node(scope, key[1], (), (), {}, key[0], scope))
        for attribute in function.attribute_proto:
            for name, graph in _graphs(attribute):
                self.graph(graph, _Names(self._scope(f"{scope}.{name}"), names), depth=1)
        self._nodes(function.node, names, depth=0)
        self._values(function.value_info, names)
        outputs = tuple(names.resolve(text(name)) for name in function.output)
        self.found.functions.setdefault(key, Body(inputs, outputs, scope))

    def training(self, graph: GraphProto, scope: str) -> None:
        """Stored tensors only: its nodes are not part of inference."""
        nodes, values = len(self.found.nodes), len(self.found.values)
        self._training = True
        self.graph(graph, _Names(self._scope(scope), None), depth=0)
        self._training = False
        del self.found.nodes[nodes:], self.found.values[values:]
        for place in [place for place in self.found.bodies if place >= nodes]:
            del self.found.bodies[place]

    def _values(self, infos: Iterable[ValueInfoProto], names: _Names) -> None:
        for info in infos:
            value = value_of(info)
            self.found.values.append(msgspec.structs.replace(value, name=names.resolve(value.name)))

    def _nodes(self, protos: Sequence[NodeProto], names: _Names, depth: int) -> None:
        for proto in protos:
            for output in proto.output:
                names.define(text(output))
        for number, proto in enumerate(protos):
            self._node(proto, number, names, depth)

    def _node(self, proto: NodeProto, number: int, names: _Names, depth: int) -> None:
        op = text(proto.op_type)
        label = text(proto.name) or f"{op}_{number}"
        inside = [
            (name, graph) for attribute in proto.attribute for name, graph in _graphs(attribute)
        ]
        if len(dict(inside)) != len(inside):
            raise RequestError(
                f"node {label!r} has two subgraphs of one name",
                hint="export the model again",
                code="broken-model",
            )
        scopes = {
            name: self._scope("/".join(filter(None, (names.scope, f"{label}.{name}"))))
            for name, _ in inside
        }
        node = Node(
            name=label,
            op=op,
            inputs=tuple(names.resolve(text(name)) for name in proto.input),
            outputs=tuple(names.resolve(text(name)) for name in proto.output),
            attributes={**plain_attributes(proto.attribute), **scopes},
            domain=function_key(text(proto.domain), "")[0],
            scope=names.scope,
        )
        place = len(self.found.nodes)
        self.found.nodes.append(node)
        self._attributes(proto.attribute, node)
        for name, graph in inside:
            body = self.graph(graph, _Names(scopes[name], names), depth + 1)
            self.found.bodies.setdefault(place, {})[name] = body

    def _attributes(self, attributes: Iterable[AttributeProto], node: Node) -> None:
        """Constants, ConstantOfShape weights, and tensors in attributes of other operators."""
        constant = node.domain == "" and node.op in ("Constant", "ConstantOfShape") and node.outputs
        empty = True
        for name, proto in stored_attributes(attributes, node):
            known_by = (
                node.outputs[0] if constant else f"{node.scope}/{node.name}.{name}".lstrip("/")
            )
            self._store(known_by, proto, node, name)
            empty = False
        if constant and node.op == "ConstantOfShape" and empty:
            self._store(node.outputs[0], None, node, "value")

    def _store(
        self,
        name: str,
        proto: TensorProto | SparseTensorProto | None,
        node: Node | None = None,
        attribute: str = "",
    ) -> None:
        self.found.stored.append(Stored(name, proto, node, attribute, self._training))

    def _scope(self, wanted: str) -> str:
        """A scope of its own, also where two nodes have the same name."""
        scope = wanted
        while scope in self._scopes:
            self._scopes[wanted] += 1
            scope = f"{wanted}#{self._scopes[wanted]}"
        self._scopes[scope] = 1
        return scope


def _graphs(attribute: AttributeProto) -> Iterator[tuple[str, GraphProto]]:
    """The subgraphs of an attribute, each with a name."""
    name = text(attribute.name)
    if attribute.HasField("g"):
        yield name, attribute.g
    for number, graph in enumerate(attribute.graphs):
        yield f"{name}_{number}", graph
