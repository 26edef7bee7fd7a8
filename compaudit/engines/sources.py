"""Where one model's outputs come from: a worker that holds it, or what an earlier run stored.

An engine does not know which. A source that is wrapped in `Recorded` stores what passes through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from compaudit.data.base import Feed
from compaudit.engines.base import Pass
from compaudit.engines.inference import Part, infer_and_score, open_samples, sample_bytes
from compaudit.engines.records import Reader, Writer
from compaudit.workers.worker import Pending, Worker

__all__ = ["Live", "OutputSource", "Recorded", "Stored", "Which"]

Which = Literal["original", "compressed"]
"""The side of a pass that a source answers for."""

_STAGE = "evaluate"


class OutputSource(Protocol):
    """One model's outputs for ranges of samples."""

    def open(self, evaluation: Pass, which: Which) -> None:
        """Get ready for a pass, as this side of it. Raises RequestError or MeasurementError."""
        ...

    def sample_bytes(self) -> int:
        """About how many bytes the outputs for one sample take."""
        ...

    def begin(self, start: int, stop: int, at_once: int) -> Pending[Part]:
        """Ask for the outputs of these samples, which have equal shapes; one range at a time.

        Args:
            start: the first sample.
            stop: the end (exclusive).
            at_once: the most samples in one run; what the model insists on wins.
        """
        ...

    def keep(self, start: int, stop: int, part: Part) -> None:
        """What it gave has arrived, and the models are at work again: time to store it."""
        ...

    def kill(self) -> None:
        """End what is under way; whoever waits for it gets a MeasurementError."""
        ...


class Live:
    """A model in a worker of its own.

    Args:
        worker: holds the loaded model.
        load: loads the model first, where the worker does not hold it yet.
    """

    def __init__(self, worker: Worker, load: Callable[[Worker], object] | None = None) -> None:
        self._worker = worker
        self._load = load
        self._feeds: tuple[Feed, ...] = ()
        self._metrics: tuple[str, ...] = ()

    def open(self, evaluation: Pass, which: Which) -> None:
        """Load the model, if need be, and have the worker open the data."""
        if self._load is not None:
            self._load(self._worker)
            self._load = None
        self._feeds = getattr(evaluation, which)
        self._metrics = evaluation.metrics
        self._worker.call(
            _STAGE, open_samples, evaluation.data, evaluation.answers, evaluation.metrics
        )

    def sample_bytes(self) -> int:
        """Found out by running the model on one sample."""
        return self._worker.call(_STAGE, sample_bytes, self._feeds)

    def begin(self, start: int, stop: int, at_once: int) -> Pending[Part]:
        """Have the worker run the model on them."""
        return self._worker.begin(
            _STAGE, infer_and_score, self._feeds, start, stop, at_once, self._metrics
        )

    def keep(self, start: int, stop: int, part: Part) -> None:
        """Nothing is stored."""

    def kill(self) -> None:
        """Kill the worker."""
        self._worker.kill()


class Stored:
    """What a model gave earlier; any number of threads may read it at once."""

    def __init__(self, records: Reader) -> None:
        self._records = records
        self._scored = False

    def open(self, evaluation: Pass, which: Which) -> None:
        """The user's own figures are left out of a pass that has none."""
        self._scored = bool(evaluation.metrics)

    def sample_bytes(self) -> int:
        """What those for the first take."""
        return self._records.sample_bytes

    def begin(self, start: int, stop: int, at_once: int) -> Pending[Part]:
        """Read them when they are waited for."""
        return lambda: self._read(start, stop)

    def _read(self, start: int, stop: int) -> Part:
        part = self._records.read(start, stop)
        return part if self._scored else msgspec.structs.replace(part, scores={})

    def keep(self, start: int, stop: int, part: Part) -> None:
        """It is stored already."""

    def kill(self) -> None:
        """Nothing is under way."""


class Recorded:
    """Another source, of which everything that it gives is stored; several may share a writer."""

    def __init__(self, source: OutputSource, writer: Writer) -> None:
        self._source = source
        self._writer = writer

    def open(self, evaluation: Pass, which: Which) -> None:
        """As the other."""
        self._source.open(evaluation, which)

    def sample_bytes(self) -> int:
        """As the other."""
        return self._source.sample_bytes()

    def begin(self, start: int, stop: int, at_once: int) -> Pending[Part]:
        """As the other."""
        return self._source.begin(start, stop, at_once)

    def keep(self, start: int, stop: int, part: Part) -> None:
        """Write it down."""
        self._source.keep(start, stop, part)
        self._writer.write(start, stop, part)

    def kill(self) -> None:
        """As the other."""
        self._source.kill()
