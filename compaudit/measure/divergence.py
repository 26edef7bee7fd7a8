"""How far are the outputs of the two models apart on the same inputs?

Numerical error for every output; divergences of distributions only where the output is known to be
one. Everything is read from the same pass over the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.measure.outputs import (
    OutputPair,
    class_scores,
    kind_of_scores,
    looks_like_classes,
    match_outputs,
)
from compaudit.results import (
    Distribution,
    Divergence,
    EntropyPair,
    Estimate,
    OutputError,
    Skipped,
)
from compaudit.theory import information
from compaudit.theory.statistics import Interval, Moments, wilson_interval

__all__ = ["ClassDivergence", "DivergenceMeter", "NumericalError", "as_estimate"]


class NumericalError:
    """Sums over the elements of one output, enough for its errors, SQNR and cosine."""

    def __init__(self) -> None:
        self.elements = 0
        self.nonfinite = [0, 0]
        self._max_abs = 0.0
        self._sum_abs = 0.0
        self._error_power = 0.0
        self._powers = [0.0, 0.0]
        self._product = 0.0

    def update(self, original: NDArray[Any], compressed: NDArray[Any]) -> None:
        """Take in one batch; elements that are not finite in either model are counted, not summed."""
        a = original.astype(np.float64).ravel()
        b = compressed.astype(np.float64).ravel()
        finite_a, finite_b = np.isfinite(a), np.isfinite(b)
        self.nonfinite[0] += int(np.count_nonzero(~finite_a))
        self.nonfinite[1] += int(np.count_nonzero(~finite_b))
        both = finite_a & finite_b
        a, b = a[both], b[both]
        if not a.size:
            return
        error = np.abs(a - b)
        self.elements += a.size
        self._max_abs = max(self._max_abs, float(error.max()))
        self._sum_abs += float(error.sum())
        self._error_power += float(error @ error)
        self._powers[0] += float(a @ a)
        self._powers[1] += float(b @ b)
        self._product += float(a @ b)

    def result(self) -> OutputError:
        """The errors; SQNR is None for identical outputs (it would be infinite) and silent ones."""
        if not self.elements:
            return OutputError(
                max_abs_error=None,
                mean_abs_error=None,
                sqnr_db=None,
                cosine=None,
                nonfinite_original=self.nonfinite[0],
                nonfinite_compressed=self.nonfinite[1],
            )
        sqnr = None
        if self._error_power > 0 and self._powers[0] > 0:
            sqnr = 10 * math.log10(self._powers[0] / self._error_power)
        norm = math.sqrt(self._powers[0]) * math.sqrt(self._powers[1])
        return OutputError(
            max_abs_error=self._max_abs,
            mean_abs_error=self._sum_abs / self.elements,
            sqnr_db=sqnr,
            cosine=max(-1.0, min(1.0, self._product / norm)) if norm > 0 else None,
            nonfinite_original=self.nonfinite[0],
            nonfinite_compressed=self.nonfinite[1],
        )


class ClassDivergence:
    """Divergences between two class distributions, sample by sample."""

    def __init__(self) -> None:
        self.kinds: tuple[Literal["logits", "probabilities"], ...] | None = None
        self.samples = 0
        self.unusable = 0
        self.floored = 0
        self._values: dict[str, list[NDArray[np.float64]]] = {}
        self._agree = [0, 0]
        self.classes = 0

    def update(self, original: NDArray[Any], compressed: NDArray[Any]) -> None:
        """Take in one batch of class scores, (samples, classes) each."""
        if self.kinds is None:
            self.kinds = (kind_of_scores(original), kind_of_scores(compressed))
        q = class_scores(original, self.kinds[0])
        p = class_scores(compressed, self.kinds[1])
        self.classes = original.shape[1]
        self.samples += len(original)
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
            self._values.setdefault(name, []).append(values)
        self._agree[0] += int(np.count_nonzero((q.predicted == p.predicted) & both))
        if self.classes > 5:
            self._agree[1] += _same_top5(log_q, log_p)

    def distribution(self, name: str, confidence: float) -> Distribution:
        """Mean with its interval, quantiles and maximum of one divergence."""
        values = np.concatenate(self._values[name])
        p50, p90, p99, p999 = np.quantile(values, (0.5, 0.9, 0.99, 0.999))
        return Distribution(
            mean=self.mean(name, confidence),
            p50=float(p50),
            p90=float(p90),
            p99=float(p99),
            p999=float(p999),
            max=float(values.max()),
            noise_floor=None,
        )

    def mean(self, name: str, confidence: float) -> Estimate:
        """The mean over samples with its t interval."""
        return as_estimate(Moments.of(np.concatenate(self._values[name])).interval(confidence))

    def agreement(self, rank: Literal[1, 5], confidence: float) -> Estimate:
        """Share of samples on which both models put the same class (the same five) on top."""
        agreeing = self._agree[0 if rank == 1 else 1]
        return as_estimate(wilson_interval(agreeing, self.samples, confidence))


class DivergenceMeter:
    """Compares every output, and the class distribution where the output is one.

    Args:
        mapping: ``--map-output``.
        named: whether both frameworks name their outputs.
        classes: whether the output is known to hold class scores: a declared task, or labels. When
            it is not, only an output that sums to one is read as a distribution.
        output: ``--model-output``, the original's name of the output that matters.
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
        self.classes: ClassDivergence | None = None
        self.samples = 0

    def update(self, labels: NDArray[Any] | None, original: Outputs, compressed: Outputs) -> None:
        """Take in one batch. Raises RequestError where the outputs do not fit."""
        if not self.pairs:
            self.pairs = match_outputs(original, compressed, self._mapping, named=self._named)
            self.numerical = {pair.original: NumericalError() for pair in self.pairs}
            self._choose_output(original)
        for pair in self.pairs:
            a, b = original[pair.original], compressed[pair.compressed]
            self.numerical[pair.original].update(a, b)
            if self.classes is not None and pair.original == self.output:
                self.classes.update(a, b)
        self.samples += len(next(iter(original.values())))

    def counterpart(self, output: str) -> str:
        """The compressed model's name of one of the original's outputs."""
        return next(pair.compressed for pair in self.pairs if pair.original == output)

    def result(
        self, source: Literal["data", "synthetic"], confidence: float
    ) -> tuple[Divergence, list[Skipped]]:
        """The figures, and why those that are None are."""
        skipped = [
            Skipped(
                metric=f"divergence.outputs[{_quoted(name)}].sqnr_db",
                reason="the outputs are identical, so the ratio to their error is infinite",
            )
            for name, error in self.numerical.items()
            if error.elements and error.result().max_abs_error == 0
        ]
        empty = Divergence(
            samples=self.samples,
            source=source,
            output=self.output,
            kl=None,
            kl_reverse=None,
            js=None,
            cross_entropy=None,
            entropy=None,
            top1_agreement=None,
            top5_agreement=None,
            floored=0,
            outputs={name: error.result() for name, error in self.numerical.items()},
        )
        reason = self._why_no_distribution()
        if reason is not None or self.classes is None:
            skipped += [
                Skipped(metric=f"divergence.{name}", reason=reason or "not a distribution")
                for name in ("kl", "kl_reverse", "js", "cross_entropy", "entropy")
            ]
            return empty, skipped
        classes = self.classes
        if classes.classes <= 5:
            skipped.append(
                Skipped(
                    metric="divergence.top5_agreement",
                    reason=f"there are only {classes.classes} classes",
                )
            )
        return (
            Divergence(
                samples=self.samples,
                source=source,
                output=self.output,
                kl=classes.distribution("kl", confidence),
                kl_reverse=classes.distribution("kl_reverse", confidence),
                js=classes.distribution("js", confidence),
                cross_entropy=classes.mean("cross_entropy", confidence),
                entropy=EntropyPair(
                    original=classes.mean("entropy_original", confidence).value,
                    compressed=classes.mean("entropy_compressed", confidence).value,
                ),
                top1_agreement=classes.agreement(1, confidence),
                top5_agreement=classes.agreement(5, confidence) if classes.classes > 5 else None,
                floored=classes.floored,
                outputs=empty.outputs,
            ),
            skipped,
        )

    def _choose_output(self, original: Outputs) -> None:
        """The output that is a distribution: as told, or the only one that can be."""
        candidates = [
            name
            for name in ([self.output] if self.output else original)
            if name in original
            and looks_like_classes(original[name])
            and (self._classes_known or kind_of_scores(original[name]) == "probabilities")
        ]
        if len(candidates) == 1:
            self.output = candidates[0]
            self.classes = ClassDivergence()

    def _why_no_distribution(self) -> str | None:
        if self.classes is None:
            return (
                "what the output means is not known; say --task classification if its numbers are "
                "class scores"
                if len(self.numerical) == 1
                else "several outputs, and none is known to be a distribution; say which with "
                "--model-output and --task"
            )
        if self.classes.unusable:
            return (
                f"{self.classes.unusable} of {self.classes.samples} samples have NaN or infinite "
                "outputs, which no average may hide"
            )
        return None


def as_estimate(interval: Interval) -> Estimate:
    """An interval as the report has it."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high)


def _same_top5(log_q: NDArray[np.float64], log_p: NDArray[np.float64]) -> int:
    """Samples whose five most likely classes are the same set."""
    if not len(log_q):
        return 0
    top_q, top_p = (
        np.sort(np.argsort(-log, axis=-1, kind="stable")[:, :5], axis=-1) for log in (log_q, log_p)
    )
    return int(np.count_nonzero((top_q == top_p).all(axis=-1)))


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
