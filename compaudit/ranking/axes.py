"""The axes of a front: how much better each model is than each other on each of them.

There is an interval for every two models' speed; `quality` has what there is of theirs. Sizes are
exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from compaudit.ranking.quality import NOWHERE, Quality, Top1, in_flips, less
from compaudit.ranking.times import Times
from compaudit.results import Axis, Comparison, Estimate
from compaudit.theory.statistics import EQUIVALENCE_MARGIN, Interval
from compaudit.timing.several import ORIGINAL

__all__ = ["OnAxis", "as_estimate", "axis_of", "compared_in_pairs"]


class OnAxis(Protocol):
    """All models on one axis.

    Attributes:
        axis: as the report tells of it.
        margin: in the unit of the advantages.
    """

    axis: Axis
    margin: float

    def advantage(self, one: str, other: str) -> Interval:
        """How much better the first is than the second, for all that is measured."""
        ...

    def figure(self, name: str) -> Estimate:
        """Where a model is on it."""
        ...


def compared_in_pairs(metric: str, audits: Mapping[str, Comparison]) -> bool:
    """Whether an axis has an interval for every two models, and not for the candidates alone."""
    return metric == "delta" or in_flips(metric, audits)


def axis_of(
    metric: str,
    audits: Mapping[str, Comparison],
    times: Times,
    sure: float,
    confidence: float,
    resolution: float,
) -> OnAxis:
    """An axis with all models on it.

    Args:
        metric: of the axis, by its path in a comparison.
        audits: the candidates' comparisons, by label.
        times: of those that were timed.
        sure: the confidence of each interval, so that all hold together.
        confidence: of the intervals in the comparisons.
        resolution: of δ, which its margin is no narrower than one and a half times.
    """
    if metric == "delta":
        return _Speed(times, sure, max(EQUIVALENCE_MARGIN, 1.5 * resolution))
    if metric.startswith("alpha"):
        return _Size(metric, audits)
    if in_flips(metric, audits):
        return Top1(metric, audits, sure)
    return Quality(metric, audits, sure, confidence)


class _Speed:
    """δ; advantages are differences of logarithms."""

    def __init__(self, times: Times, sure: float, margin: float) -> None:
        self.axis = Axis(metric="delta", better="higher", margin=margin)
        self.margin = math.log1p(margin)
        self._times = times
        self._sure = sure
        self._known: dict[tuple[str, str], Interval] = {}

    def advantage(self, one: str, other: str) -> Interval:
        if (one, other) not in self._known:
            found = self._times.one_of_many(other, one, self._sure)
            assert found is not None, "both have a δ"
            there = _logarithm(found)
            self._known[one, other] = there
            self._known[other, one] = less(NOWHERE, there)
        return self._known[one, other]

    def figure(self, name: str) -> Estimate:
        if name == ORIGINAL:
            return Estimate(value=1.0, low=1.0, high=1.0)
        found = self._times.one_of_many(ORIGINAL, name, self._sure)
        assert found is not None, "it has a δ"
        return as_estimate(found)


class _Size:
    """α of what is stored, which is exact; advantages are logarithms."""

    def __init__(self, metric: str, audits: Mapping[str, Comparison]) -> None:
        self.axis = Axis(metric=metric, better="higher", margin=0.0)
        self.margin = 0.0
        basis = metric.partition(".")[2]
        found = {label: getattr(one.alpha, basis) for label, one in audits.items()}
        self._alpha = {ORIGINAL: 1.0, **{key: a for key, a in found.items() if a is not None}}

    def advantage(self, one: str, other: str) -> Interval:
        mine, its = self._alpha[one], self._alpha[other]
        exact = 0.0 if mine == its else math.log(mine) - math.log(its)
        return Interval(exact, exact, exact)

    def figure(self, name: str) -> Estimate:
        exact = self._alpha[name]
        return Estimate(value=exact, low=exact, high=exact)


def _logarithm(ratio: Interval) -> Interval:
    return Interval(
        math.log(ratio.value),
        None if ratio.low is None else math.log(ratio.low),
        None if ratio.high is None else math.log(ratio.high),
    )


def as_estimate(interval: Interval) -> Estimate:
    """An interval as a report holds it."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high)
