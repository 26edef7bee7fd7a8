"""Keys that reports did not always hold, and what stands for them in those that lack them.

A new key of a report within a major version of the schema belongs here too: reports that were
written before can then still be read, shown and judged.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

__all__ = ["with_additions"]

_ADDED: tuple[tuple[str, Any], ...] = (
    ("original.bytes_by_role", {}),
    ("compressed.bytes_by_role", {}),
    ("divergence.kl.histogram", None),
    ("divergence.kl_reverse.histogram", None),
    ("divergence.js.histogram", None),
    ("worst.*.image", None),
    ("gate.checks.*.limit", None),
    ("gate.checks.*.reference", None),
    ("gate.checks.*.reason", ""),
    ("front.original.likely_dominated_by", None),
    ("front.original.undecided", []),
    ("candidates.*.standing.likely_dominated_by", None),
    ("candidates.*.standing.undecided", []),
)
"""By path in the report of an audit or a ranking; a star stands for every element of a list."""


def with_additions(document: Any) -> Any:
    """The JSON of an audit or a ranking with the keys that were added since it was written.

    What is there already stays; where a part is null or missing, nothing is added to it.

    Args:
        document: as decoded; a copy of it is given back.
    """
    completed = copy.deepcopy(document)
    for path, value in _ADDED:
        _add(completed, path.split("."), value)
    return completed


def _add(place: Any, steps: Sequence[str], value: Any) -> None:
    step, *others = steps
    if step == "*":
        for element in place if isinstance(place, list) else ():
            _add(element, others, value)
    elif isinstance(place, dict):
        if others:
            _add(place.get(step), others, value)
        else:
            place.setdefault(step, copy.deepcopy(value))
