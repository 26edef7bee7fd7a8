"""What costs the compressed model its time: a closed list of causes, each with its evidence.

Every second is counted at most once as extra: operators are told apart by what they do, and those
that compute a layer by how that layer was compressed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from compaudit.machine.instructions import INT8
from compaudit.measure.profile.kinds import WEIGHT_ONLY, Kind, kind_of
from compaudit.measure.profile.layer_causes import causes_by_layer
from compaudit.measure.profile.nodes import calls, count, listed, named, seconds
from compaudit.measure.profile.rows import Placed
from compaudit.models.profiled import ExecutedNode
from compaudit.results import Cause, Layer

__all__ = ["Circumstances", "find_causes"]

_NOTICEABLE = 0.01
"""Share of the compressed model's inference below which nothing is a cause."""
_EXPLAINING = frozenset(
    ("float_fallback", "factorized_layers", "integer_operators_no_faster", "no_int8_instructions")
)

ConvertingCause = Literal["quantize_nodes", "cast_nodes", "layout_nodes", "transfers"]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What one has to know beside the profiles.

    Attributes:
        same_runtime: whether one framework ran both; otherwise their operators cannot be counted
            against one another.
        provider: what the compressed model was to run on.
        instruction_sets: of this processor; empty where they are not known, or it did not compute.
    """

    same_runtime: bool
    provider: str
    instruction_sets: Collection[str]


def find_causes(
    original: Placed, compressed: Placed, layers: Sequence[Layer], around: Circumstances
) -> list[Cause]:
    """Every cause that takes a noticeable share of the compressed model's time, costliest first."""
    found = [
        *_added_kinds(original, compressed),
        *_other_provider(original, compressed, around),
        *causes_by_layer(original, compressed, layers),
        *_instructions(compressed, around),
    ]
    if around.same_runtime:
        found += _added_nodes(original, compressed, around)
    least = _NOTICEABLE * compressed.run.total_s
    noticed = [cause for cause in found if max(cause.extra_s or 0.0, _own(cause)) >= least]
    return sorted(noticed, key=lambda cause: (-(cause.extra_s or 0.0), -cause.seconds))


def _own(cause: Cause) -> float:
    """The seconds of a cause that slows nothing down, but keeps from being faster."""
    return cause.seconds if cause.kind in _EXPLAINING else 0.0


# ------------------------------------------------------------------------- by kind of operator

_KINDS: tuple[tuple[ConvertingCause, Kind], ...] = (
    ("quantize_nodes", Kind.QUANTIZE),
    ("cast_nodes", Kind.CAST),
    ("layout_nodes", Kind.LAYOUT),
    ("transfers", Kind.TRANSFER),
)
_WORDS: dict[ConvertingCause, str] = {
    "quantize_nodes": "executed as operators of their own, not fused",
    "cast_nodes": "change the element type",
    "layout_nodes": "change the layout in memory",
    "transfers": "copy between devices",
}


def _added_kinds(original: Placed, compressed: Placed) -> Iterator[Cause]:
    """Operators that only convert, where there are more of them than before."""
    for cause, kind in _KINDS:
        before, after = (_of(side, _is(kind)) for side in (original, compressed))
        added = calls(after) - calls(before)
        extra = seconds(after) - seconds(before)
        if added > 0 and extra > 0:
            yield Cause(
                kind=cause,
                detail=f"{listed(after)} {_WORDS[cause]}{_against(before)}",
                seconds=seconds(after),
                extra_s=extra,
                nodes=calls(after),
            )


def _other_provider(original: Placed, compressed: Placed, around: Circumstances) -> Iterator[Cause]:
    def elsewhere(node: ExecutedNode) -> bool:
        return node.provider != around.provider and kind_of(node.op) is Kind.OTHER

    after = _of(compressed, elsewhere)
    if not after or not around.same_runtime:
        return
    extra = seconds(after) - seconds(_of(original, elsewhere))
    if extra > 0:
        providers = ", ".join(sorted({node.provider for node in after}))
        yield Cause(
            kind="other_provider",
            detail=f"{listed(after)} run on {providers}, not on {around.provider}",
            seconds=seconds(after),
            extra_s=extra,
            nodes=calls(after),
        )


def _added_nodes(original: Placed, compressed: Placed, around: Circumstances) -> Iterator[Cause]:
    """More small operators than before: what was fused, or nothing, is several now."""

    def small(node: ExecutedNode) -> bool:
        return kind_of(node.op) is Kind.OTHER and node.provider == around.provider

    before, after = (_of(side, small) for side in (original, compressed))
    added, extra = calls(after) - calls(before), seconds(after) - seconds(before)
    if added > 0 and extra > 0:
        more = count(after)
        more.subtract(count(before))
        yield Cause(
            kind="added_nodes",
            detail=f"{added} more operators around the layers: {named(+more)}",
            seconds=seconds(after),
            extra_s=extra,
            nodes=calls(after),
        )


def _instructions(compressed: Placed, around: Circumstances) -> Iterator[Cause]:
    """Integer products on a processor that has no instruction for them."""
    if not around.instruction_sets or INT8.intersection(around.instruction_sets):
        return
    nodes = _of(
        compressed,
        lambda node: kind_of(node.op) is Kind.INTEGER and not WEIGHT_ONLY.search(node.op),
    )
    if nodes:
        best = next((s for s in ("avx512f", "avx2", "neon") if s in around.instruction_sets), "")
        has = f"has {best} but " if best else "has "
        yield Cause(
            kind="no_int8_instructions",
            detail=f"this processor {has}no int8 products (VNNI, AMX, dot product): "
            f"{listed(nodes)} take several instructions for each",
            seconds=seconds(nodes),
            extra_s=None,
            nodes=calls(nodes),
        )


def _is(kind: Kind) -> Callable[[ExecutedNode], bool]:
    return lambda node: kind_of(node.op) is kind


def _of(side: Placed, wanted: Callable[[ExecutedNode], bool]) -> list[ExecutedNode]:
    return [node for node in side.run.nodes if wanted(node)]


def _against(before: Sequence[ExecutedNode]) -> str:
    return f"; {listed(before)} in the original" if before else "; none in the original"
