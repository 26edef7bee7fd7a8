"""Evaluation on this machine: pairs of models at work on shards of the data, all at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec

from compaudit.engines.base import Pass, Seen, Tally
from compaudit.engines.drivers import drive
from compaudit.engines.shard import ShardRunner, SourcePair
from compaudit.engines.walk import first_step
from compaudit.errors import RequestError

__all__ = ["LocalEngine", "cut", "require_readable"]

_SHARDS_PER_PAIR = 4
"""So that a pair that is slower than the others does not hold them up for long at the end."""

T = TypeVar("T", bound=Tally)


class LocalEngine:
    """Runs passes on pairs of models.

    Args:
        pairs: where both models' outputs come from, the original's first. A single pair is driven
            by the thread that asks; several have a thread each.
    """

    def __init__(self, *pairs: SourcePair) -> None:
        self._pairs = [ShardRunner(pair) for pair in pairs]

    def evaluate(
        self, evaluation: Pass, make: Callable[[], T], on_progress: Callable[[int], None]
    ) -> Seen[T]:
        """Show every sample to a tally once. Where one pair fails, all of them are stopped.

        Raises:
            RequestError: outputs, labels or data do not fit, or not one sample can be read.
            MeasurementError: a model died.
        """
        first = self._pairs[0]
        first.open(evaluation)
        step = first_step(evaluation, first.sources)
        shards = [
            msgspec.structs.replace(evaluation, start=start, stop=stop)
            for start, stop in cut(evaluation.start, evaluation.stop, step, len(self._pairs))
        ]
        tallies = [make() for _ in shards]
        progress = _Progress(on_progress)
        found = drive(
            self._pairs,
            lambda pair: pair.open(evaluation),
            lambda pair, place: pair.run(shards[place], step, tallies[place], progress.add),
            len(shards),
        )
        broken = {index: reason for shard in found for index, reason in sorted(shard.items())}
        require_readable(evaluation, broken)
        total, *others = tallies
        for other in others:
            total.merge(other)
        return Seen(total, broken)


def cut(start: int, stop: int, step: int, pairs: int) -> list[tuple[int, int]]:
    """The samples from `start` to `stop` in about four shards a pair; all in one for one pair.

    Every shard but the last is a whole number of steps, so that batches are the same however many
    pairs there are: a model that scales its numbers by batch gives the same outputs.
    """
    if pairs == 1:
        return [(start, stop)]
    steps = -(-(stop - start) // step)
    size = step * -(-steps // (pairs * _SHARDS_PER_PAIR))
    return [(begin, min(begin + size, stop)) for begin in range(start, stop, size)]


def require_readable(evaluation: Pass, broken: dict[int, str]) -> None:
    """Raises RequestError where not one sample of a pass could be read."""
    samples = evaluation.stop - evaluation.start
    if len(broken) == samples:
        index, reason = next(iter(broken.items()))
        raise RequestError(
            f"none of the {samples} samples can be read; sample {index}: {reason}",
            hint="check --data",
            code="no-readable-samples",
            stage="data",
        )


class _Progress:
    """Counts the samples of all shards."""

    def __init__(self, on_progress: Callable[[int], None]) -> None:
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._done = 0

    def add(self, samples: int) -> None:
        with self._lock:
            self._done += samples
            self._on_progress(self._done)
