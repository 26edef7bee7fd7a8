"""Which intermediate output of the one model is the same thing as which of the other?

Names first: exporters and quantisers keep those of values. A name alone proves nothing, though. An
exporter numbers its values, so that after one layer became two every later name is another value's;
where a normalisation was folded, the name of the convolution's result stands for both together; and
quantisers give the name of a Relu to what goes into it, when the range of the codes does its work.
So two values of one name have to come from layers that were matched to one another, and to be as
complete. What no name settles is matched by layer: the result of a layer with its bias, with what
was folded into it, and with its activation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from compaudit.measure.layers.matching import Counterpart
from compaudit.measure.trace.graph import Heard, TracedGraph
from compaudit.models.base import Node

__all__ = ["Match", "Rows", "match_graphs"]

_QUANTIZED = "_quantized"


@dataclass(frozen=True, slots=True)
class Match:
    """An intermediate output of both models.

    Attributes:
        name: of the original's value, as its file knows it.
        original, compressed: what to listen to.
        by: what the match rests on.
    """

    name: str
    original: Heard
    compressed: Heard
    by: Literal["name", "layer"]


class Rows:
    """Which layers of both models are one.

    Args:
        counterparts: as `line_up` gives them.
    """

    def __init__(self, counterparts: Sequence[Counterpart]) -> None:
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}
        self.folded: dict[str, frozenset[str]] = {}
        self.pairs: list[tuple[str, str]] = []
        for row in counterparts:
            for profile in row.compressed:
                key = f"added {profile.name}" if row.original is None else row.original.name
                self._theirs[profile.name] = key
            if row.original is None:
                continue
            name = row.original.name
            self._ours[name] = name
            if row.change == "folded" and row.target is not None:
                target = row.target.name
                self._ours[name] = target
                self.folded[target] = self.folded.get(target, frozenset()) | {name}
            elif row.compressed:
                self.pairs.append((name, row.compressed[-1].name))

    def ours(self, layers: frozenset[str]) -> frozenset[str]:
        """Layers of the original, by what is the same in both."""
        return frozenset(self._ours.get(layer, layer) for layer in layers)

    def theirs(self, layers: frozenset[str]) -> frozenset[str]:
        """Layers of the compressed model, by what is the same in both."""
        return frozenset(self._theirs.get(layer, layer) for layer in layers)


def match_graphs(original: TracedGraph, compressed: TracedGraph, rows: Rows) -> list[Match]:
    """The outputs of two graphs that can be compared, in the original's order of execution."""
    by_name = {match.name: match for match in _by_name(original, compressed, rows)}
    by_layer = {match.name: match for match in _by_layer(original, compressed, rows)}
    matches = [by_name.get(value) or by_layer.get(value) for value in original.values()]
    return [match for match in matches if match is not None]


# ---------------------------------------------------------------------------------- by name


def _by_name(original: TracedGraph, compressed: TracedGraph, rows: Rows) -> Iterator[Match]:
    before, after = original.behind(), compressed.behind()
    for value in original.values():
        other = next(
            (name for name in (value, value + _QUANTIZED) if name in compressed.makers), None
        )
        if other is None or rows.ours(before[value]) != rows.theirs(after[other]):
            continue
        heard = _same_stage(value, other, original, compressed)
        if heard is not None:
            yield Match(value, original.heard(value), heard, "name")


def _same_stage(
    value: str, other: str, original: TracedGraph, compressed: TracedGraph
) -> Heard | None:
    """The compressed model's value, where it is as complete as the original's of that name."""
    before, after = original.heard(value), compressed.heard(other)
    if (original.normalised(before.name) is None) != (compressed.normalised(after.name) is None):
        return None  # the one is without the normalisation, the other with it
    behind, beyond = (
        original.activation_behind(before.name),
        compressed.activation_behind(after.name),
    )
    if _is_activated(original, value, beyond) or _is_activated(compressed, other, behind):
        return None  # the one has in it what the other has behind it
    return after


def _is_activated(graph: TracedGraph, value: str, activation: Node | None) -> bool:
    """Whether a value has in it already what the activation behind the other model's does.

    ONNX Runtime fuses activations into layers. A quantiser that finds the range of codes behind a
    Relu uses it in front of the Relu as well, and may drop that then.
    """
    if activation is None:
        return False
    if graph.makers[value].attributes.get("activation"):
        return True
    dropped = graph.activation_behind(graph.heard(value).name) is None
    return graph.is_quantized(value) and (dropped or activation.op in ("Relu", "Clip"))


# --------------------------------------------------------------------------------- by layer


def _by_layer(original: TracedGraph, compressed: TracedGraph, rows: Rows) -> Iterator[Match]:
    for ours, theirs in rows.pairs:
        node, other = original.node_of(ours), compressed.node_of(theirs)
        if node is None or other is None:
            continue
        end, found = _equally_normalised(node, other, original, compressed)
        behind = original.activation_behind(original.heard(end).name)
        beyond = compressed.activation_behind(compressed.heard(found).name)
        before = _results(original, end, behind, beyond)
        after = _results(compressed, found, beyond, behind)
        for one, same in zip(before, after, strict=True):
            if one is not None and same is not None:
                yield Match(one, original.heard(one), compressed.heard(same), "layer")


def _results(
    graph: TracedGraph, end: str, own: Node | None, other: Node | None
) -> tuple[str | None, str | None]:
    """What a layer gives before and after its activation; None for what there is not.

    Args:
        graph: the layer's.
        end: the value in which it is complete.
        own: the activation behind it.
        other: the one behind the same layer of the other model.
    """
    if _is_activated(graph, end, own or other):
        return None, end if own is None else own.outputs[0]
    if own is None or (other is not None and _plain(own.op) != _plain(other.op)):
        return end, None
    return end, own.outputs[0]


def _equally_normalised(
    node: Node, other: Node, original: TracedGraph, compressed: TracedGraph
) -> tuple[str, str]:
    """The ends of two layers: behind the normalisation of the one that the other has folded in."""
    end, found = original.end_of(node), compressed.end_of(other)
    normalised = original.normalised(end), compressed.normalised(found)
    match normalised:
        case str(), None:
            return normalised[0], found
        case None, str():
            return end, normalised[1]
    return end, found


def _plain(op: str) -> str:
    """``aten.relu_.default`` and ``Relu`` → ``relu``."""
    return op.removeprefix("aten.").partition(".")[0].rstrip("_").lower()
