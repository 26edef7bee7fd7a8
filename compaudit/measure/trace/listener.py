"""A worker that holds one model and shows what it gives inside."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from compaudit.data.base import DataRequest
from compaudit.errors import RequestError
from compaudit.measure import memory
from compaudit.measure.trace import in_worker
from compaudit.measure.trace.graph import TracedGraph
from compaudit.measure.trace.in_worker import Shown
from compaudit.measure.trace.subject import Subject
from compaudit.models.called import CalledModule
from compaudit.models.shapes import stated_shapes
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Pending, Worker

__all__ = ["Inside", "Listener"]

_STAGE = "trace"

Inside = TracedGraph | list[CalledModule]
"""A graph as it was read, or modules that one run calls."""

Sizes = dict[str, tuple[int, ...]]


class Listener:
    """Runs one model, again and again with other values shown. A context manager.

    Args:
        subject: the model.
        data: where the samples come from.
        limits: of its worker.
    """

    def __init__(self, subject: Subject, data: DataRequest, limits: Limits) -> None:
        self._subject = subject
        self._data = data
        self._limits = limits
        self._names: list[str] = []
        self._loaded = False
        self._worker = Worker(subject.source.spec, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._worker.close()

    def inside(self) -> Inside:
        """What the model has inside.

        Raises:
            RequestError: it is TorchScript, or has no graph.
            MeasurementError: it died.
        """
        subject = self._subject
        if subject.model is not None and subject.graph is not None:
            return TracedGraph(subject.model, subject.tensors)
        if not subject.is_torch:
            raise RequestError(
                f"{subject.source.spec} has no graph to look into",
                hint="leave --trace out",
                code="no-graph",
                model=subject.source.spec,
                stage=_STAGE,
            )
        self._load(())
        return self._worker.call(_STAGE, in_worker.called, self._data, subject.feeds)

    def sizes(self, inside: Inside) -> Sizes:
        """The sizes of values for one sample, or for as many as the model insists on.

        Those that cannot be told without a run are not there.
        """
        subject = self._subject
        if isinstance(inside, list):
            return {module.name: module.shape for module in inside}
        if subject.is_torch:
            return {} if subject.graph is None else stated_shapes(subject.graph, {})
        return self._worker.call(_STAGE, in_worker.sizes, subject.source, self._data, subject.feeds)

    def listen(self, names: Sequence[str]) -> None:
        """Show these values from now on; those that are lists or texts are left out.

        Raises:
            RequestError: the model has no such values, or cannot be loaded.
            MeasurementError: it died.
        """
        self._names = list(dict.fromkeys(names))
        if self._subject.is_torch:
            if not self._loaded:
                self._load(())
            self._worker.call(_STAGE, in_worker.listen, self._subject.taps(names))
            return
        self._load(self._names)
        lists = set(self._worker.call(_STAGE, in_worker.no_tensors))
        if lists:
            self._names = [name for name in self._names if name not in lists]
            self._load(self._names)

    def begin(self, start: int, stop: int) -> Pending[Shown]:
        """Begin to run the model on some samples; what is returned waits for what it shows."""
        return self._worker.begin(
            _STAGE, in_worker.show, self._data, self._subject.feeds, start, stop, self._names
        )

    def _load(self, names: Sequence[str]) -> None:
        """Load the model; never beside a copy of itself, which would need its memory twice."""
        if self._loaded:
            self._worker.close()
            self._worker = Worker(self._subject.source.spec, self._limits)
        memory.load(self._worker, self._subject.source, self._subject.tapped(names))
        self._loaded = True
