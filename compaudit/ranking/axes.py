"""The axes of a front: how much better each model is than each other on each of them.

There is an interval for every two models' speed, and one for every candidate's quality against the
original; the difference of two candidates' quality lies within what those two allow. Sizes are
exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Protocol

from compaudit.ranking.times import Times
from compaudit.report.rows.metrics import headline
from compaudit.results import Accuracy, Axis, Comparison, Estimate, PairedMetric
from compaudit.theory.statistics import (
    EQUIVALENCE_MARGIN,
    Interval,
    newcombe_paired_difference,
)
from compaudit.theory.statistics.interval import t_quantile, upper_probability
from compaudit.timing.several import ORIGINAL

__all__ = ["KL", "OnAxis", "as_estimate", "axis_of", "has"]

KL = "divergence.kl.mean"
_NOWHERE = Interval(0.0, 0.0, 0.0)


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


def has(audit: Comparison, metric: str) -> bool:
    """Whether a comparison has the figure of an axis, but for δ."""
    match metric.split("."):
        case ["accuracy", key]:
            return audit.accuracy is not None and getattr(audit.accuracy, key) is not None
        case ["divergence", *_]:
            return audit.divergence is not None and audit.divergence.kl is not None
        case ["alpha", basis]:
            return getattr(audit.alpha, basis) is not None
    return False


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
    return _Quality(metric, audits, sure, confidence)


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
            found = self._times.delta(other, one, self._sure)
            assert found is not None, "both have a δ"
            there = _logarithm(found)
            self._known[one, other] = there
            self._known[other, one] = _less(_NOWHERE, there)
        return self._known[one, other]

    def figure(self, name: str) -> Estimate:
        if name == ORIGINAL:
            return Estimate(value=1.0, low=1.0, high=1.0)
        found = self._times.delta(ORIGINAL, name, self._sure)
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


class _Quality:
    """A metric of the task, or the divergence from the original: smaller is better there."""

    def __init__(
        self, metric: str, audits: Mapping[str, Comparison], sure: float, confidence: float
    ) -> None:
        self._changes = {ORIGINAL: _NOWHERE}
        self._base = 0.0
        better: Literal["higher", "lower"] = "lower"
        self.margin = 0.0
        for label, audit in audits.items():
            if not has(audit, metric):
                continue
            if metric == KL:
                assert audit.divergence is not None
                assert audit.divergence.kl is not None
                kl = audit.divergence.kl.mean
                self._changes[label] = _widened(kl, audit.divergence.samples, confidence, sure)
                continue
            key = metric.partition(".")[2]
            accuracy = audit.accuracy
            found = headline(accuracy) if accuracy is not None else None
            assert accuracy is not None
            assert found is not None
            better = "higher" if found[0].higher_is_better else "lower"
            pair: PairedMetric = getattr(accuracy, key)
            self._base = pair.original.value
            self._changes[label] = _change(key, accuracy, pair, confidence, sure)
            if accuracy.equivalence is not None and accuracy.equivalence.metric == key:
                self.margin = accuracy.equivalence.margin
        self.axis = Axis(metric=metric, better=better, margin=self.margin)
        self._sign = 1 if better == "higher" else -1

    def advantage(self, one: str, other: str) -> Interval:
        if self._sign < 0:
            one, other = other, one
        return _less(self._changes[one], self._changes[other])

    def figure(self, name: str) -> Estimate:
        change = self._changes[name]
        return Estimate(
            value=self._base + change.value,
            low=None if change.low is None else self._base + change.low,
            high=None if change.high is None else self._base + change.high,
        )


def _change(
    key: str, accuracy: Accuracy, pair: PairedMetric, confidence: float, sure: float
) -> Interval:
    """The change against the original at the confidence that holds for all together."""
    n, flips = accuracy.samples, accuracy.flips
    if key == "top1" and flips is not None and accuracy.language is None and n:
        right = round(pair.original.value * n)
        both, neither = right - flips.broken, n - right - flips.fixed
        if min(both, neither) >= 0:
            return newcombe_paired_difference(both, flips.broken, flips.fixed, neither, sure)
    counted = accuracy.language.sequences if accuracy.language is not None else n
    return _widened(pair.delta, counted, confidence, sure)


def _widened(estimate: Estimate, samples: int, confidence: float, sure: float) -> Interval:
    """An interval at another confidence, as far as Student's t tells: of a mean it is exact."""
    if estimate.low is None or estimate.high is None or samples < 2:
        return Interval(estimate.value, None, None)
    wider = t_quantile(upper_probability(sure), samples - 1) / t_quantile(
        upper_probability(confidence), samples - 1
    )
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    return Interval(estimate.value, estimate.value - wider * below, estimate.value + wider * above)


def _less(one: Interval, other: Interval) -> Interval:
    """What the difference of two can be, each anywhere in its interval."""
    return Interval(
        one.value - other.value,
        None if one.low is None or other.high is None else one.low - other.high,
        None if one.high is None or other.low is None else one.high - other.low,
    )


def _logarithm(ratio: Interval) -> Interval:
    return Interval(
        math.log(ratio.value),
        None if ratio.low is None else math.log(ratio.low),
        None if ratio.high is None else math.log(ratio.high),
    )


def as_estimate(interval: Interval) -> Estimate:
    """An interval as a report holds it."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high)
