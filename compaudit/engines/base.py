"""What an engine is: it runs two models over the same samples and shows both outputs to meters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from numpy.typing import NDArray

from compaudit.data.base import DataRequest, Feed

__all__ = ["Engine", "Meter", "Outputs", "Pass"]

Outputs = dict[str, Any]
"""Arrays by output name; the first dimension of each counts samples."""


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over the data: what to open, how to feed each model, how many samples at once.

    Attributes:
        batch_sizes: the most samples at once for the original and for the compressed model; what
            a model insists on wins.
    """

    data: DataRequest
    samples: int
    batch_sizes: tuple[int, int]
    original: tuple[Feed, ...]
    compressed: tuple[Feed, ...]


class Meter(Protocol):
    """Takes in the outputs of both models batch by batch; what it keeps can be merged."""

    def update(self, labels: NDArray[Any] | None, original: Outputs, compressed: Outputs) -> None:
        """Take in one batch. Raises RequestError where outputs or labels do not fit."""
        ...


class Engine(Protocol):
    """Where a pass runs."""

    def evaluate(
        self,
        evaluation: Pass,
        labels: Callable[[int, int], NDArray[Any] | None],
        meters: Sequence[Meter],
        on_progress: Callable[[int], None],
    ) -> None:
        """Show every sample to every meter once. Raises RequestError or MeasurementError."""
        ...
