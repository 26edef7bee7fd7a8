"""The outputs of PyTorch modules that can be compared: by their path, or by the layer they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from compaudit.measure.trace.graph import Heard, TracedGraph
from compaudit.measure.trace.matching import Match, Rows
from compaudit.models.called import CalledModule

__all__ = ["match_modules", "match_modules_with_graph"]

_GONE = "Identity"


def match_modules(
    original: Sequence[CalledModule], compressed: Sequence[CalledModule]
) -> list[Match]:
    """Modules of one path in both, in the order in which the original's end.

    Where layers were fused into one, PyTorch leaves an Identity in the place of those that are
    gone: of such a row only the last gives what the original's gives.
    """
    others = {module.name: module for module in compressed}
    fused = _fused(original, others)
    return [
        Match(
            module.name,
            Heard(module.name, module.op),
            Heard(module.name, others[module.name].op),
            "name",
        )
        for module in original
        if module.name in others and module.name not in fused
    ]


def _fused(original: Sequence[CalledModule], others: Mapping[str, CalledModule]) -> frozenset[str]:
    """Modules behind which another one was fused into them."""

    def gone(module: CalledModule) -> bool:
        other = others.get(module.name)
        return other is not None and other.op == _GONE and module.op != _GONE

    leaves = [module for module in original if module.leaf]
    return frozenset(module.name for module, after in pairwise(leaves) if gone(after))


def match_modules_with_graph(
    modules: Sequence[CalledModule], graph: TracedGraph, rows: Rows, *, modules_first: bool
) -> list[Match]:
    """A model of modules beside one of nodes: the complete results of the layers they share.

    Args:
        modules: of the one model.
        graph: the other.
        rows: which layers are one.
        modules_first: whether the modules are the original's.
    """
    called = {module.name: module for module in modules}

    def listened() -> Iterator[Match]:
        for ours, theirs in rows.pairs:
            folded = rows.folded.get(ours, frozenset())
            if modules_first:
                inside = [module.name for module in modules if module.name in folded]
                module, node = called.get((inside or [ours])[-1]), graph.node_of(theirs)
            else:
                module, node = called.get(theirs), graph.node_of(ours)
            if module is None or node is None:
                continue
            # Before quantisation: the codes may do the work of an activation too.
            end = graph.end_of(node)
            if folded and not modules_first:
                end = graph.normalised(end) or end
            heard = graph.raw(end)
            own = Heard(module.name, module.op)
            if heard is None:
                continue
            if modules_first:
                yield Match(module.name, own, heard, "layer")
            else:
                yield Match(heard.name, heard, own, "layer")

    matches = {match.name: match for match in listened()}
    order = [module.name for module in modules] if modules_first else list(graph.makers)
    return [matches[name] for name in order if name in matches]
