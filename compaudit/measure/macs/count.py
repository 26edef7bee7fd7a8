"""From a graph and the sizes of its values to the multiply-accumulates of one inference.

A branch counts as the larger of the two, the body of a loop as often as it runs, a function once
per call. Where a size is unknown nothing is guessed: the operation is uncounted and named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from compaudit.measure.macs.operands import Operands, Rule, Shape, UnknownShapeError, Work
from compaudit.measure.macs.rules import (
    CARRIERS,
    may_contract,
    operator_key,
    operator_name,
    rule_of,
)
from compaudit.models.base import Model, Node
from compaudit.models.shapes import Shapes, call_prefix

__all__ = ["MacCount", "NodeMacs", "count_macs"]

_LARGEST = 2**63 - 1
_MOST_VISITS = 200_000
_FARTHEST = 64
_DEEPEST = 100
_REPEATED = frozenset(("Loop", "Scan", "SequenceMap"))


class NodeMacs(msgspec.Struct, frozen=True):
    """One operation that multiplies and accumulates.

    Attributes:
        name: with its scope, and the call it is part of.
        op: as `operator_name` shows it.
        macs, nonzero: all, and without those that meet a zero weight; times the trips of a loop.
        weight: the stored tensor behind it, None for two computed operands.
    """

    name: str
    op: str
    macs: int
    nonzero: int
    weight: str | None


class MacCount(msgspec.Struct, frozen=True, kw_only=True):
    """Multiply-accumulates of one inference.

    Attributes:
        total: their sum over all operations that could be counted; None beyond 2⁶³.
        nonzero: without those whose weight is zero, exact for convolutions and linear layers.
        coverage: operations with a rule and known sizes over all; None without operations.
        uncounted_ops: what is not in the sum, each operator once.
        uncounted_contractions: those of them that could hold multiply-accumulates.
        unknown_shapes: values whose sizes would have been needed.
        per_node: the operations that have any, in order of execution.
    """

    total: int | None
    nonzero: int | None
    coverage: float | None
    uncounted_ops: list[str]
    uncounted_contractions: list[str]
    unknown_shapes: list[str]
    per_node: list[NodeMacs]


def count_macs(model: Model, shapes: Shapes, nonzero_share: Mapping[str, float]) -> MacCount | None:
    """The multiply-accumulates of one inference; None for a model without a graph.

    Args:
        model: as read.
        shapes: sizes of its values, for one sample.
        nonzero_share: for each stored tensor the share of its elements that are not zero, 0 to 1;
            a tensor that is not in it counts as dense.
    """
    if model.graph is None:
        return None
    counter = _Counter(model, shapes, nonzero_share)
    parts = counter.scope("", "")
    total, nonzero = sum(part.macs for part in parts), sum(part.nonzero for part in parts)
    countable = total <= _LARGEST
    reached = len(counter.reached)
    return MacCount(
        total=total if countable else None,
        nonzero=nonzero if countable else None,
        coverage=1 - len(counter.uncovered) / reached if reached else None,
        uncounted_ops=sorted(counter.uncounted),
        uncounted_contractions=sorted(op for op, held in counter.uncounted.items() if held),
        unknown_shapes=list(counter.unknown),
        per_node=parts if countable else [],
    )


@dataclass
class _Counter:
    """One count.

    Attributes:
        reached, uncovered: places of nodes that were met, and of those without a count.
        uncounted: operators without a count, and whether they could hold a contraction.
        unknown: values whose sizes were missing.
    """

    model: Model
    shapes: Shapes
    nonzero_share: Mapping[str, float]
    reached: set[int] = field(default_factory=set)
    uncovered: set[int] = field(default_factory=set)
    uncounted: dict[str, bool] = field(default_factory=dict)
    unknown: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.model.graph
        assert graph is not None, "a model without a graph has no operations to count"
        self._places: dict[str, list[tuple[int, Node]]] = defaultdict(list)
        self._producers: dict[str, Node] = {}
        for place, node in enumerate(graph.nodes):
            self._places[node.scope].append((place, node))
            self._producers.update(dict.fromkeys(filter(None, node.outputs), node))
        self._stored = {tensor.name: tensor for tensor in self.model.tensors}
        self._functions = _functions(graph.nodes)
        self._outer: dict[str, str] = {}
        self._visits = 0
        self._around: list[str] = []

    def scope(self, scope: str, prefix: str) -> list[NodeMacs]:
        """What the nodes of one scope take, in the call whose values have this prefix."""
        self._around.append(scope)
        found = self._inside(scope, prefix)
        self._around.pop()
        return found

    def _inside(self, scope: str, prefix: str) -> list[NodeMacs]:
        found: list[NodeMacs] = []
        for place, node in self._places.get(scope, ()):
            self._visits += 1
            self.reached.add(place)
            if self._visits > _MOST_VISITS:
                self._leave_out(place, node, contracts=True)
                break
            found += self._node(place, node, prefix)
        return found

    def _node(self, place: int, node: Node, prefix: str) -> list[NodeMacs]:
        function = self._functions.get((node.domain, node.op))
        if function is not None:
            if function in self._around or len(self._around) > _DEEPEST:
                self._leave_out(place, node, contracts=True)
                return []
            inner = call_prefix(prefix, node.outputs)
            self._outer[inner] = prefix
            return self.scope(function, inner)
        bodies = self._bodies(node)
        rule = rule_of(node.domain, node.op)
        if bodies:
            return self._control(place, node, bodies, prefix)
        if node.domain == "" and node.op in ("If", *_REPEATED):
            return []  # branches without a single operation
        if rule is None:
            self._leave_out(place, node, contracts=may_contract(node.domain, node.op))
            return []
        return self._operation(place, node, rule, prefix)

    def _operation(self, place: int, node: Node, rule: Rule, prefix: str) -> list[NodeMacs]:
        operands = Operands(node, lambda name: self._size_of(name, prefix))
        try:
            work = rule(operands)
        except UnknownShapeError as missing:
            if missing.value:
                self.unknown[prefix + missing.value] = None
            self._leave_out(place, node, contracts=True)
            return []
        macs = sum(part.macs for part in work)
        if macs > _LARGEST:
            self._leave_out(place, node, contracts=True)
            return []
        if not macs:
            return []
        weights = [self._weight(part, node, prefix) for part in work]
        nonzero = sum(
            round(part.macs * self.nonzero_share.get(weight or "", 1.0))
            for part, weight in zip(work, weights, strict=True)
        )
        weight = next(filter(None, weights), None)
        return [NodeMacs(_path(node, prefix), operator_name(*_key(node)), macs, nonzero, weight)]

    def _leave_out(self, place: int, node: Node, *, contracts: bool) -> None:
        name = operator_name(node.domain, node.op)
        self.uncovered.add(place)
        self.uncounted[name] = contracts or self.uncounted.get(name, False)

    # ------------------------------------------------------------------------ control flow

    def _bodies(self, node: Node) -> list[str]:
        """The scopes of what this operator runs, where they hold any operation."""
        if node.domain == "torch":
            if not node.op.startswith("higher_order."):
                return []
            start = f"{node.scope}/{node.name}.".lstrip("/")
            return [
                scope
                for scope in self._places
                if scope.startswith(start) and "/" not in scope[len(start) :]
            ]
        if node.domain or node.op not in ("If", *_REPEATED):
            return []
        scopes = [value for value in node.attributes.values() if isinstance(value, str)]
        return [scope for scope in scopes if scope in self._places]

    def _control(self, place: int, node: Node, bodies: list[str], prefix: str) -> list[NodeMacs]:
        counted = [self.scope(body, prefix) for body in bodies]
        if node.op in ("If", "higher_order.cond"):
            return max(counted, key=lambda parts: sum(part.macs for part in parts))
        if node.op.startswith("higher_order.wrap"):
            return [part for parts in counted for part in parts]
        inside = [part for parts in counted for part in parts]
        if not inside:
            return []
        trips = self.shapes.trips.get(prefix + bodies[0]) if len(bodies) == 1 else None
        if trips is None:
            self._leave_out(place, node, contracts=True)
            return []
        return [
            NodeMacs(part.name, part.op, part.macs * trips, part.nonzero * trips, part.weight)
            for part in inside
            if trips
        ]

    # ------------------------------------------------------------------- values and weights

    def _size_of(self, name: str, prefix: str) -> Shape | None:
        for known_by in self._names(name, prefix):
            if known_by in self.shapes.values:
                return self.shapes.values[known_by]
        tensor = self._stored.get(self._outside(name, prefix))
        if tensor is None or (tensor.fill and not tensor.shape):
            return None
        return tensor.shape

    def _weight(self, work: Work, node: Node, prefix: str) -> str | None:
        """The stored tensor that is multiplied with; None where both operands are computed."""
        if work.attribute:
            own = f"{node.scope}/{node.name}.{work.attribute}".lstrip("/")
            return own if own in self._stored else None
        found = (self._origin(name, prefix) for name in work.weights if name)
        return next(filter(None, found), None)

    def _origin(self, name: str, prefix: str) -> str | None:
        """The stored tensor that this value is, seen through whatever only carries it."""
        for _ in range(_FARTHEST):
            name, prefix = self._actual(name, prefix)
            if name in self._stored:
                return name
            producer = self._producers.get(name)
            if producer is None or not producer.inputs:
                return None
            domain, op = operator_key(producer.domain, producer.op)
            if op not in CARRIERS.get(domain, ()) or (domain, op) in self._functions:
                return None
            name = producer.inputs[0]
        return None

    def _actual(self, name: str, prefix: str) -> tuple[str, str]:
        """A formal input or output of a function as what it is outside, with the prefix there."""
        for _ in range(_FARTHEST):
            outside = self.shapes.aliases.get(prefix + name)
            if outside is None:
                break
            prefix = self._outer.get(prefix, "")
            name = outside.removeprefix(prefix)
        return name, prefix

    def _outside(self, name: str, prefix: str) -> str:
        return self._actual(name, prefix)[0]

    def _names(self, name: str, prefix: str) -> Iterator[str]:
        """What a value may be known by: in this call, or as what it is outside."""
        yield prefix + name
        actual, outer = self._actual(name, prefix)
        yield outer + actual


def _functions(nodes: tuple[Node, ...]) -> dict[tuple[str, str], str]:
    """The scope of each local function that has operations, by domain and name."""
    scopes = {scope: scope for scope in dict.fromkeys(node.scope for node in nodes) if scope}
    overloads: dict[str, str] = {}
    for scope in scopes:
        overloads.setdefault(scope.rpartition("::")[0], scope)
    found: dict[tuple[str, str], str] = {}
    for node in nodes:
        if node.domain == "torch":
            continue
        called = "::".join(filter(None, (node.domain, node.op)))
        scope = scopes.get(called) or (overloads.get(called, "") if node.domain else "")
        if scope:
            found[node.domain, node.op] = scope
    return found


def _key(node: Node) -> tuple[str, str]:
    return node.domain, node.op


def _path(node: Node, prefix: str) -> str:
    return prefix + (f"{node.scope}/{node.name}" if node.scope else node.name)
