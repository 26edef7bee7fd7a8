"""How much of a model runs elsewhere than asked for: its share of the nodes, and of the time."""

from __future__ import annotations

import math
from collections import defaultdict

from compaudit.models.profiled import ProfiledRun
from compaudit.results.placement import Fallback
from compaudit.workers.workspace import Loaded

__all__ = ["fallback_of", "falls_back"]

_MOST_OPERATORS = 5


def falls_back(loaded: Loaded) -> bool:
    """Whether nodes of a loaded model were placed on another provider than the wanted one."""
    return any(nodes for name, nodes in loaded.nodes_by_provider.items() if name != _wanted(loaded))


def fallback_of(loaded: Loaded, run: ProfiledRun | None) -> Fallback:
    """What of a model fell back.

    The time share rests on what a processor does: a GPU's nodes are only submitted while they are
    profiled, but the whole inference, which it is a share of, ends when all of them are done.

    Args:
        loaded: the model, placed on more than one provider.
        run: its profile; None where there is none.
    """
    wanted = _wanted(loaded)
    others = {name: nodes for name, nodes in loaded.nodes_by_provider.items() if name != wanted}
    seconds = _seconds(run, wanted)
    told = [loaded.settings.get(f"operators on {name}", "") for name in others]
    return Fallback(
        wanted=wanted,
        providers=tuple(others),
        nodes=sum(others.values()),
        total_nodes=sum(loaded.nodes_by_provider.values()),
        time_share=math.fsum(seconds.values()) / run.total_s if run and run.total_s else None,
        operators=_listed(seconds) or ", ".join(text for text in told if text),
    )


def _wanted(loaded: Loaded) -> str:
    return loaded.providers[0]


def _seconds(run: ProfiledRun | None, wanted: str) -> dict[str, float]:
    """Seconds per inference of every operator that ran elsewhere."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for node in run.nodes if run is not None else ():
        if node.provider and node.provider != wanted:
            seconds[node.op] += node.seconds
    return dict(seconds)


def _listed(seconds: dict[str, float]) -> str:
    ordered = sorted(seconds, key=lambda op: (-seconds[op], op))
    others = len(ordered) - _MOST_OPERATORS
    return ", ".join(ordered[:_MOST_OPERATORS]) + (f" and {others} more" if others > 0 else "")
