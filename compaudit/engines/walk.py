"""Through a range of samples, a few at a time, the models always one step ahead of who looks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compaudit.engines.base import Pass
from compaudit.engines.inference import Part
from compaudit.engines.inputs import fixed_batch
from compaudit.engines.sources import OutputSource
from compaudit.workers.worker import Pending

__all__ = ["MOST_BYTES", "Answered", "at_a_time", "first_step", "walk"]

MOST_BYTES = 64 * 10**6
"""What one model may give at a time: while it is read the next is made, and several models are at
it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What each source gave for the samples from `start` to `stop`."""

    start: int
    stop: int
    parts: tuple[Part, ...]

    @property
    def sample_bytes(self) -> int:
        """The bytes of the outputs for one sample, of the source that gives most."""
        most = max(sum(output.nbytes for output in part.outputs.values()) for part in self.parts)
        return int(most) // (self.stop - self.start)


def at_a_time(evaluation: Pass, sample_bytes: int) -> int:
    """How many samples are asked for at a time, so that a model's outputs stay below 64 MB.

    Never fewer than what a model insists on, and a multiple of that where it is more.
    """
    unit = max(fixed_batch(evaluation.original) or 1, fixed_batch(evaluation.compressed) or 1)
    most = min(max(evaluation.batch_sizes), MOST_BYTES // max(1, sample_bytes))
    return max(1, most // unit) * unit


def first_step(evaluation: Pass, sources: Sequence[OutputSource]) -> int:
    """`at_a_time` for what these sources, which are open, say of themselves."""
    step = at_a_time(evaluation, 0)
    if step == 1:
        return 1
    return at_a_time(evaluation, max(source.sample_bytes() for source in sources))


def walk(
    sources: Sequence[tuple[OutputSource, int]],
    evaluation: Pass,
    step: int,
    uniform: Callable[[int, int], int],
    take_in: Callable[[Answered], None],
) -> None:
    """Ask all sources for every sample of a pass once.

    Args:
        sources: each open, with the most samples it may run at once.
        evaluation: its `start` and `stop` are the range.
        step: the most samples at a time; fewer where outputs turn out to be large.
        uniform: as `Dataset.uniform`.
        take_in: gets what they gave, in order, while they are at work on the next samples.
    """
    start = evaluation.start
    under_way: Pending[Answered] | None = None
    while start < evaluation.stop or under_way is not None:
        answered = None if under_way is None else under_way()
        under_way = None
        if answered is not None:
            step = min(step, at_a_time(evaluation, answered.sample_bytes))
        if start < evaluation.stop:
            stop = uniform(start, min(start + step, evaluation.stop))
            under_way = _ask(sources, start, stop, step)
            start = stop
        if answered is not None:
            for (source, _), part in zip(sources, answered.parts, strict=True):
                source.keep(answered.start, answered.stop, part)
            take_in(answered)


def _ask(
    sources: Sequence[tuple[OutputSource, int]], start: int, stop: int, step: int
) -> Pending[Answered]:
    asked = [source.begin(start, stop, min(step, at_once)) for source, at_once in sources]
    return lambda: Answered(start, stop, tuple(wait() for wait in asked))
