"""Who is on the Pareto front: the axes, and how much better each model is than each other on them.

All intervals of one front hold together with the report's confidence. There is one for every two
models' speed, and one for every candidate's quality against the original; the difference of two
candidates' quality lies within what the two intervals allow. Sizes are exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, Protocol

from compaudit.measure.latency.epochs import epoch_values
from compaudit.measure.latency.trace import Trace
from compaudit.report.rows.metrics import headline
from compaudit.results import (
    Accuracy,
    Axis,
    Between,
    Comparison,
    Estimate,
    Front,
    PairedMetric,
    Standing,
)
from compaudit.theory.pareto import bonferroni, front
from compaudit.theory.statistics import (
    EQUIVALENCE_MARGIN,
    Interval,
    newcombe_paired_difference,
    ratio_interval,
    two_look_quantile,
    unpaired_ratio_interval,
)
from compaudit.theory.statistics.interval import t_quantile, upper_probability
from compaudit.timing.several import ORIGINAL

__all__ = ["Placed", "Times", "place"]

_KL = "divergence.kl.mean"
_NOWHERE = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Placed:
    """The front, the place of every candidate that has one, and their speeds beside one another."""

    front: Front | None
    standings: Mapping[str, Standing]
    between: list[Between]


def place(
    audits: Mapping[str, Comparison], traces: Sequence[Trace], confidence: float, resolution: float
) -> Placed:
    """Place the original and all candidates that have a figure on every axis.

    Args:
        audits: each candidate's comparison with the original, by its label, of those with which
            nothing went wrong.
        traces: of the experiments; see `compaudit.timing.several`.
        confidence: with which everything that is said of the front holds together.
        resolution: of δ, which its margin is no narrower than one and a half times.
    """
    times = Times(traces)
    timed = [label for label in audits if times.delta(ORIGINAL, label) is not None]
    # What only some of the candidates lack keeps those off the front, and not the axis.
    wanted = _wanted(audits, timed=bool(timed))
    standing = [ORIGINAL] + [
        label
        for label, audit in audits.items()
        if wanted
        and all(kind != "delta" or label in timed for kind in wanted)
        and all(_has(audit, metric) for metric in wanted if metric != "delta")
    ]
    uncertain = [metric for metric in wanted if not metric.startswith("alpha")]
    several = len(standing) * (len(standing) - 1) // 2
    comparisons = sum(several if metric == "delta" else len(standing) - 1 for metric in uncertain)
    sure = bonferroni(confidence, comparisons)
    between = _between(times, [one for one in audits if one in timed], confidence, sure)
    # Along a single axis the front is the first in it, which no one needs to be told.
    if len(standing) < 2 or len(wanted) < 2:
        return Placed(None, {}, between)
    axes = [_axis(metric, audits, times, sure, confidence, resolution) for metric in wanted]
    places = front(
        standing,
        lambda one, other: [axis.advantage(one, other) for axis in axes],
        [axis.margin for axis in axes],
    )
    standings = {
        name: Standing(
            on_front=found.on_front,
            sure=found.sure,
            dominated_by=list(found.dominated_by),
            axes={axis.axis.metric: axis.figure(name) for axis in axes},
        )
        for name, found in places.items()
    }
    original = standings.pop(ORIGINAL)
    return Placed(
        Front(
            axes=[axis.axis for axis in axes],
            confidence=confidence,
            comparisons=comparisons,
            original=original,
        ),
        standings,
        between,
    )


class Times:
    """Every two models' times beside one another, from the experiments that both were in."""

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._traces = traces
        self._models = [{block.model for block in trace.blocks} for trace in traces]

    def delta(self, first: str, second: str, confidence: float = 0.95) -> Interval | None:
        """Time of the first over time of the second; None where they cannot be compared."""
        for trace, models in zip(self._traces, self._models, strict=True):
            if {first, second} <= models:
                values = epoch_values(trace.between(first, second).blocks)
                if values:
                    return ratio_interval(values, confidence, _look(trace, confidence))
        return self._by_the_original(first, second, confidence)

    def paired(self, first: str, second: str) -> bool:
        """Whether both were timed in the same rounds."""
        return any({first, second} <= models for models in self._models)

    def _by_the_original(self, first: str, second: str, confidence: float) -> Interval | None:
        """Of two that were never timed together: each one's δ over the other's."""
        found = []
        for name in (second, first):
            trace = self._trace_of(name)
            values = [] if trace is None else epoch_values(trace.between(ORIGINAL, name).blocks)
            if trace is None or not values:
                return None
            found.append((values, _look(trace, confidence)))
        looks = [look for _, look in found if look is not None]
        return unpaired_ratio_interval(
            found[0][0], found[1][0], confidence, max(looks, default=None)
        )

    def _trace_of(self, name: str) -> Trace | None:
        if name == ORIGINAL:
            return None
        pairs = zip(self._traces, self._models, strict=True)
        return next((trace for trace, models in pairs if {name, ORIGINAL} <= models), None)


def _look(trace: Trace, confidence: float) -> float | None:
    return two_look_quantile(confidence) if trace.two_looks else None


def _between(times: Times, labels: Sequence[str], confidence: float, sure: float) -> list[Between]:
    found = []
    for first, second in combinations(labels, 2):
        delta = times.delta(first, second, confidence)
        simultaneous = times.delta(first, second, sure)
        if delta is not None and simultaneous is not None:
            found.append(
                Between(
                    first=first,
                    second=second,
                    paired=times.paired(first, second),
                    delta=_estimate(delta),
                    simultaneous=_estimate(simultaneous),
                )
            )
    return found


# ------------------------------------------------------------------------------------- axes


class _OnAxis(Protocol):
    axis: Axis
    margin: float

    def advantage(self, one: str, other: str) -> Interval: ...

    def figure(self, name: str) -> Estimate: ...


def _wanted(audits: Mapping[str, Comparison], *, timed: bool) -> list[str]:
    """The metrics of the axes: quality, speed and size, of which something is known."""
    metrics = []
    quality = next((_quality(one) for one in audits.values() if _quality(one)), None)
    if quality is not None:
        metrics.append(quality)
    if timed:
        metrics.append("delta")
    for basis in ("file_bytes", "weight_bytes"):
        if any(getattr(one.alpha, basis) is not None for one in audits.values()):
            metrics.append(f"alpha.{basis}")
            break
    return metrics


def _quality(audit: Comparison) -> str | None:
    """The task's own metric where it has a direction, else the divergence."""
    if audit.accuracy is not None:
        found = headline(audit.accuracy)
        if found is not None and found[0].higher_is_better is not None:
            return f"accuracy.{found[0].key}"
    if audit.divergence is not None and audit.divergence.kl is not None:
        return _KL
    return None


def _has(audit: Comparison, metric: str) -> bool:
    match metric.split("."):
        case ["accuracy", key]:
            return audit.accuracy is not None and getattr(audit.accuracy, key) is not None
        case ["divergence", *_]:
            return audit.divergence is not None and audit.divergence.kl is not None
        case ["alpha", basis]:
            return getattr(audit.alpha, basis) is not None
    return False


def _axis(
    metric: str,
    audits: Mapping[str, Comparison],
    times: Times,
    sure: float,
    confidence: float,
    resolution: float,
) -> _OnAxis:
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
        return _estimate(found)


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
            if not _has(audit, metric):
                continue
            if metric == _KL:
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


def _estimate(interval: Interval) -> Estimate:
    return Estimate(value=interval.value, low=interval.low, high=interval.high)
