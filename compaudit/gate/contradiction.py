"""Requirements that cannot hold together, whatever is measured."""

from __future__ import annotations

from collections.abc import Iterable

from compaudit.errors import RequestError
from compaudit.gate.path import kind_of
from compaudit.gate.requirement import Reference, Requirement
from compaudit.results import Estimate
from compaudit.units import dimension_of

__all__ = ["require_consistent"]

_Key = tuple[tuple[str, ...], bool, tuple[str, ...]]
_RATES = ("alpha", "delta")


def require_consistent(requirements: Iterable[Requirement]) -> None:
    """Refuse two limits of one figure that leave no room between them.

    Raises:
        RequestError: ``alpha.macs >= 4`` beside ``alpha.macs <= 3``, whatever their severities.
    """
    seen: dict[_Key, list[tuple[Requirement, float]]] = {}
    for one in requirements:
        limit = _comparable(one)
        if limit is None:
            continue
        beside = seen.setdefault(_key(one), [])
        for other, others_limit in beside:
            if _exclude(one.operator, limit, other.operator, others_limit):
                raise RequestError(
                    f"{other.text!r} and {one.text!r} cannot both hold",
                    hint="leave one of them out",
                    code="contradicting-requirements",
                )
        beside.append((one, limit))


def _comparable(requirement: Requirement) -> float | None:
    """The limit as a number that orders it among others like it; None where none does."""
    limit = requirement.limit
    if not isinstance(limit, Reference):
        return limit
    relative = all(tolerance.relative for tolerance in limit.tolerances)
    positive = limit.path[0] in _RATES or dimension_of(limit.path) in ("bytes", "seconds")
    return limit.limit(1.0) if relative and positive else None


def _key(requirement: Requirement) -> _Key:
    """What two limits must have in common to exclude one another.

    A figure lies in its interval, so that its point and itself are one.
    """
    path = requirement.path
    if path[-1] == "value" and kind_of(path[:-1], requirement.text) is Estimate:
        path = path[:-1]
    limit = requirement.limit
    if isinstance(limit, Reference):
        return path, limit.baseline, limit.path
    return path, False, ()


def _exclude(operator: str, limit: float, other: str, others_limit: float) -> bool:
    """Whether no number satisfies both."""
    if "!=" in (operator, other):
        return {operator, other} == {"==", "!="} and limit == others_limit
    least, most = _bounds(operator, limit), _bounds(other, others_limit)
    low, high = max(least[0], most[0]), min(least[1], most[1])
    strict = any(
        bound == low and sign in (">", "<")
        for sign, bound in ((operator, limit), (other, others_limit))
    )
    return low > high or (low == high and strict)


def _bounds(operator: str, limit: float) -> tuple[float, float]:
    infinite = float("inf")
    if operator == "==":
        return limit, limit
    return (limit, infinite) if operator in (">=", ">") else (-infinite, limit)
