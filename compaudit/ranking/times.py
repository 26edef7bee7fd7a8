"""Every two models' times beside one another, from the experiments that both were in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from compaudit.measure.latency.epochs import epoch_values
from compaudit.measure.latency.trace import Trace
from compaudit.theory.statistics import (
    Difference,
    Interval,
    apart,
    block_differences,
    ratio_interval,
    two_look_quantile,
    unpaired_ratio_interval,
)
from compaudit.theory.statistics.interval import upper_probability
from compaudit.timing.several import ORIGINAL

__all__ = ["Times"]

_LEAST_EPOCHS = 2


class Times:
    """How much faster one model is than another.

    Args:
        traces: of the experiments; the original is in each.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._traces = traces
        self._models = [{block.model for block in trace.blocks} for trace in traces]
        self._designs = [_design(trace) for trace in traces]

    def delta(self, first: str, second: str, confidence: float = 0.95) -> Interval | None:
        """Time of the first over time of the second; None where they cannot be compared."""
        for trace, models in zip(self._traces, self._models, strict=True):
            if {first, second} <= models:
                values = epoch_values(trace.between(first, second).blocks)
                if values:
                    return ratio_interval(values, confidence, _look(trace, confidence))
        return self._by_the_original(first, second, confidence)

    def one_of_many(self, first: str, second: str, confidence: float) -> Interval | None:
        """The same with the spread that all models of an experiment tell of together.

        For the confidences near 1 that hold for many differences at once: see
        `compaudit.theory.statistics.block_design`. What died on the way is on its own.

        Args:
            first: the model whose time is above the line.
            second: the other.
            confidence: of this one interval.
        """
        for trace, design in zip(self._traces, self._designs, strict=True):
            found = _between(design, first, second)
            if found is not None:
                return found.ratio(_probability([trace], confidence))
        there, back = self._beside_original(second), self._beside_original(first)
        if there is not None and back is not None and not self.paired(first, second):
            (of_second, its_trace), (of_first, their_trace) = there, back
            probability = _probability([its_trace, their_trace], confidence)
            return apart(of_second, of_first).ratio(probability)
        return self.delta(first, second, confidence)

    def paired(self, first: str, second: str) -> bool:
        """Whether both were timed in the same rounds."""
        return any({first, second} <= models for models in self._models)

    def _beside_original(self, name: str) -> tuple[Difference, Trace] | None:
        """Its δ, and the experiment."""
        for trace, design in zip(self._traces, self._designs, strict=True):
            found = _between(design, ORIGINAL, name)
            if found is not None:
                return found, trace
        return None

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


_Design = dict[tuple[str, str], Difference]


def _design(trace: Trace) -> _Design:
    """The differences of all models that were timed in every epoch."""
    epochs: dict[str, set[int]] = {}
    for block in trace.blocks:
        epochs.setdefault(block.model, set()).add(block.epoch)
    whole = [name for name, those in epochs.items() if len(those) == trace.epochs]
    if trace.epochs < _LEAST_EPOCHS or len(whole) < 2:
        return {}
    return block_differences(
        {
            (first, second): epoch_values(trace.between(first, second).blocks)
            for first, second in combinations(whole, 2)
        }
    )


def _between(design: _Design, first: str, second: str) -> Difference | None:
    """The one over the other, in whichever order the design has them."""
    found = design.get((second, first))
    if found is None:
        return design.get((first, second))
    return Difference(-found.mean, found.epochs, found.variance, found.freedom)


def _look(trace: Trace, confidence: float) -> float | None:
    return two_look_quantile(confidence) if trace.two_looks else None


def _probability(traces: Sequence[Trace], confidence: float) -> float:
    """Of the quantile at an upper limit, also where an experiment could have been extended."""
    looks = [_look(trace, confidence) for trace in traces]
    return max([upper_probability(confidence), *(look for look in looks if look is not None)])
