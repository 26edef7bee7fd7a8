"""What measures a task: takes in batches, merges with others of its kind, gives the figures."""

from __future__ import annotations

from typing import Protocol, Self

import msgspec

from compaudit.engines.base import Batch
from compaudit.measure.outputs import OutputPair
from compaudit.measure.scored import Scored
from compaudit.results import Accuracy, Skipped

__all__ = ["Subject", "TaskMeter"]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a task is measured on.

    Attributes:
        output: the output that holds the answers, by its names in both models.
        class_names: what the classes are called, where the data knows.
        confidence: of all intervals.
    """

    output: OutputPair
    class_names: tuple[str, ...] = ()
    confidence: float = 0.95


class TaskMeter(Protocol):
    """One task's figures; made as ``Meter(subject)``, and picklable."""

    def update(self, batch: Batch, scored: Scored | None) -> None:
        """Take in one batch.

        Args:
            batch: all outputs and the labels.
            scored: what the class scores of the subject's output say; None for tasks without.

        Raises:
            RequestError: labels and outputs do not fit.
        """
        ...

    def merge(self, other: Self) -> None:
        """Take in what a meter of other samples has seen."""
        ...

    def result(self) -> tuple[Accuracy, list[Skipped]]:
        """The figures, and why those that are None are."""
        ...
