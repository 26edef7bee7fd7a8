"""The engine of an audit on a Ray cluster: it makes room here, and says what to run there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from compaudit import machine
from compaudit.config import Config
from compaudit.engines.base import Pass, Seen, Tally
from compaudit.engines.ray.cluster import Cluster
from compaudit.engines.ray.engine import RayEngine
from compaudit.engines.ray.messages import Member
from compaudit.execution.crew import Crew, Subject
from compaudit.progress import Progress
from compaudit.workers.limits import Limits

__all__ = ["OnCluster"]

T = TypeVar("T", bound=Tally)


class OnCluster:
    """Runs the pass over all samples on a Ray cluster. Nothing is timed there.

    Args:
        config: what was asked for.
        subjects: the original and the compressed model.
        crew: holds them here meanwhile.
        limits: of each model's process.
        progress: told what is going on.
        cluster: where to run it.
    """

    def __init__(
        self,
        config: Config,
        subjects: Sequence[Subject],
        crew: Crew,
        limits: Limits,
        progress: Progress,
        cluster: Cluster,
    ) -> None:
        self._cluster = cluster
        self._config = config
        self._subjects = subjects
        self._crew = crew
        self._limits = limits
        self._progress = progress

    def evaluate(
        self, evaluation: Pass, make: Callable[[], T], on_progress: Callable[[int], None]
    ) -> Seen[T]:
        """Show every sample to a tally once. Raises RequestError or MeasurementError."""
        original, compressed = (_member(subject) for subject in self._subjects)
        engine = RayEngine(
            original,
            compressed,
            cluster=self._cluster,
            workers=self._workers(original.settings.threads),
            limits=self._limits,
            pair_bytes=self._crew.together_bytes(),
            progress=self._progress,
        )
        # What is known of their memory is asked for above; it may be needed for others now.
        self._crew.dismiss()
        return engine.evaluate(evaluation, make, on_progress)

    def _workers(self, threads: int) -> int | None:
        """How many are wanted; on this machine, as many as have a processor and memory here."""
        wanted = self._config.workers
        if self._config.ray_address is not None:
            return wanted
        return self._crew.pairs(wanted or max(1, machine.usable_cores() // threads))


def _member(subject: Subject) -> Member:
    model = subject.side.model
    files = () if model is None else tuple(str(path) for path in model.files)
    return Member(subject.side.source, subject.settings, files)
