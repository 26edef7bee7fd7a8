"""Which nodes can evaluate, and how Ray workers are spread over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compaudit.engines.ray.probe import Facts
from compaudit.errors import RequestError

__all__ = ["Node", "choose", "misses", "spread"]

_LISTED = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A node that can run the models.

    Attributes:
        id: Ray's.
        name: for the user: the host and its address.
        machine: tells whether two nodes, or a node and the caller, share their files; see
            `look_around`.
        slots: how many Ray workers it has room for.
    """

    id: str
    name: str
    machine: str
    slots: int


def misses(facts: Facts, version: str) -> str:
    """What keeps a node from evaluating, in words that follow its name; empty where nothing does.

    Args:
        facts: of the node.
        version: compaudit's here.
    """
    if not facts["compaudit"]:
        return "has no compaudit"
    if facts["compaudit"] != version:
        return f"has compaudit {facts['compaudit']}, and this machine {version}"
    return f"has no {facts['missing']}" if facts["missing"] else ""


def choose(
    candidates: Sequence[tuple[Node, Facts]], cpus: int, version: str
) -> tuple[list[Node], list[str]]:
    """The nodes that can run the models, and notes about those that cannot.

    Args:
        candidates: nodes with what they say of themselves.
        cpus: what a Ray worker takes.
        version: compaudit's here.

    Raises:
        RequestError: there is none.
    """
    lacks = {node.name: what for node, facts in candidates if (what := misses(facts, version))}
    able = [node for node, _ in candidates if node.name not in lacks]
    roomy = [node for node in able if node.slots]
    named = [f"the node {name} {what}" for name, what in list(lacks.items())[:_LISTED]]
    more = [f"{len(lacks) - _LISTED} more nodes lack something"] if len(lacks) > _LISTED else []
    if not able:
        raise RequestError(
            f"no node of the Ray cluster can run the models: {'; '.join([*named, *more])}",
            hint=f"install 'compaudit=={version}' and what runs the models on every node, for "
            "example with pip install 'compaudit[cpu,ray]'",
            code="node-without-runtime",
            stage="evaluate",
        )
    if not roomy:
        raise RequestError(
            f"no node of the Ray cluster has room for a Ray worker, which takes {cpus} "
            f"processor{'s' if cpus > 1 else ''} and both models' memory",
            hint="give fewer --threads, or take a cluster with more",
            code="ray-cluster-too-small",
            stage="evaluate",
        )
    notes = [f"{one}: it evaluates nothing" for one in named]
    return roomy, [*notes, *(f"{one}: they evaluate nothing" for one in more)]


def spread(nodes: Sequence[Node], wanted: int) -> list[Node]:
    """The node of every Ray worker: one on each node, then a second on each, and so on."""
    plan: list[Node] = []
    for place in range(max(node.slots for node in nodes)):
        plan += [node for node in nodes if node.slots > place]
    return plan[:wanted]
