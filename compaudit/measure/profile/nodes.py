"""Executed nodes together: their time, how many they are, and how a cause speaks of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from compaudit.models.profiled import ExecutedNode

__all__ = ["calls", "count", "few", "listed", "named", "seconds"]

_NAMED = 3
"""Operators or layers that are named; the others are only counted."""


def seconds(nodes: Iterable[ExecutedNode]) -> float:
    """Their time per inference."""
    return math.fsum(node.seconds for node in nodes)


def calls(nodes: Iterable[ExecutedNode]) -> int:
    """How often they are executed in one inference, all together."""
    return round(math.fsum(node.calls for node in nodes))


def count(nodes: Iterable[ExecutedNode]) -> Counter[str]:
    """How often each operator is executed in one inference."""
    counted: Counter[str] = Counter()
    for node in nodes:
        counted[node.op] += round(node.calls)
    return counted


def listed(nodes: Iterable[ExecutedNode]) -> str:
    """Their operators, in words."""
    return named(count(nodes))


def named(counted: Counter[str]) -> str:
    """Operators in words: ``7 Cast, 6 Mul, 2 Add and 3 others``."""
    common = counted.most_common()
    names = [f"{times} {op.removeprefix('aten::')}" for op, times in common[:_NAMED]]
    rest = sum(times for _, times in common[_NAMED:])
    return ", ".join(names) + (f" and {rest} others" if rest else "")


def few(names: Sequence[str]) -> str:
    """The first names, and how many more."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
