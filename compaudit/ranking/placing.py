"""Who is on the Pareto front: the axes, and how much better each model is than each other on them.

All intervals of one front hold together with the report's confidence; `axes` says which there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from compaudit.measure.latency.trace import Trace
from compaudit.ranking.axes import as_estimate, axis_of, compared_in_pairs
from compaudit.ranking.quality import KL, has
from compaudit.ranking.times import Times
from compaudit.report.rows.metrics import headline
from compaudit.results import Between, Comparison, Front, Standing
from compaudit.theory.pareto import Advantage, bonferroni, front
from compaudit.theory.statistics import two_sided_level
from compaudit.timing.several import ORIGINAL

__all__ = ["Placed", "place"]


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
        and all(has(audit, metric) for metric in wanted if metric != "delta")
    ]
    uncertain = [metric for metric in wanted if not metric.startswith("alpha")]
    several = len(standing) * (len(standing) - 1) // 2
    comparisons = sum(
        several if compared_in_pairs(metric, audits) else len(standing) - 1 for metric in uncertain
    )
    sure = bonferroni(confidence, comparisons)
    between = _between(times, [one for one in audits if one in timed], confidence, sure)
    # Along a single axis the front is the first in it, which no one needs to be told.
    if len(standing) < 2 or len(wanted) < 2:
        return Placed(None, {}, between)
    axes, one_sided = (
        [axis_of(metric, audits, times, level, confidence, resolution) for metric in wanted]
        for level in (sure, two_sided_level(sure) if sure > 0.5 else sure)
    )

    def advantages(one: str, other: str) -> list[Advantage]:
        return [
            Advantage(axis.advantage(one, other), narrower.advantage(one, other))
            for axis, narrower in zip(axes, one_sided, strict=True)
        ]

    places = front(standing, advantages, [axis.margin for axis in axes])
    standings = {
        name: Standing(
            on_front=found.on_front,
            sure=found.sure,
            dominated_by=list(found.dominated_by),
            likely_dominated_by=list(found.likely_dominated_by),
            undecided=[axes[at].axis.metric for at in found.undecided],
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


def _between(times: Times, labels: Sequence[str], confidence: float, sure: float) -> list[Between]:
    found = []
    for first, second in combinations(labels, 2):
        delta = times.delta(first, second, confidence)
        simultaneous = times.one_of_many(first, second, sure)
        if delta is not None and simultaneous is not None:
            found.append(
                Between(
                    first=first,
                    second=second,
                    paired=times.paired(first, second),
                    delta=as_estimate(delta),
                    simultaneous=as_estimate(simultaneous),
                )
            )
    return found


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
        return KL
    return None
