"""Which models nothing beats: a Pareto front from intervals, not from points.

A model is compared with another axis by axis, by its *advantage*: how much better it is on that
axis, with an interval, positive where it is better. Axes may be logarithms (of a speed-up),
differences (of accuracies) or exact numbers (of bytes, whose interval is a point).

Noise makes equals look unequal, so that by their points alone models are on the front or off it by
chance. Here a model is *dominated* only where the intervals say so: another is as good on every
axis, which is shown where its disadvantage is within a margin for sure and not itself sure, and
better on one for sure. And it is *surely on the front* only where the intervals leave no room
for that: against each other model there is an axis on which it is better for sure, or none on which
the other can be. Between the two lies what more measuring would decide.

The statements hold together with the confidence at which all intervals together hold: see
`bonferroni`.

Non-inferiority within a margin: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics
15:657. Fronts under noise: Teich 2001, "Pareto-front exploration with uncertain objectives".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compaudit.theory.statistics.interval import Interval

__all__ = ["Place", "bonferroni", "dominates", "front", "may_dominate"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model stands.

    Attributes:
        dominated_by: those that surely dominate it; empty where it is on the front.
        sure: whether the intervals decide.
    """

    dominated_by: tuple[str, ...]
    sure: bool

    @property
    def on_front(self) -> bool:
        """Whether nothing surely dominates it."""
        return not self.dominated_by


def bonferroni(confidence: float, comparisons: int) -> float:
    """Return the confidence of each of so many intervals that hold together with `confidence`.

    However they depend on one another: 1 − (1 − confidence) / comparisons.

    Args:
        confidence: of all together, between 0 and 1.
        comparisons: how many there are; one or none needs no correction.

    Raises:
        ValueError: a confidence that is none.

    Source: Dunn 1961, "Multiple comparisons among means", JASA 56:52.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    return 1 - (1 - confidence) / max(1, comparisons)


def dominates(advantages: Sequence[Interval], margins: Sequence[float]) -> bool:
    """Whether the model with these advantages over another surely dominates it.

    Args:
        advantages: on every axis, in the same order.
        margins: on every axis the disadvantage up to which it is as good; not negative.

    Raises:
        ValueError: no axes, or not as many margins.
    """
    bounds = _bounds(advantages)
    as_good = all(
        low >= -margin and high >= 0 for (low, high), margin in zip(bounds, margins, strict=True)
    )
    return as_good and any(low > 0 for low, _ in bounds)


def may_dominate(advantages: Sequence[Interval]) -> bool:
    """Whether it is not excluded that it dominates the other. Raises ValueError for no axes."""
    bounds = _bounds(advantages)
    return all(high >= 0 for _, high in bounds) and any(high > 0 for _, high in bounds)


def front(
    models: Sequence[str],
    advantages: Callable[[str, str], Sequence[Interval]],
    margins: Sequence[float],
) -> dict[str, Place]:
    """The place of every model among the others.

    Args:
        models: their names.
        advantages: of the first over the second, on every axis.
        margins: of every axis; see `dominates`.
    """
    places = {}
    for one in models:
        over = {other: advantages(other, one) for other in models if other != one}
        by = tuple(other for other, found in over.items() if dominates(found, margins))
        open_ = any(may_dominate(found) for found in over.values())
        places[one] = Place(by, bool(by) or not open_)
    return places


def _bounds(advantages: Sequence[Interval]) -> list[tuple[float, float]]:
    """The limits; where there is no interval, anything is possible."""
    if not advantages:
        raise ValueError("no axes to compare by")
    return [
        (
            -math.inf if found.low is None else found.low,
            math.inf if found.high is None else found.high,
        )
        for found in advantages
    ]
