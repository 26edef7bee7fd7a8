"""What an engine is: it runs two models over the same samples and shows both outputs to a tally."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec
from numpy.typing import NDArray

from compaudit.data.base import Answers, DataRequest, Feed

__all__ = ["Batch", "Engine", "Outputs", "Pass", "Seen", "Tally"]

Outputs = dict[str, Any]
"""Arrays by output name; the first dimension of each counts samples."""


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over a part of the data: what to open, how to feed each model, how many at once.

    Attributes:
        start: the first sample.
        stop: the end (exclusive).
        batch_sizes: the most samples at once for the original and for the compressed model; what
            a model insists on wins.
        answers: where the right answers are; None where there are none.
        metrics: ``module:function`` of the user's own figures, which run where the models do.
    """

    data: DataRequest
    start: int
    stop: int
    batch_sizes: tuple[int, int]
    original: tuple[Feed, ...]
    compressed: tuple[Feed, ...]
    answers: Answers | None = None
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Both models' outputs for the same samples.

    Attributes:
        indices: the samples' places in the data, ascending, (samples,) of int64. Samples that
            cannot be read are in no batch.
        labels: the right answers, one row a sample; None without.
        original, compressed: all outputs.
        original_scores, compressed_scores: the user's own figures, by the metric's name; float64,
            (samples,).
    """

    indices: NDArray[Any]
    labels: NDArray[Any] | None
    original: Outputs
    compressed: Outputs
    original_scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    compressed_scores: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Tally(Protocol):
    """Takes in batches, and what other tallies took in.

    Tallies of the parts of a data set merge, in any grouping and order, into the tally of the
    whole: counts exactly, moments up to rounding, sketches to the same answers.
    """

    def update(self, batch: Batch) -> None:
        """Take in one batch. Raises RequestError where outputs or labels do not fit."""
        ...

    def merge(self, other: Self) -> None:
        """Take in what a tally of other samples has seen; it must not be used any more."""
        ...


T = TypeVar("T", bound=Tally)


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What came of a pass.

    Attributes:
        tally: of all samples that could be read.
        broken: the others, by index, and why.
    """

    tally: T
    broken: Mapping[int, str]


class Engine(Protocol):
    """Where a pass runs."""

    def evaluate(
        self, evaluation: Pass, make: Callable[[], T], on_progress: Callable[[int], None]
    ) -> Seen[T]:
        """Show every sample to a tally once.

        Args:
            evaluation: what to run.
            make: makes an empty tally. Parts of the data may get one each, anywhere, and the
                tallies are merged: it must survive pickling.
            on_progress: told how many samples are done.

        Raises:
            RequestError: outputs, labels or data do not fit, or cannot be read.
            MeasurementError: a model died.
        """
        ...
