"""From the nodes that ONNX Runtime executed back to the nodes of the file.

It fuses nodes, renames them and inserts others. Its optimised graph, written beside the profile,
tells what each of its nodes takes and gives; where those are values of the file, the nodes between
them are what it stands for. Nothing is guessed: what does not resolve stands for nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from compaudit.models.base import Graph, Node
from compaudit.models.onnx.trace import Executed

__all__ = ["Attribution", "attribute"]

_PREFIX = re.compile(r"^(InsertedPrecisionFreeCast_|fused )+")
_NUMBERED = re.compile(r"[A-Za-z]\w*_\d+")
"""What both we and the runtime call a node without a name, but by other numbers."""
_SUFFIX = re.compile(r"(_token_\d+|_nchwc|_nhwc|_new_reshape|/+\w+Fusion/*)+$")

# They hand on what they take, in another place, order, shape or type.
_MOVES = frozenset(
    (
        *("Transpose", "ReorderInput", "ReorderOutput", "Cast", "MemcpyFromHost", "MemcpyToHost"),
        *("Reshape", "Squeeze", "Unsqueeze", "Identity"),
    )
)


@dataclass(frozen=True, slots=True)
class Attribution:
    """What an executed node stands for: nodes of the file, or one that the runtime inserted."""

    nodes: tuple[str, ...] = ()
    inserted: bool = False


def attribute(
    executed: Iterable[Executed], graph: Graph, optimized: Sequence[Node]
) -> dict[tuple[tuple[str, ...], str], Attribution]:
    """What each executed node stands for, by its key.

    Args:
        executed: the nodes of a run.
        graph: the file's.
        optimized: the main graph that was executed; empty where it could not be written.
    """
    file = _File(graph)
    rewritten = _Rewritten(file, optimized)
    found: dict[tuple[tuple[str, ...], str], Attribution] = {}
    for node in executed:
        if node.inside:
            outer = found.get((node.inside[:-1], node.inside[-1]), Attribution())
            found[node.key] = Attribution((node.name,)) if node.name in file.within else outer
        else:
            found[node.key] = file.by_index(node) or rewritten.find(node)
    return found


class _File:
    """The nodes of the file, by everything that an executed node may still be known by."""

    def __init__(self, graph: Graph) -> None:
        main = [node for node in graph.nodes if not node.scope]
        unnamed = {place for place, node in enumerate(main) if node.name == f"{node.op}_{place}"}
        self.named = {node.name: node for place, node in enumerate(main) if place not in unnamed}
        self.makers = {value: node for node in main for value in node.outputs if value}
        inner = [node for node in graph.nodes if node.scope]
        times = Counter(node.name for node in inner)
        takers: defaultdict[str, list[Node]] = defaultdict(list)
        for node in main:
            for value in dict.fromkeys(node.inputs):
                takers[value].append(node)
        given = {value.name for value in graph.inputs}
        self.stored_for = {
            value: nodes[0]
            for value, nodes in takers.items()
            if value and len(nodes) == 1 and value not in self.makers and value not in given
        }
        self.within = {
            node.name
            for node in inner
            if times[node.name] == 1 and not _NUMBERED.fullmatch(node.name)
        }
        # The runtime turns constants into initializers before it numbers the nodes.
        self._numbered = [
            (node, place in unnamed) for place, node in enumerate(main) if node.op != "Constant"
        ]

    def by_index(self, node: Executed) -> Attribution | None:
        """A node without a name, which the runtime calls by its operator and number."""
        if node.name != f"{node.op}_{node.index}" or node.index >= len(self._numbered):
            return None
        known, unnamed = self._numbered[node.index]
        return Attribution((known.name,)) if unnamed and known.op == node.op else None

    def value(self, name: str) -> str | None:
        """A value of the file, which a cast may have put something before the name of."""
        for candidate in (name, _PREFIX.sub("", name)):
            if candidate in self.makers:
                return candidate
        return None

    def by_name(self, name: str) -> Node | None:
        """The node that a name of the runtime still speaks of: its own, or that of its output."""
        for candidate in (name, _SUFFIX.sub("", name), _SUFFIX.sub("", _PREFIX.sub("", name))):
            node = self.named.get(candidate) or self.makers.get(candidate)
            if node is not None:
                return node
        return None


class _Rewritten:
    """The graph that was executed, its values resolved to those of the file."""

    def __init__(self, file: _File, nodes: Sequence[Node]) -> None:
        self._file = file
        self._by_name = {node.name: node for node in nodes if node.name}
        self._makers = {value: node for node in nodes for value in node.outputs if value}
        self._origins: dict[str, str | None] = {}
        for node in nodes:  # in the order of execution, so that no chain of them is deep
            for value in node.outputs:
                self._origins[value] = self._origin(value, node)

    def find(self, executed: Executed) -> Attribution:
        """What an executed node of the main graph stands for."""
        node = self._by_name.get(executed.name)
        named = self._file.by_name(executed.name)
        if node is None:
            if named is None:
                return Attribution(inserted=executed.op in _MOVES)
            return Attribution((named.name,))
        moves = executed.op in _MOVES and executed.name not in self._file.named
        if moves and (named is None or self._passes_on(node)):
            return Attribution(inserted=True)
        ends = [value for value in map(self._value, node.outputs) if value is not None]
        found = dict.fromkeys(self._between(node, ends))
        if not ends and named is not None:
            found[named.name] = None
        # A weight that only one node of the file takes: this is that node, whatever its name.
        stored = (self._file.stored_for.get(value) for value in node.inputs)
        found |= dict.fromkeys(known.name for known in stored if known is not None)
        return Attribution(tuple(found))

    def _passes_on(self, node: Node) -> bool:
        """Whether what it gives is, in the file, the very value that it takes."""
        return any(self._value(node.inputs[0]) == self._value(value) for value in node.outputs)

    def _between(self, node: Node, ends: Sequence[str]) -> tuple[str, ...]:
        """The nodes of the file from what a node takes to what it gives, in the file's order."""
        taken = [value for value in node.inputs if value in self._makers]
        starts = {self._value(value) for value in taken}
        found = {maker.name: maker for maker in map(self._file.makers.get, ends) if maker}
        if None in starts:
            return tuple(found)
        waiting = list(found.values())
        while waiting:
            for value in waiting.pop().inputs:
                maker = self._file.makers.get(value)
                if value not in starts and maker is not None and maker.name not in found:
                    found[maker.name] = maker
                    waiting.append(maker)
        return tuple(reversed(found))

    def _value(self, value: str) -> str | None:
        """The file's name of a value of the executed graph; None where it is none of the file's."""
        return self._file.value(value) or self._origins.get(value)

    def _origin(self, value: str, maker: Node) -> str | None:
        own = self._file.value(value)
        if own is not None:
            return own
        known = self._file.by_name(maker.name) if maker.name else None
        if known is not None and known.outputs:
            place = maker.outputs.index(value)
            return known.outputs[place] if place < len(known.outputs) else None
        if maker.op in _MOVES and maker.inputs:
            return self._value(maker.inputs[0])
        return None
