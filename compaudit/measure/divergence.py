"""How far are the outputs of the two models apart on the same inputs?

Numerical error for every output; divergences of distributions only where the output is known to be
one. Everything is read from the same pass over the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.measure.numerical import NumericalError
from compaudit.measure.outputs import OutputPair, check_shapes, match_outputs
from compaudit.measure.scores import ScoredBatch, ScoreReader, looks_like_classes
from compaudit.results import (
    Distribution,
    Divergence,
    EntropyPair,
    Estimate,
    Skipped,
)
from compaudit.theory import information
from compaudit.theory.statistics import Interval, Moments, Quantiles, wilson_interval

__all__ = ["ClassDivergence", "DivergenceMeter", "as_estimate"]


_DISTRIBUTIONS = ("kl", "kl_reverse", "js")
"""Those of which the report shows quantiles; the others have means alone."""


class ClassDivergence:
    """Divergences between two class distributions, sample by sample."""

    def __init__(self) -> None:
        self.samples = 0
        self.unusable = 0
        self.floored = 0
        self.classes = 0
        self._moments: dict[str, Moments] = {}
        self._quantiles: dict[str, Quantiles] = {}
        self._agree = [0, 0]

    def update(self, batch: ScoredBatch) -> None:
        """Take in one batch."""
        q, p = batch.original, batch.compressed
        self.classes = q.top5.shape[1]
        self.samples += len(q.usable)
        self.floored += q.floored + p.floored
        both = q.usable & p.usable
        self.unusable += int(np.count_nonzero(~both))
        log_q, log_p = q.log[both[q.usable]], p.log[both[p.usable]]
        for name, values in {
            "kl": information.kl_from_log(log_q, log_p),
            "kl_reverse": information.kl_from_log(log_p, log_q),
            "js": information.js_from_log(log_p, log_q),
            "cross_entropy": information.cross_entropy_from_log(log_q, log_p),
            "entropy_original": information.entropy_from_log(log_q),
            "entropy_compressed": information.entropy_from_log(log_p),
        }.items():
            self._moments[name] = self._moments.get(name, Moments()).merge(Moments.of(values))
            if name in _DISTRIBUTIONS:
                seen = self._quantiles.get(name, Quantiles())
                self._quantiles[name] = seen.merge(Quantiles.of(values))
        same = (q.predicted == p.predicted) & (q.predicted >= 0)
        self._agree[0] += int(np.count_nonzero(same))
        same = (q.top5 == p.top5).all(axis=-1) & (q.predicted >= 0)
        self._agree[1] += int(np.count_nonzero(same))

    def distribution(
        self, name: str, confidence: float, floor: ClassDivergence | None
    ) -> Distribution:
        """Mean with its interval, quantiles and maximum of one divergence.

        Args:
            name: which one: ``kl``, ``kl_reverse`` or ``js``.
            confidence: of the mean's interval.
            floor: the original against itself at another optimisation level.
        """
        quantiles = self._quantiles[name]
        return Distribution(
            mean=self.mean(name, confidence),
            p50=quantiles.at(0.5),
            p90=quantiles.at(0.9),
            p99=quantiles.at(0.99),
            p999=quantiles.at(0.999),
            max=quantiles.maximum,
            noise_floor=floor.mean(name, confidence).value if floor else None,
        )

    def mean(self, name: str, confidence: float) -> Estimate:
        """The mean over samples with its t interval."""
        return as_estimate(self._moments[name].interval(confidence))

    def entropy(self) -> EntropyPair:
        """The mean entropies of both models' distributions."""
        return EntropyPair(
            original=self._moments["entropy_original"].mean,
            compressed=self._moments["entropy_compressed"].mean,
        )

    def agreement(self, rank: Literal[1, 5], confidence: float) -> Estimate:
        """Share of samples on which both models put the same class (the same five) on top.

        Where an output is not a number there is no agreement.
        """
        agreeing = self._agree[0 if rank == 1 else 1]
        return as_estimate(wilson_interval(agreeing, self.samples, confidence))


class _Candidate:
    """An output that may hold class scores; what they are is known after some samples."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.reader = ScoreReader()
        self.divergence = ClassDivergence()


class DivergenceMeter:
    """Compares every output, and the class distribution where the output is one.

    Args:
        mapping: ``--map-output``.
        named: whether both frameworks name their outputs.
        classes: whether the output is known to hold class scores: a declared task, or labels. When
            it is not, only an output that sums to one is read as a distribution.
        output: ``--model-output``, the original's name of the output that matters.

    Attributes:
        output: the one that was given; else, where class scores are known to be there, the only
            one that can hold them.
        holds_classes: whether `output` is known to hold class scores.
    """

    def __init__(
        self, mapping: Mapping[str, str], *, named: bool, classes: bool, output: str | None
    ) -> None:
        self._mapping = mapping
        self._named = named
        self._classes_known = classes
        self.output = output
        self.pairs: tuple[OutputPair, ...] = ()
        self.numerical: dict[str, NumericalError] = {}
        self.samples = 0
        self._candidates: list[_Candidate] = []
        self._listeners: list[Callable[[ScoredBatch], None]] = []

    @property
    def holds_classes(self) -> bool:
        """Whether `output` is known to hold class scores."""
        return self._classes_known and len(self._candidates) == 1

    def listen(self, take: Callable[[ScoredBatch], None]) -> None:
        """Also hand the scores of `output` to this, every sample once, until `finish`."""
        self._listeners.append(take)

    def update(self, labels: NDArray[Any] | None, original: Outputs, compressed: Outputs) -> None:
        """Take in one batch. Raises RequestError where the outputs do not fit."""
        if not self.pairs:
            self.pairs = match_outputs(
                original, compressed, self._mapping, named=self._named, wanted=self.output
            )
            self.numerical = {pair.original: NumericalError() for pair in self.pairs}
            self._find_candidates(original)
        check_shapes(self.pairs, original, compressed)
        for pair in self.pairs:
            self.numerical[pair.original].update(
                original[pair.original], compressed[pair.compressed]
            )
        for candidate in list(self._candidates):
            a = original[candidate.output]
            b = compressed[self.counterpart(candidate.output)]
            self._take(candidate, candidate.reader.read(labels, a, b))
        self.samples += len(next(iter(original.values())))

    def finish(self) -> None:
        """There are no more samples: let go what was held back to see what the numbers are."""
        for candidate in list(self._candidates):
            self._take(candidate, candidate.reader.finish())

    def usable_classes(self) -> ClassDivergence | None:
        """The class distribution, where there is exactly one and all of it is numbers."""
        self.finish()
        classes = self._candidates[0].divergence if len(self._candidates) == 1 else None
        return classes if classes and classes.samples and not classes.unusable else None

    def counterpart(self, output: str) -> str:
        """The compressed model's name of one of the original's outputs."""
        return next(pair.compressed for pair in self.pairs if pair.original == output)

    def result(
        self,
        source: Literal["data", "synthetic"],
        confidence: float,
        floor: DivergenceMeter | None = None,
    ) -> tuple[Divergence, list[Skipped]]:
        """The figures, and why those that are None are.

        Args:
            source: what the models were fed.
            confidence: of the intervals.
            floor: this meter for the original against itself at another optimisation level.
        """
        self.finish()
        errors = {name: error.result() for name, error in self.numerical.items()}
        skipped = [
            Skipped(metric=f"divergence.outputs[{_quoted(name)}].{figure}", reason=reason)
            for name, (_, reasons) in errors.items()
            for figure, reason in reasons.items()
        ]
        chosen = self._candidates[0] if len(self._candidates) == 1 else None
        classes = chosen.divergence if chosen else None
        why = self._why_missing(classes)
        skipped += [
            Skipped(metric=f"divergence.{name}", reason=reason) for name, reason in why.items()
        ]
        averaged = classes if "kl" not in why else None
        noise = floor.usable_classes() if floor else None
        ranked = classes if "top5_agreement" not in why else None
        return (
            Divergence(
                samples=self.samples,
                source=source,
                output=chosen.output if chosen else self.output,
                kl=averaged.distribution("kl", confidence, noise) if averaged else None,
                kl_reverse=averaged.distribution("kl_reverse", confidence, noise)
                if averaged
                else None,
                js=averaged.distribution("js", confidence, noise) if averaged else None,
                cross_entropy=averaged.mean("cross_entropy", confidence) if averaged else None,
                entropy=averaged.entropy() if averaged else None,
                top1_agreement=classes.agreement(1, confidence) if classes else None,
                top5_agreement=ranked.agreement(5, confidence) if ranked else None,
                floored=classes.floored if classes else 0,
                outputs={name: error for name, (error, _) in errors.items()},
            ),
            skipped,
        )

    def _find_candidates(self, original: Outputs) -> None:
        """The outputs that can hold class scores; the one, where they are known to be there."""
        names = [self.output] if self.output is not None else list(original)
        possible = [name for name in names if looks_like_classes(original[name])]
        if self._classes_known:
            if len(possible) != 1:
                return
            self.output = possible[0]
        self._candidates = [_Candidate(name) for name in possible]

    def _take(self, candidate: _Candidate, batches: list[ScoredBatch]) -> None:
        kinds = candidate.reader.kinds
        if kinds is not None and kinds[0] == "logits" and not self._classes_known:
            self._candidates.remove(candidate)  # any numbers can be read as logits
            return
        for batch in batches:
            candidate.divergence.update(batch)
            for take in self._listeners:
                take(batch)

    def _why_missing(self, classes: ClassDivergence | None) -> dict[str, str]:
        """A reason for every figure of the class distribution that is None."""
        averages = ("kl", "kl_reverse", "js", "cross_entropy", "entropy")
        if classes is None:
            return dict.fromkeys(
                (*averages, "top1_agreement", "top5_agreement"), self._why_no_distribution()
            )
        why = {}
        if classes.unusable:
            reason = (
                f"{classes.unusable} of {classes.samples} samples have outputs that are NaN, "
                "infinite or no distribution, which no average may hide"
            )
            why.update(dict.fromkeys(averages, reason))
        if classes.classes <= 5:
            why["top5_agreement"] = f"there are only {classes.classes} classes"
        return why

    def _why_no_distribution(self) -> str:
        if self._classes_known:
            return (
                "no output holds one row of at least two class scores for each sample"
                if self.output is not None or len(self.numerical) == 1
                else "several outputs or none can hold the class scores; say which does with "
                "--model-output"
            )
        return (
            "what the output means is not known; say --task classification if its numbers are "
            "class scores"
            if len(self.numerical) == 1 or self.output is not None
            else "several outputs, and not exactly one is known to be a distribution; say which "
            "with --model-output and --task"
        )


def as_estimate(interval: Interval) -> Estimate:
    """An interval as the report has it."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
