"""Every two models' times beside one another, from the experiments that both were in."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.measure.latency.epochs import epoch_values
from compaudit.measure.latency.trace import Trace
from compaudit.theory.statistics import (
    Interval,
    ratio_interval,
    two_look_quantile,
    unpaired_ratio_interval,
)
from compaudit.timing.several import ORIGINAL

__all__ = ["Times"]


class Times:
    """How much faster one model is than another.

    Args:
        traces: of the experiments; the original is in each.
    """

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
