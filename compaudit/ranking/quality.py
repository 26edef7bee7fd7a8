"""How good models are beside one another: by the samples they get right, or by any other metric.

Top-1 of two candidates is known by the samples that each breaks and fixes. Of other metrics there
is an interval for every candidate against the original; the difference of two candidates lies
within what those two allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from compaudit.report.rows.metrics import headline
from compaudit.results import Axis, Comparison, Estimate, PairedMetric
from compaudit.theory.statistics import Interval, paired_lower_bound
from compaudit.theory.statistics.interval import t_quantile, upper_probability
from compaudit.timing.several import ORIGINAL

__all__ = ["KL", "NOWHERE", "Quality", "Top1", "has", "in_flips", "less"]

KL = "divergence.kl.mean"
NOWHERE = Interval(0.0, 0.0, 0.0)


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


def in_flips(metric: str, audits: Mapping[str, Comparison]) -> bool:
    """Whether a metric is known by the samples that were broken and fixed, the same for all."""
    if metric != "accuracy.top1":
        return False
    found = [one.accuracy for one in audits.values() if has(one, metric) and one.accuracy]
    samples = {(one.samples, one.top1.original.value) for one in found if one.top1}
    return len(samples) == 1 and all(one.flips and not one.language for one in found)


class Top1:
    """The share of samples whose right class is on top, of models that saw the same samples.

    Each is known by how many samples it breaks and fixes, and not by which. At most, two disagree
    wherever one of them disagrees with the original, as far as there are so many samples; that is
    what an interval is made for, as the more samples change both ways, the wider it is. The
    difference of the two is exact all the same.
    """

    def __init__(self, metric: str, audits: Mapping[str, Comparison], sure: float) -> None:
        self._one_sided = upper_probability(sure)
        self._flips = {ORIGINAL: (0, 0)}
        self._samples, self._right, self.margin = 0, 0, 0.0
        self._known: dict[tuple[int, int], Interval] = {}
        for label, audit in audits.items():
            if not has(audit, metric):
                continue
            accuracy = audit.accuracy
            assert accuracy is not None
            assert accuracy.flips is not None
            assert accuracy.top1 is not None
            self._flips[label] = (accuracy.flips.broken, accuracy.flips.fixed)
            self._samples = accuracy.samples
            self._right = round(accuracy.top1.original.value * accuracy.samples)
            if accuracy.equivalence is not None and accuracy.equivalence.metric == "top1":
                self.margin = accuracy.equivalence.margin
        self.axis = Axis(metric=metric, better="higher", margin=self.margin)

    def advantage(self, one: str, other: str) -> Interval:
        """How much better the first is than the second, for all that is measured."""
        (broken, fixed), (its_broken, its_fixed) = self._flips[one], self._flips[other]
        # Both broken, or both fixed, where there are not samples enough to keep them apart.
        shared = max(0, broken + its_broken - self._right)
        mended = max(0, fixed + its_fixed - (self._samples - self._right))
        lost = broken - shared + its_fixed - mended
        won = its_broken - shared + fixed - mended
        if (lost, won) not in self._known:
            self._known[lost, won] = Interval(
                (won - lost) / self._samples,
                paired_lower_bound(lost, won, self._samples, self._one_sided),
                -paired_lower_bound(won, lost, self._samples, self._one_sided),
            )
        return self._known[lost, won]

    def figure(self, name: str) -> Estimate:
        """Where a model is on it."""
        found = _moved(self._right / self._samples, self.advantage(name, ORIGINAL))
        assert found.low is not None
        assert found.high is not None
        return Estimate(value=found.value, low=max(0.0, found.low), high=min(1.0, found.high))


class Quality:
    """A metric of the task, or the divergence from the original: smaller is better there."""

    def __init__(
        self, metric: str, audits: Mapping[str, Comparison], sure: float, confidence: float
    ) -> None:
        self._changes = {ORIGINAL: NOWHERE}
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
            language = accuracy.language
            counted = accuracy.samples if language is None else language.sequences
            self._changes[label] = _widened(pair.delta, counted, confidence, sure)
            if accuracy.equivalence is not None and accuracy.equivalence.metric == key:
                self.margin = accuracy.equivalence.margin
        self.axis = Axis(metric=metric, better=better, margin=self.margin)
        self._sign = 1 if better == "higher" else -1

    def advantage(self, one: str, other: str) -> Interval:
        """How much better the first is than the second, for all that is measured."""
        if self._sign < 0:
            one, other = other, one
        return less(self._changes[one], self._changes[other])

    def figure(self, name: str) -> Estimate:
        """Where a model is on it."""
        return _moved(self._base, self._changes[name])


def _moved(base: float, change: Interval) -> Estimate:
    """Where a model is that is so much above the original."""
    return Estimate(
        value=base + change.value,
        low=None if change.low is None else base + change.low,
        high=None if change.high is None else base + change.high,
    )


def _widened(estimate: Estimate, samples: int, confidence: float, sure: float) -> Interval:
    """An interval at another confidence, as far as Student's t tells: of a mean it is exact."""
    if estimate.low is None or estimate.high is None or samples < 2:
        return Interval(estimate.value, None, None)
    wider = t_quantile(upper_probability(sure), samples - 1) / t_quantile(
        upper_probability(confidence), samples - 1
    )
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    return Interval(estimate.value, estimate.value - wider * below, estimate.value + wider * above)


def less(one: Interval, other: Interval) -> Interval:
    """What the difference of two can be, each anywhere in its interval."""
    return Interval(
        one.value - other.value,
        None if one.low is None or other.high is None else one.low - other.high,
        None if one.high is None or other.low is None else one.high - other.low,
    )
