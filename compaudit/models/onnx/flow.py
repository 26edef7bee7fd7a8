"""Where stored values go: through which nodes, into which input slots, and so which role they have.

Values are followed through operators that only carry them (`roles.CARRIERS`), into and out of
subgraphs and functions, and through arithmetic among stored values (``(w - zero) * scale``). All
tensors are resolved in one backward search from the final uses, the strongest role first, so the
work grows with the graph and not with tensors times graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from compaudit.errors import RequestError
from compaudit.models.base import Node, Role
from compaudit.models.onnx.elements import is_real, name_of
from compaudit.models.onnx.functions import function_key
from compaudit.models.onnx.graph import Body, Walk
from compaudit.models.roles import (
    ELEMENT_WISE,
    LOOKUPS,
    STRENGTH,
    canonical_domain,
    carried_slots,
    role_of_input,
)

__all__ = ["FARTHEST", "Flow", "Origin", "Step"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the search knows of a stored value: how many elements, and whether real numbers."""

    elements: int
    real: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A value handed on.

    Attributes:
        target: the value it becomes.
        node: the operator that hands it on; None on entering or leaving a subgraph or function.
        real: whether it holds real numbers from there on; None for "as before".
    """

    target: str
    node: Node | None
    real: bool | None = None


FARTHEST = 64
"""Nodes that a single value is followed over; enough for any exporter, bounded for any file."""

_State = tuple[str, bool]
"""A value, and whether it holds real numbers."""


class Flow:
    """The uses of every value of a model.

    Args:
        walk: the model's nodes, subgraphs and functions.
        stored: the stored values by name.

    Attributes:
        steps: where a value is handed on to.
        sources: the same backwards.
        readers: the nodes that take a value, and in which slot.
        producers: the node that computes a value.
    """

    def __init__(self, walk: Walk, stored: Mapping[str, Origin]) -> None:
        self.steps: dict[str, list[Step]] = defaultdict(list)
        self.sources: dict[str, list[tuple[str, Node | None]]] = defaultdict(list)
        self.readers: dict[str, list[tuple[Node, int]]] = defaultdict(list)
        self._walk = walk
        self.producers = {name: node for node in walk.nodes for name in node.outputs if name}
        self._static: dict[str, Origin] = dict(stored)
        self._uses: list[tuple[Node, int, str]] = []
        self._quantization: list[str] = []
        self._constants: list[str] = []
        for node in walk.nodes:
            for slot, name in enumerate(node.inputs):
                if name:
                    self.readers[name].append((node, slot))
        for place, node in enumerate(walk.nodes):
            self._follow(node, walk.bodies.get(place, {}))
        self._by_size = {many: self._search(many) for many in (False, True)}

    def role(self, name: str, origin: Origin) -> Role:
        """What this stored value is for; ``unused`` where nothing reads it."""
        found = self._by_size[origin.elements > 1]
        return found.get((name, origin.real), Role.UNUSED)

    def single_source(self, name: str) -> str:
        """The value that this one is, seen backwards through whatever hands it on unchanged."""
        for _ in range(FARTHEST):
            sources = self.sources.get(name, [])
            if len(sources) != 1:
                break
            name, _node = sources[0]
        return name

    # ---------------------------------------------------------------------- building

    def _follow(self, node: Node, bodies: Mapping[str, Body]) -> None:
        """Note what this node does with each of its inputs."""
        function = self._walk.functions.get(function_key(node.domain, node.op))
        if function is not None:
            self._connect(node.inputs, function.inputs)
            self._connect(function.outputs, node.outputs)
        elif bodies:
            self._enter(node, bodies)
        elif not self._arithmetic(node):
            carried = carried_slots(node.domain, node.op, len(node.inputs))
            for slot, name in enumerate(node.inputs):
                if not name:
                    continue
                if slot in carried:
                    for output in filter(None, node.outputs):
                        self._step(name, output, node, _becomes_real(node))
                elif self._reads_quantized_rows(node, slot):
                    self._step(name, node.outputs[0], node)
                else:
                    self._uses.append((node, slot, name))
            self._note_static(node, carried)

    def _step(self, name: str, target: str, node: Node | None, real: bool | None = None) -> None:
        if name and target:
            self.steps[name].append(Step(target, node, real))
            self.sources[target].append((name, node))

    def _connect(self, names: Iterable[str], targets: Iterable[str]) -> None:
        for name, target in zip(names, targets, strict=False):  # both may leave out optional ones
            self._step(name, target, None)

    def _enter(self, node: Node, bodies: Mapping[str, Body]) -> None:
        """Into and out of the subgraphs of a control-flow operator."""
        match node.op:
            case "If":
                self._constants.extend(node.inputs[:1])
                for body in bodies.values():
                    self._connect(body.outputs, node.outputs)
            case "Loop":
                self._constants.extend(node.inputs[:2])
                for body in bodies.values():
                    self._connect(node.inputs[2:], body.inputs[2:])
                    self._constants.extend(body.outputs[:1])
                    self._connect(body.outputs[1:], node.outputs)
                    self._connect(body.outputs[1:], body.inputs[2:])
            case "Scan" | "SequenceMap":
                for body in bodies.values():
                    self._connect(node.inputs[-len(body.inputs) :], body.inputs)
                    self._connect(body.outputs, node.outputs)
            case _:
                self._uses.extend((node, slot, name) for slot, name in enumerate(node.inputs))

    def _arithmetic(self, node: Node) -> bool:
        """Element-wise arithmetic among stored values, and scales of integer products."""
        if node.domain or not node.outputs or node.op not in (*ELEMENT_WISE, "Where"):
            return False
        operands = node.inputs[1:] if node.op == "Where" else node.inputs
        known = [self._static[name] for name in operands if name in self._static]
        if len(known) == len(operands) > 0:
            self._constants.extend(node.inputs[: -len(operands)])
            self._combine(node, operands, known)
            return True
        if node.op != "Mul":
            return False
        for slot, name in enumerate(operands):
            if self._scales_product(node, name):
                self._quantization.append(name)
            elif name:
                self._uses.append((node, slot, name))
        return True

    def _combine(self, node: Node, operands: Sequence[str], origins: Sequence[Origin]) -> None:
        """The larger operand is handed on; a smaller one scales or shifts it."""
        largest = max(origin.elements for origin in origins)
        codes = any(
            origin.elements == largest and origin.real and self._was_integer(name)
            for name, origin in zip(operands, origins, strict=True)
        )
        for name, origin in zip(operands, origins, strict=True):
            if origin.elements == largest:
                self._step(name, node.outputs[0], node)
            elif codes:
                self._quantization.append(name)
            elif origin.elements == 1:
                self._constants.append(name)
            else:
                self._step(name, node.outputs[0], node)
        self._static[node.outputs[0]] = Origin(largest, any(origin.real for origin in origins))

    def _note_static(self, node: Node, carried: frozenset[int]) -> None:
        """A carrier of stored values only gives a stored value of the same size."""
        origins = [
            self._static.get(name) for slot, name in enumerate(node.inputs) if slot in carried
        ]
        others = [name for slot, name in enumerate(node.inputs) if name and slot not in carried]
        if origins and all(name in self._static for name in others):
            known = [origin for origin in origins if origin is not None]
            if len(known) == len(origins):
                real = _becomes_real(node)
                for output in filter(None, node.outputs):
                    self._static.setdefault(
                        output,
                        Origin(
                            sum(origin.elements for origin in known),
                            known[0].real if real is None else real,
                        ),
                    )

    def _was_integer(self, name: str) -> bool:
        """Whether a value comes from stored integers (that a Cast made real numbers of)."""
        origin = self._static.get(self.single_source(name))
        return origin is not None and not origin.real

    def _scales_product(self, node: Node, name: str) -> bool:
        """A stored factor beside a dynamic scale, or beside the result of an integer product."""
        if name not in self._static:
            return False
        for other in node.inputs:
            producer = self.producers.get(other)
            if producer is None:
                continue
            if producer.op == "Cast" and producer.inputs:
                producer = self.producers.get(producer.inputs[0], producer)
            if producer.op in ("MatMulInteger", "ConvInteger"):
                return True
            if producer.op == "DynamicQuantizeLinear" and other == producer.outputs[1]:
                return True
        return False

    def _reads_quantized_rows(self, node: Node, slot: int) -> bool:
        """A quantised embedding: rows of integers that a DequantizeLinear makes real."""
        key = (canonical_domain(node.domain), node.op)
        return (
            slot == 0
            and key in LOOKUPS
            and bool(node.outputs)
            and any(
                reader.op == "DequantizeLinear" and place == 0
                for reader, place in self.readers.get(node.outputs[0], ())
            )
        )

    # ---------------------------------------------------------------------- searching

    def _search(self, many: bool) -> dict[_State, Role]:
        """The role of every (value, real) for tensors of one or of many elements."""
        seeds: dict[Role, list[_State]] = {role: [] for role in STRENGTH}
        for node, slot, name in self._uses:
            for real in (False, True):
                role = role_of_input(node.domain, node.op, slot, real=real, many=many)
                seeds[role].append((name, real))
        for name, role in self._fixed():
            seeds[role].extend([(name, False), (name, True)])
        for value in self._walk.graph.outputs:
            seeds[Role.UNCLASSIFIED if many else Role.CONSTANT].append((value.name, True))
            seeds[Role.CONSTANT].append((value.name, False))
        found: dict[_State, Role] = {}
        backwards = self._backwards()
        for role in STRENGTH:
            waiting = seeds[role]
            while waiting:
                state = waiting.pop()
                if state not in found:
                    found[state] = role
                    waiting.extend(backwards.get(state, ()))
        return found

    def _fixed(self) -> Iterator[tuple[str, Role]]:
        yield from ((name, Role.QUANTIZATION) for name in self._quantization)
        yield from ((name, Role.CONSTANT) for name in self._constants)

    def _backwards(self) -> Mapping[_State, list[_State]]:
        backwards: dict[_State, list[_State]] = defaultdict(list)
        for name, steps in self.steps.items():
            for step in steps:
                for real in (False, True):
                    after = real if step.real is None else step.real
                    backwards[step.target, after].append((name, real))
        return backwards


def _becomes_real(node: Node) -> bool | None:
    match node.op:
        case "DequantizeLinear":
            return True
        case "Cast":
            try:
                return is_real(name_of(int(node.attributes.get("to", 0))))
            except (RequestError, TypeError, ValueError):
                return None
        case _:
            return None
