"""Causes that lie in the layers themselves: what was to make them faster and did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from compaudit.measure.profile.kinds import Kind, kind_of
from compaudit.measure.profile.nodes import calls, count, few, listed, seconds
from compaudit.measure.profile.rows import Placed
from compaudit.models.base import bits_of
from compaudit.models.profiled import ExecutedNode
from compaudit.results import Cause, Layer
from compaudit.units import format_seconds

__all__ = ["causes_by_layer"]

LayerCause = Literal[
    "factorized_layers", "float_fallback", "integer_operators_no_faster", "slower_float_operators"
]
_GAIN: dict[LayerCause, float] = {
    "factorized_layers": 0.95,
    "float_fallback": 0.95,
    "integer_operators_no_faster": 0.95,
    "slower_float_operators": 1.05,
}
"""From which share of the original's time on layers of a sort are a cause: saving less than 5 %
where they were to save, and taking 5 % more where nothing was done to them."""
_GAIN_OF_SAME = 1.25
"""The same where the very same operators run: two runs of one model differ by less."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """What computes one layer in each model: its product of inputs and weights, nothing else."""

    name: str
    before: list[ExecutedNode]
    after: list[ExecutedNode]


def causes_by_layer(
    original: Placed, compressed: Placed, layers: Sequence[Layer]
) -> Iterator[Cause]:
    """Layers whose own operators did not become faster, by what became of them.

    All layers of a sort are weighed together: the time of a single one is noisy.
    """
    factorized = {layer.name for layer in layers if layer.change == "factorized"}
    sorts: dict[LayerCause, list[_Layer]] = {}
    for row, nodes in compressed.rows.items():
        after = [node for node in nodes if _computes(node)]
        before = [node for node in original.rows.get(row, ()) if _computes(node)]
        if before and after and not row.startswith("("):
            sort = _sort(row in factorized, after, compressed.stored.get(row, ""))
            sorts.setdefault(sort, []).append(_Layer(row, before, after))
    for sort, members in sorts.items():
        before = [node for layer in members for node in layer.before]
        after = [node for layer in members for node in layer.after]
        least = _GAIN[sort]
        if sort == "slower_float_operators" and count(before) == count(after):
            least = _GAIN_OF_SAME
        if seconds(after) >= least * seconds(before):
            members.sort(key=lambda layer: -seconds(layer.after))
            yield Cause(
                kind=sort,
                detail=_layer_detail(sort, members, before, after, compressed),
                seconds=seconds(after),
                extra_s=max(0.0, seconds(after) - seconds(before)),
                nodes=calls(after),
            )


def _sort(factorized: bool, nodes: Sequence[ExecutedNode], stored: str) -> LayerCause:
    if factorized:
        return "factorized_layers"
    if any(kind_of(node.op) is Kind.INTEGER for node in nodes):
        return "integer_operators_no_faster"
    return "float_fallback" if _narrower(stored, nodes) else "slower_float_operators"


def _narrower(stored: str, nodes: Sequence[ExecutedNode]) -> bool:
    """Whether weights are stored in fewer bits than the operator computes with."""
    try:
        bits = bits_of(stored)
    except ValueError:
        return False
    types = [node.types[1] for node in nodes if len(node.types) > 1]
    if not types:
        return stored.startswith(("int", "uint"))
    floats = [kind for kind in types if kind in ("float64", "float32", "float16", "bfloat16")]
    return any(bits < bits_of(kind) for kind in floats)


def _layer_detail(
    sort: LayerCause,
    members: Sequence[_Layer],
    before: Sequence[ExecutedNode],
    after: Sequence[ExecutedNode],
    compressed: Placed,
) -> str:
    where = few([layer.name for layer in members])
    times = (
        f"{listed(after)} take {format_seconds(seconds(after))}, "
        f"the original's {listed(before)} {format_seconds(seconds(before))}: {where}"
    )
    match sort:
        case "float_fallback":
            stored = ", ".join(sorted({compressed.stored[layer.name] for layer in members}))
            return f"weights stored as {stored} are computed with in float: {times}"
        case "factorized_layers":
            return f"factorised layers save nothing: {times}"
        case "integer_operators_no_faster":
            return f"integer operators save nothing: {times}"
        case "slower_float_operators":
            return f"the same layers, in float as before: {times}"


def _computes(node: ExecutedNode) -> bool:
    return kind_of(node.op) in (Kind.INTEGER, Kind.FLOAT)
