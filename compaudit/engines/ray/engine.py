"""The engine that an audit sees. It imports no Ray: that is in a process of its own."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from compaudit.engines.base import Pass, Seen, Tally
from compaudit.engines.local import require_readable
from compaudit.engines.ray.cluster import Cluster, require_ray
from compaudit.engines.ray.driver import begin, finish, proceed
from compaudit.engines.ray.messages import Job, Member, Status
from compaudit.models import open as models
from compaudit.progress import Progress
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["RayEngine", "check"]

_DOING = "handing out shards"

T = TypeVar("T", bound=Tally)


def check(cluster: Cluster) -> None:
    """See whether there is Ray, and a cluster at the address, before minutes are spent.

    Raises:
        RequestError: there is not.
        MeasurementError: joining the cluster killed the process that did.
    """
    require_ray()
    if cluster.address is not None:
        with cluster:
            cluster.driver()


class RayEngine:
    """Runs a pass on the nodes of a Ray cluster.

    Args:
        original, compressed: the models, with their files.
        cluster: where they run; whoever made it leaves it.
        workers: how many Ray workers; None for all there is room for.
        limits: of each model's process.
        pair_bytes: the memory of both models together.
        progress: told what is going on, samples apart.
    """

    def __init__(
        self,
        original: Member,
        compressed: Member,
        *,
        cluster: Cluster,
        workers: int | None,
        limits: Limits,
        pair_bytes: int,
        progress: Progress,
    ) -> None:
        self._models = original, compressed
        self._cluster = cluster
        self._workers = workers
        self._limits = limits
        self._pair_bytes = pair_bytes
        self._progress = progress

    def evaluate(
        self, evaluation: Pass, make: Callable[[], T], on_progress: Callable[[int], None]
    ) -> Seen[T]:
        """Show every sample to a tally once.

        Raises:
            RequestError: there is no cluster, or no node that can run the models; or outputs,
                labels or data do not fit.
            MeasurementError: a model died, or the Ray workers did again and again.
        """
        job = self._job(evaluation, make)
        cpus = job.cpus * (job.workers or 1)
        if not self._cluster.holds(cpus):
            started = self._cluster.address is None
            self._progress.stage("starting Ray" if started else "joining the Ray cluster")
        driver = self._cluster.driver(cpus)
        try:
            status = self._pass(driver, job, on_progress)
        except BaseException:
            # What is under way there must not go on.
            self._cluster.close()
            raise
        require_readable(evaluation, status.broken)
        # From processes that run this very package; Ray itself speaks pickle.
        return Seen(pickle.loads(status.tally or b""), status.broken)

    def _pass(self, driver: Worker, job: Job, on_progress: Callable[[int], None]) -> Status:
        """Have the pass done; the last status, with the tally."""
        driver.call(_DOING, begin, job)
        status = Status()
        while status.tally is None and status.failure is None:
            status = driver.call(_DOING, proceed)
            self._tell(status, on_progress)
        driver.call(_DOING, finish)
        if status.failure is not None:
            raise status.failure.error()
        return status

    def _tell(self, status: Status, on_progress: Callable[[int], None]) -> None:
        for note in status.notes:
            self._progress.note(note)
        if status.stage:
            self._progress.stage(status.stage)
        elif status.done:
            on_progress(status.done)

    def _job(self, evaluation: Pass, make: Callable[[], T]) -> Job:
        here = self._cluster.address is None
        runtimes = {models.runtime_of(model.source) for model in self._models} - {None}
        own_code = bool(evaluation.metrics) or any(
            models.imports_user_modules(model.source) for model in self._models
        )
        return Job(
            evaluation=evaluation,
            models=self._models,
            make=pickle.dumps(make, pickle.HIGHEST_PROTOCOL),
            workers=self._workers,
            pair_bytes=0 if here else self._pair_bytes,
            limits=self._limits if here else msgspec.structs.replace(self._limits, scratch=None),
            folder=str(Path.cwd()),
            runtimes=tuple(sorted(str(runtime) for runtime in runtimes)),
            own_code=own_code,
            gpu=any(model.settings.device.lower().startswith(_GPUS) for model in self._models),
            same_machine=here,
        )


_GPUS = ("cuda", "tensorrt", "rocm", "migraphx")
