"""A model as one flat text: every value by its qualified name, every function call written out.

What the rest of compaudit knows a value by (`graph.walk`) is then what ONNX's own shape inference
and ONNX Runtime know it by, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    SparseTensorProto,
    TensorProto,
    ValueInfoProto,
)

from compaudit.models.base import Node
from compaudit.models.onnx.functions import FunctionKey, function_key
from compaudit.models.onnx.graph import Body, Walk, walk
from compaudit.models.onnx.proto import text
from compaudit.models.shapes import call_prefix

__all__ = ["Flat", "flatten"]

_MOST_NODES = 100_000
_DEEPEST = 100


@dataclass(slots=True)
class Flat:
    """A model without functions, its values renamed.

    Attributes:
        model: the new model; nothing of the old one is shared with it.
        walk: the old one, as the rest of compaudit sees it.
        aliases: see `Shapes.aliases`.
    """

    model: ModelProto
    walk: Walk
    aliases: dict[str, str] = field(default_factory=dict)

    def bodies(self) -> Iterator[tuple[str, NodeProto, GraphProto]]:
        """Every subgraph: its prefix and scope, the node that runs it, and itself."""
        yield from _bodies(self.model.graph)


def flatten(model: ModelProto) -> Flat:
    """Write a model out flat. Raises RequestError as `walk` does."""
    flat = Flat(ModelProto(ir_version=model.ir_version), walk(model))
    writer = _Writer(model, flat)
    graph = flat.model.graph
    graph.name = text(model.graph.name)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.initializer.extend(model.graph.initializer)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    graph.node.extend(writer.nodes(model.graph.node, _Call("", "", {}, {}, 0)))
    versions: dict[str, int] = {}
    for imported in (*model.opset_import, *(o for f in model.functions for o in f.opset_import)):
        versions.setdefault(function_key(text(imported.domain), "")[0], imported.version)
    for domain in writer.domains:
        versions.setdefault(domain, 1)
    flat.model.opset_import.extend(
        OperatorSetIdProto(domain=domain, version=version) for domain, version in versions.items()
    )
    return flat


@dataclass(frozen=True, slots=True)
class _Call:
    """Where nodes are written out.

    Attributes:
        scope: of the nodes.
        prefix: of the call they belong to.
        names: values that are called otherwise outside.
        attributes: what the nodes may refer to.
        depth: calls and subgraphs around the nodes.
    """

    scope: str
    prefix: str
    names: Mapping[str, str]
    attributes: Mapping[str, AttributeProto]
    depth: int

    def name(self, qualified: str) -> str:
        return self.names.get(qualified, self.prefix + qualified) if qualified else ""


class _Writer:
    def __init__(self, model: ModelProto, flat: Flat) -> None:
        self._flat = flat
        self._by_scope: dict[str, list[tuple[int, Node]]] = defaultdict(list)
        for place, node in enumerate(flat.walk.nodes):
            self._by_scope[node.scope].append((place, node))
        self._functions: dict[FunctionKey, FunctionProto] = {}
        for function in model.functions:
            key = function_key(text(function.domain), text(function.name))
            self._functions.setdefault(key, function)
        self._left = _MOST_NODES
        self.domains: set[str] = set()

    def nodes(self, protos: Sequence[NodeProto], call: _Call) -> list[NodeProto]:
        found: list[NodeProto] = []
        for proto, (place, node) in zip(protos, self._by_scope.get(call.scope, ()), strict=True):
            function = self._functions.get(function_key(node.domain, node.op))
            self._left -= 1
            if function is not None and self._left > 0 and call.depth < _DEEPEST:
                found += self._called(function, proto, node, call)
            else:
                found.append(self._copied(proto, place, node, call))
        return found

    def _called(
        self, function: FunctionProto, proto: NodeProto, node: Node, call: _Call
    ) -> list[NodeProto]:
        """The body of a function in the place of a call."""
        scope = self._flat.walk.functions[function_key(node.domain, node.op)].scope
        prefix = call_prefix(call.prefix, node.outputs)
        names: dict[str, str] = {}
        handed_through: list[NodeProto] = []
        for formal, actual in zip_longest(function.input, node.inputs, fillvalue=""):
            inner = f"{scope}/{text(formal)}"
            names[inner] = call.name(text(actual))
            if formal and actual:
                self._flat.aliases[prefix + inner] = call.prefix + text(actual)
        for formal, actual in zip(function.output, node.outputs, strict=False):
            inner = f"{scope}/{text(formal)}"
            if not actual:
                continue
            if inner in names:
                same = NodeProto(
                    op_type="Identity", input=[names[inner]], output=[call.name(actual)]
                )
                handed_through.append(same)
                continue
            names[inner] = call.name(actual)
            self._flat.aliases[prefix + inner] = call.prefix + actual
        attributes = {text(given.name): given for given in function.attribute_proto}
        attributes |= {text(given.name): given for given in self._settled(proto.attribute, call)}
        inner_call = _Call(scope, prefix, names, attributes, call.depth + 1)
        return [*self.nodes(function.node, inner_call), *handed_through]

    def _copied(self, proto: NodeProto, place: int, node: Node, call: _Call) -> NodeProto:
        copy = NodeProto(op_type=node.op, domain=node.domain, name=text(proto.name))
        self.domains.add(node.domain)
        copy.input.extend(call.name(name) for name in node.inputs)
        copy.output.extend(call.name(name) for name in node.outputs)
        bodies = self._flat.walk.bodies.get(place, {})
        for attribute in self._settled(proto.attribute, call):
            label = text(attribute.name)
            if not attribute.HasField("g") or label not in bodies:
                copy.attribute.append(attribute)
                continue
            graph = self._subgraph(attribute.g, bodies[label], call)
            copy.attribute.append(AttributeProto(name=label, type=AttributeProto.GRAPH, g=graph))
        return copy

    def _subgraph(self, graph: GraphProto, body: Body, call: _Call) -> GraphProto:
        inner = _Call(body.scope, call.prefix, call.names, call.attributes, call.depth + 1)
        copy = GraphProto(name=call.prefix + body.scope)
        copy.input.extend(_renamed(graph.input, body.inputs, call))
        copy.output.extend(_renamed(graph.output, body.outputs, call))
        for tensor in graph.initializer:
            copy.initializer.append(_named(tensor, call.name(f"{body.scope}/{text(tensor.name)}")))
        for sparse in graph.sparse_initializer:
            kept = SparseTensorProto()
            kept.CopyFrom(sparse)
            kept.values.name = call.name(f"{body.scope}/{text(sparse.values.name)}")
            copy.sparse_initializer.append(kept)
        copy.node.extend(self.nodes(graph.node, inner))
        return copy

    def _settled(self, attributes: Iterable[AttributeProto], call: _Call) -> list[AttributeProto]:
        """Attributes, with what they refer to in their place; without those that refer to none."""
        found: list[AttributeProto] = []
        for attribute in attributes:
            if not attribute.ref_attr_name:
                found.append(attribute)
                continue
            given = call.attributes.get(text(attribute.ref_attr_name))
            if given is not None:
                settled = AttributeProto()
                settled.CopyFrom(given)
                settled.name = text(attribute.name)
                found.append(settled)
        return found


def _bodies(graph: GraphProto) -> Iterator[tuple[str, NodeProto, GraphProto]]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield text(attribute.g.name), node, attribute.g
                yield from _bodies(attribute.g)


def _renamed(
    values: Sequence[ValueInfoProto], names: Sequence[str], call: _Call
) -> list[ValueInfoProto]:
    found: list[ValueInfoProto] = []
    for value, name in zip(values, names, strict=True):
        copy = ValueInfoProto()
        copy.CopyFrom(value)
        copy.name = call.name(name)
        found.append(copy)
    return found


def _named(tensor: TensorProto, name: str) -> TensorProto:
    copy = TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy
