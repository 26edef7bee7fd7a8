"""How far are two class distributions apart, row by row? Means, quantiles, agreement."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.scored import Scored
from compaudit.results import Distribution, EntropyPair, Estimate, Histogram
from compaudit.theory.statistics import (
    BlockedMean,
    Interval,
    Moments,
    Quantiles,
    blocked_proportion,
    wilson_interval,
)

__all__ = ["AVERAGES", "ClassDivergence", "as_estimate"]

_DISTRIBUTIONS = ("kl", "kl_reverse", "js")
"""Those of which the report shows quantiles; the others have means alone."""

AVERAGES = (*_DISTRIBUTIONS, "cross_entropy", "entropy")
"""The figures that a single row without a distribution leaves without a value."""


class ClassDivergence:
    """Divergences between the class distributions of two models, and where they agree.

    A row is a sample, or one predicted token of it; tokens of a sample are not independent, so
    intervals go by samples.

    Attributes:
        rows: how many there are.
        unusable: rows that are no distribution in one of the models.
        floored: probabilities that were exactly zero.
        classes: how many there are.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.unusable = 0
        self.floored = 0
        self.classes = 0
        self._per = "sample"
        self._means: dict[str, BlockedMean] = {}
        self._quantiles: dict[str, Quantiles] = {}

    def update(self, scored: Scored) -> None:
        """Take in the rows of one batch, those of a sample together."""
        self._per = scored.per
        self.classes = max(self.classes, scored.classes)
        self.rows += len(scored.samples)
        self.floored += scored.floored
        usable = scored.usable
        self.unusable += int(np.count_nonzero(~usable))
        for name, values in {
            "kl": scored.kl,
            "kl_reverse": scored.kl_reverse,
            "js": scored.js,
            "cross_entropy": scored.cross_entropy,
            "entropy_original": scored.original.entropy,
            "entropy_compressed": scored.compressed.entropy,
        }.items():
            here = values[usable]
            self._add_mean(name, _mean(here, scored.samples[usable], scored.per))
            if name in _DISTRIBUTIONS:
                self._add_quantiles(name, Quantiles.of(here))
        first, second = scored.original.predicted, scored.compressed.predicted
        agreeing = (("top1", (first == second) & (first >= 0)), ("top5", scored.same_top5))
        for name, same in agreeing:
            self._add_mean(name, _mean(same, scored.samples, scored.per))

    def merge(self, other: ClassDivergence) -> None:
        """Take in what was seen of other samples."""
        if other.rows:
            self._per = other._per
        self.rows += other.rows
        self.unusable += other.unusable
        self.floored += other.floored
        self.classes = max(self.classes, other.classes)
        for name, mean in other._means.items():
            self._add_mean(name, mean)
        for name, quantiles in other._quantiles.items():
            self._add_quantiles(name, quantiles)

    def distribution(
        self, name: str, confidence: float, floor: ClassDivergence | None
    ) -> Distribution:
        """Mean with its interval, quantiles, maximum and histogram of one divergence.

        Args:
            name: which one: ``kl``, ``kl_reverse`` or ``js``.
            confidence: of the mean's interval.
            floor: the original against itself at another optimisation level.
        """
        quantiles = self._quantiles[name]
        edges, counts, zeros = quantiles.histogram()
        return Distribution(
            mean=self.mean(name, confidence),
            p50=quantiles.at(0.5),
            p90=quantiles.at(0.9),
            p99=quantiles.at(0.99),
            p999=quantiles.at(0.999),
            max=quantiles.maximum,
            noise_floor=floor.mean(name, confidence).value if floor else None,
            histogram=Histogram(edges=edges, counts=counts, zeros=zeros),
        )

    def mean(self, name: str, confidence: float) -> Estimate:
        """The mean over the rows with its t interval."""
        return as_estimate(self._means[name].interval(confidence))

    def entropy(self) -> EntropyPair:
        """The mean entropies of both models' distributions."""
        return EntropyPair(
            original=self._means["entropy_original"].mean,
            compressed=self._means["entropy_compressed"].mean,
        )

    def agreement(self, rank: Literal[1, 5], confidence: float) -> Estimate:
        """Share of the rows on which both models put the same class (the same five) on top.

        Where an output is not a number there is no agreement. The interval is Wilson's; for tokens
        it goes by samples.
        """
        hits = self._means[f"top{rank}"]
        if self._per == "token":
            return as_estimate(blocked_proportion(hits, confidence))
        return as_estimate(wilson_interval(round(hits.mean * hits.count), hits.count, confidence))

    def why_missing(self) -> dict[str, str]:
        """A reason for every figure that has no value, by its name."""
        if not self.rows:
            reason = f"there is no {self._per} with class scores"
            return dict.fromkeys((*AVERAGES, "top1_agreement", "top5_agreement"), reason)
        why = {}
        if self.unusable:
            reason = (
                f"{self.unusable} of {self.rows} {self._per}s have outputs that are NaN, infinite "
                "or no distribution, which no average may hide"
            )
            why.update(dict.fromkeys(AVERAGES, reason))
        if self.classes <= 5:
            why["top5_agreement"] = f"there are only {self.classes} classes"
        return why

    def _add_mean(self, name: str, mean: BlockedMean) -> None:
        self._means[name] = self._means.get(name, BlockedMean()).merge(mean)

    def _add_quantiles(self, name: str, quantiles: Quantiles) -> None:
        self._quantiles[name] = self._quantiles.get(name, Quantiles()).merge(quantiles)


def _mean(
    values: NDArray[np.float64] | NDArray[np.bool_], samples: NDArray[np.int64], per: str
) -> BlockedMean:
    """The mean of one value a row; a sample is a block."""
    if per == "token":
        return BlockedMean.of(values, samples)
    # With one value a block the residuals are the deviations, and nobody needs to sort blocks.
    alone = Moments.of(values)
    return BlockedMean(
        count=alone.count,
        blocks=alone.count,
        mean=alone.mean,
        squares=alone.m2,
        products=0.0,
        size_squares=alone.count,
    )


def as_estimate(interval: Interval) -> Estimate:
    """An interval as the report has it."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high)
