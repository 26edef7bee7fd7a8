"""The processes that hold the models: all at once, or one by one where memory is short."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from compaudit.engines.sources import Live
from compaudit.measure import memory
from compaudit.models.base import RunSettings
from compaudit.pair import Pair, Side
from compaudit.progress import Progress
from compaudit.units import format_bytes
from compaudit.workers.limits import Limits, anonymous_memory
from compaudit.workers.worker import Worker

__all__ = ["Crew", "Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A model as it is run: one side of the pair, mostly with that side's own settings."""

    name: str
    side: Side
    settings: RunSettings

    @classmethod
    def of(cls, side: Side) -> Self:
        """A side as the audit runs it."""
        return cls(side.name, side, side.settings)


class Crew:
    """Workers, each of which holds a model. A context manager: leaving it kills them all.

    Args:
        pair: the models of the audit.
        limits: of each worker; their memory limit is also what both models together may take.
        progress: told what is loaded.

    Attributes:
        apart: only one model is held at a time; set by `make_room`.
    """

    def __init__(self, pair: Pair, limits: Limits, progress: Progress) -> None:
        self._pair = pair
        self._limits = limits
        self._progress = progress
        self._stack = ExitStack()
        self._started: dict[str, Worker] = {}
        self._loaded: dict[str, Worker] = {}
        self.apart = False

    def __enter__(self) -> Self:
        # While one model is loaded, the other's process can start.
        for side in self._pair.alive:
            if side.loaded is None:
                self._started[side.name] = self._start(side)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def holds(self, subject: Subject) -> bool:
        """Whether the model is loaded now."""
        return subject.name in self._loaded

    def worker(self, subject: Subject) -> Worker:
        """The worker that holds the model; loads it, if need be again.

        What loading told is noted in its side.

        Raises:
            RequestError: it cannot be loaded here.
            MeasurementError: loading it killed the worker.
        """
        if not self.holds(subject):
            if self.apart:
                self.dismiss()
            side = subject.side
            worker = self._started.pop(subject.name, None) or self._start(side)
            self._progress.stage(f"loading {side.source.label}")
            loaded, baseline = memory.load(worker, side.source, subject.settings)
            if subject.name == side.name:
                side.loaded, side.baseline = side.loaded or loaded, baseline
            self._loaded[subject.name] = worker
        return self._loaded[subject.name]

    def dismiss(self, but: Subject | None = None) -> None:
        """End the workers that hold a model; one of them may stay."""
        for name in list(self._loaded):
            if but is None or name != but.name:
                self._loaded.pop(name).close()

    def more(self, subject: Subject, count: int, owned: ExitStack) -> list[Live]:
        """Further workers with the same model, each of which loads it where it is used.

        The processes are started here, in the main thread: their end with this process hangs on
        the thread that started them.
        """

        def load(worker: Worker) -> None:
            memory.load(worker, subject.side.source, subject.settings)

        spec = subject.side.source.spec
        return [Live(owned.enter_context(Worker(spec, self._limits)), load) for _ in range(count)]

    def pairs(self, wanted: int) -> int:
        """How many pairs of workers fit into memory: as many as are wanted, at least one."""
        if self.apart or wanted == 1:
            return 1
        fit = max(1, self._limits.memory // max(1, self.together_bytes()))
        if fit < wanted:
            self._progress.note(
                f"{wanted} pairs of workers do not fit into "
                f"{format_bytes(self._limits.memory)}: {fit} evaluate"
            )
        return min(fit, wanted)

    def together_bytes(self) -> int:
        """What both models take together: measured where that has been done, else what is stored.

        Their own memory and that of the frameworks, and the peak of a first inference.
        """
        return sum(self._bytes_of(side) for side in self._pair.alive)

    def make_room(self) -> None:
        """Hold one model at a time from now on, where both do not fit into the memory limit."""
        needed = self.together_bytes()
        if self.apart or len(self._pair.alive) < 2 or needed <= self._limits.memory:
            return
        self.apart = True
        self._progress.note(
            f"both models together take {format_bytes(needed)}, and the memory limit is "
            f"{format_bytes(self._limits.memory)}: they run one after the other"
        )

    def _bytes_of(self, side: Side) -> int:
        if side.first_run is not None and side.first_run.peak_memory_bytes is not None:
            return side.needed_bytes
        held = 0
        if side.name in self._loaded:
            with suppress(psutil.Error):  # it may be dead, which whoever calls it learns
                held = anonymous_memory(psutil.Process(self._loaded[side.name].pid))
        return max(held, side.needed_bytes)

    def _start(self, side: Side) -> Worker:
        return self._stack.enter_context(Worker(side.source.spec, self._limits))
