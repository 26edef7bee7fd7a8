"""Which models nothing beats: a Pareto front from intervals, not from points.

A model is compared with another axis by axis, by its *advantage*: how much better it is on that
axis, with an interval, positive where it is better. Axes may be logarithms (of a speed-up),
differences (of accuracies) or exact numbers (of bytes, whose interval is a point).

What differs by less than a *margin* is as good: 1 % of the time is no reason to keep a model that
is right half as often. So a model dominates another when on every axis it is no worse by more than
the margin, and on one better by more than the margin. Both margins are needed: were any advantage
enough, of a model that is a little faster and one that is a little better each would rule out the
other. Where one axis is exact and at most two have a margin, no chain of dominations leads back to
where it began: round a circle, the axis that is won more often than the other is won in sum.

Noise makes equals look unequal, so that by their points alone models are on the front or off it by
chance. Here a model is *dominated* only where the intervals say so, every bound of them being
inside; and it is *surely on the front* only where they leave no room for that: against each other
model there is an axis on which it is better by more than the margin for sure, or none on which the
other can be. Between the two lies what more measuring would decide, and of that the points tell
what is the more likely.

What is said of two models on an axis is that one is better by more than the margin, or that it is
not worse by more than it. Of a worse, an equal and a better model different statements are false:
each has the error of all to itself. So "as good" takes a one-sided bound, and only "better", which
of equals may be said falsely in both directions, the bound of a two-sided interval. All statements
hold together with the confidence that `bonferroni` shares among the pairs and axes.

Three statements and one error: Goeman, Solari and Stijnen 2010, "Three-sided hypothesis testing:
simultaneous testing of superiority, equivalence and inferiority", Statistics in Medicine 29:2117,
by the partitioning principle of Finner and Strassburger 2002, Annals of Statistics 30:1194.
Additive ε-dominance: Laumanns, Thiele, Deb and Zitzler 2002, "Combining convergence and diversity
in evolutionary multiobjective optimization", Evolutionary Computation 10:263. Non-inferiority
within a margin: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15:657. Fronts
under noise: Teich 2001, "Pareto-front exploration with uncertain objectives".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compaudit.theory.statistics.interval import Interval

__all__ = ["Advantage", "Place", "bonferroni", "dominates", "front", "may_dominate", "undecided"]


@dataclass(frozen=True, slots=True)
class Advantage:
    """How much better a model is than another on one axis.

    Attributes:
        two_sided: the interval at the confidence of one comparison.
        one_sided: that whose limits each by itself have it, which is no wider.
    """

    two_sided: Interval
    one_sided: Interval


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model stands.

    Attributes:
        dominated_by: those that surely dominate it; empty where it is on the front.
        sure: whether the intervals decide.
        likely_dominated_by: where they do not, those that dominate it by their points alone.
        undecided: where they do not, the places of the axes whose intervals leave it open.
    """

    dominated_by: tuple[str, ...]
    sure: bool
    likely_dominated_by: tuple[str, ...] = ()
    undecided: tuple[int, ...] = ()

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


def dominates(advantages: Sequence[Advantage], margins: Sequence[float]) -> bool:
    """Whether the model with these advantages over another surely dominates it.

    Args:
        advantages: on every axis, in the same order.
        margins: on every axis the difference up to which two are as good; not negative.

    Raises:
        ValueError: no axes, or not as many margins.
    """
    known = _known(advantages, margins)
    return all(one.as_good for one in known) and any(one.better for one in known)


def may_dominate(advantages: Sequence[Advantage], margins: Sequence[float]) -> bool:
    """Whether it is not excluded that it dominates the other. Arguments and errors as above."""
    known = _known(advantages, margins)
    return not any(one.worse for one in known) and not all(one.no_better for one in known)


def undecided(advantages: Sequence[Advantage], margins: Sequence[float]) -> tuple[int, ...]:
    """The places of the axes that leave open whether it dominates the other, where it may.

    Those on which it is not known to be as good; where it is on all, those on which it is not known
    to be better. Arguments and errors as for `dominates`.
    """
    if dominates(advantages, margins) or not may_dominate(advantages, margins):
        return ()
    known = _known(advantages, margins)
    worse = tuple(place for place, one in enumerate(known) if not one.as_good)
    return worse or tuple(place for place, one in enumerate(known) if not one.no_better)


def front(
    models: Sequence[str],
    advantages: Callable[[str, str], Sequence[Advantage]],
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
        rivals = [other for other, found in over.items() if may_dominate(found, margins)]
        if by or not rivals:
            places[one] = Place(by, sure=True)
            continue
        likely = tuple(other for other in rivals if dominates(_points(over[other]), margins))
        # What would confirm what is likely; or else, what would exclude all that is not.
        open_ = {place for other in likely or rivals for place in undecided(over[other], margins)}
        places[one] = Place((), False, likely, tuple(sorted(open_)))
    return places


def _points(advantages: Sequence[Advantage]) -> list[Advantage]:
    points = [Interval(*[found.two_sided.value] * 3) for found in advantages]
    return [Advantage(point, point) for point in points]


class _Known(NamedTuple):
    """What is sure of a model beside another on one axis."""

    better: bool
    as_good: bool
    no_better: bool
    worse: bool


def _known(advantages: Sequence[Advantage], margins: Sequence[float]) -> list[_Known]:
    if not advantages:
        raise ValueError("no axes to compare by")
    found = []
    for advantage, margin in zip(advantages, margins, strict=True):
        low, high = _limits(advantage.two_sided)
        least, most = _limits(advantage.one_sided)
        found.append(_Known(low > margin, least >= -margin, most <= margin, high < -margin))
    return found


def _limits(interval: Interval) -> tuple[float, float]:
    """Where there is no interval, anything is possible."""
    return (
        -math.inf if interval.low is None else interval.low,
        math.inf if interval.high is None else interval.high,
    )
