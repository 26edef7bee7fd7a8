"""The engine that an audit sees. It imports no Ray: that is in a process of its own."""

from __future__ import annotations

import importlib.util
import pickle
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from compaudit import interruption
from compaudit.engines.base import Pass, Seen, Tally
from compaudit.engines.local import require_readable
from compaudit.engines.ray.driver import begin, connect, leave, proceed
from compaudit.engines.ray.messages import WHERE_IT_IS, Connection, Job, Member, Status
from compaudit.errors import RequestError
from compaudit.models import open as models
from compaudit.progress import Progress
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["RayEngine", "check"]

_STAGE = "evaluate"
_DOING = "handing out shards"
_NAME = "the Ray cluster"
_REACH_S = 3.0
_START_S = 120.0
_UNLIMITED = 2**62
_LONGEST_FOLDER = 36
"""Ray puts 70 characters behind it, to the name of a socket, which has at most 107."""

T = TypeVar("T", bound=Tally)


def check(address: str | None) -> None:
    """See whether there is Ray, and a cluster at the address, before minutes are spent.

    Args:
        address: as ``--ray-address``; None where a cluster will be started.

    Raises:
        RequestError: there is not.
        MeasurementError: joining the cluster killed the process that did.
    """
    if importlib.util.find_spec("ray") is None:
        raise RequestError(
            "--engine ray takes Ray, which is not installed",
            hint="pip install 'compaudit[ray]'",
            code="missing-dependency",
            stage=_STAGE,
        )
    if address is not None:
        with _joined(address, 1, Limits()) as driver:
            driver.call(_DOING, leave)


class RayEngine:
    """Runs a pass on the nodes of a Ray cluster.

    Args:
        original, compressed: the models, with their files.
        address: of a cluster that runs; None to start one on this machine, and end it.
        workers: how many Ray workers; None for all there is room for.
        limits: of each model's process; `scratch` is for a cluster that is started here.
        pair_bytes: the memory of both models together.
        progress: told what is going on, samples apart.
    """

    def __init__(
        self,
        original: Member,
        compressed: Member,
        *,
        address: str | None,
        workers: int | None,
        limits: Limits,
        pair_bytes: int,
        progress: Progress,
    ) -> None:
        self._models = original, compressed
        self._address = address
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
        self._progress.stage("starting Ray" if self._address is None else "joining the Ray cluster")
        with _joined(self._address, job.cpus * (job.workers or 1), self._limits) as driver:
            driver.call(_DOING, begin, job)
            status = Status()
            while status.tally is None:
                status = driver.call(_DOING, proceed)
                self._tell(status, on_progress)
                if status.failure is not None:
                    driver.call(_DOING, leave)
                    raise status.failure.error()
            driver.call(_DOING, leave)
        require_readable(evaluation, status.broken)
        # From processes that run this very package; Ray itself speaks pickle.
        return Seen(pickle.loads(status.tally), status.broken)

    def _tell(self, status: Status, on_progress: Callable[[int], None]) -> None:
        for note in status.notes:
            self._progress.note(note)
        if status.stage:
            self._progress.stage(status.stage)
        elif status.done:
            on_progress(status.done)

    def _job(self, evaluation: Pass, make: Callable[[], T]) -> Job:
        here = self._address is None
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


@contextmanager
def _joined(address: str | None, cpus: int, limits: Limits) -> Iterator[Worker]:
    """A process that is in the cluster; its end ends a cluster that was started here."""
    if address is not None:
        _require_answer(address)
    with ExitStack() as stack:
        folder = limits.scratch or ""
        if address is None and not 0 < len(folder) <= _LONGEST_FOLDER:
            short = "/tmp" if len(tempfile.gettempdir()) > _LONGEST_FOLDER - 20 else None
            folder = str(stack.enter_context(interruption.temporary_folder("compaudit-", short)))
        # Ray's own processes, and all the models that run here, are its children.
        driver_limits = Limits(_START_S, _UNLIMITED, folder or None)
        with Worker(_NAME, driver_limits) as driver:
            driver.call("being joined", connect, Connection(address, cpus, folder))
            yield driver


def _require_answer(address: str) -> None:
    """Raises RequestError where nobody listens; Ray itself would try for a long time."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "timed out"
        raise RequestError(
            f"nothing answers at the Ray address {address}: {reason.lower()}",
            hint=WHERE_IT_IS,
            code="no-ray-cluster",
            stage=_STAGE,
        ) from error
