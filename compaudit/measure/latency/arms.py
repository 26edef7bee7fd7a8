"""Arms on real processes: each model in a fresh worker, suspended while another runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from compaudit.data.base import DataRequest, Feed
from compaudit.errors import CompauditError
from compaudit.measure.latency.blocks import (
    BlockTimes,
    bind_inputs,
    call_once,
    time_block,
    time_device_block,
    warm_up,
    warm_up_on_device,
)
from compaudit.measure.latency.experiment import Arm, ArmError, ModelName, OpenArms
from compaudit.measure.latency.plan import ArmCost
from compaudit.models import open as models_of
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import admit_user_modules, import_runtime, load_model

__all__ = ["Subject", "open_arms_of"]

_WARM_UP_CAP_S = 2.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be timed: how to load it and what to feed it."""

    source: Source
    settings: RunSettings
    data: DataRequest
    feeds: tuple[Feed, ...]
    batch_size: int
    limits: Limits


class WorkerArm:
    """A warmed-up model in its worker."""

    def __init__(self, name: ModelName, worker: Worker, subject: Subject) -> None:
        self.name = name
        self._worker = worker
        loaded = worker.call("load", load_model, subject.source, subject.settings)
        worker.call("warm-up", bind_inputs, subject.data, subject.feeds, subject.batch_size)
        worker.call("warm-up", call_once)
        # Warming up may never look like a hang, however short --timeout is.
        cap_s = min(_WARM_UP_CAP_S, subject.limits.timeout_s / 2)
        warm = worker.call("warm-up", warm_up, cap_s)
        on_device = None
        if loaded.on_gpu:
            on_device = worker.call("warm-up", warm_up_on_device, cap_s)
        self.steady = warm.steady and (on_device is None or on_device.steady)
        device_call_s = None if on_device is None else on_device.call_s
        self.cost = ArmCost(warm.call_s, loaded.on_gpu, device_call_s)
        worker.suspend()

    def block(self, calls: int, discard_first: bool) -> BlockTimes:
        """Wake the worker, time a block, and suspend it again."""
        times = self._worker.call("latency", time_block, calls, discard_first)
        self._worker.suspend()
        return times

    def device_block(self, calls: int, discard_first: bool) -> BlockTimes:
        """Likewise on the device alone."""
        times = self._worker.call("latency", time_device_block, calls, discard_first)
        self._worker.suspend()
        return times


def open_arms_of(subjects: Mapping[ModelName, Subject]) -> OpenArms:
    """Start fresh workers for these models, epoch by epoch."""

    @contextmanager
    def open_arms(models: Sequence[ModelName], second_first: bool) -> Iterator[Sequence[Arm]]:
        with ExitStack() as stack:
            workers = [
                stack.enter_context(Worker(subjects[name].source.spec, subjects[name].limits))
                for name in models
            ]
            for worker, name in zip(workers, models, strict=True):
                if models_of.imports_user_modules(subjects[name].source):
                    with _dying_as(name):
                        worker.call("load", admit_user_modules)
            # Nothing is timed yet that importing the frameworks could disturb: all at once.
            imports = []
            for worker, name in zip(workers, models, strict=True):
                with _dying_as(name):
                    imports.append(worker.begin("load", import_runtime, subjects[name].source))
            for worker, name, finish in zip(workers, models, imports, strict=True):
                with _dying_as(name):
                    finish()
                worker.suspend()
            arms: dict[int, Arm] = {}
            places = range(len(models))
            for place in reversed(places) if second_first else places:
                name = models[place]
                with _dying_as(name):
                    arms[place] = WorkerArm(name, workers[place], subjects[name])
            yield [arms[place] for place in places]

    return open_arms


@contextmanager
def _dying_as(name: ModelName) -> Iterator[None]:
    """Say of an error which of the models it is of."""
    try:
        yield
    except CompauditError as error:
        raise ArmError(name, error) from error
