"""One model alone, to be compared with another later by what it gave."""

from __future__ import annotations

from collections.abc import Callable

from compaudit.engines.base import Pass
from compaudit.engines.labels import LabelReader
from compaudit.engines.sources import OutputSource, Which
from compaudit.engines.walk import Answered, first_step, walk

__all__ = ["run_alone"]


def run_alone(
    source: OutputSource,
    evaluation: Pass,
    which: Which,
    on_progress: Callable[[int], None],
) -> None:
    """Run a model on every sample of a pass, in the batches it would have beside another.

    Args:
        source: the model, wrapped in what stores its outputs.
        evaluation: what to run.
        which: the side of it that the model is.
        on_progress: told how many samples are done.

    Raises:
        RequestError: the data cannot be read, or does not fit.
        MeasurementError: the model died.
    """
    source.open(evaluation, which)
    batch = evaluation.batch_sizes[0 if which == "original" else 1]

    def take_in(answered: Answered) -> None:
        on_progress(answered.stop - evaluation.start)

    step = first_step(evaluation, [source])
    uniform = LabelReader(evaluation.data, None).uniform
    walk([(source, batch)], evaluation, step, uniform, take_in)
