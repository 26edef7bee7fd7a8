"""Workers that are no processes: they run the worker's own functions, on a machine of a fake clock.

What `synthetic_machine` leaves out is here: suspending, waking up, warming up, and a device that
works through a queue while its calls return at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic_machine import FakeClock

from compaudit.data.base import DataRequest
from compaudit.measure.latency import arms, blocks
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.experiment import Experiment, ModelName, Trace, run_experiment
from compaudit.models.base import Inference, RunSettings, Source
from compaudit.workers.limits import Limits
from compaudit.workers.workspace import Loaded, Workspace

SUBMIT_S = 5e-6
"""What queueing a call costs the host."""


@dataclass
class Rig:
    """A machine, its workers, and what disturbs them.

    Attributes:
        call_s: seconds of one call, by model.
        spin_s: what every other worker that is awake adds to a call: its threads spin.
        wake_s: what the first call after a rest takes longer.
        settles_in: over how many calls a fresh process settles, by model: its calls take
            1 + 2·exp(−calls so far / settles_in) times as long.
        device: calls are queued on a device, which takes `call_s` for each.
        compile_s: what the first call of a process takes longer.
        recompiles: every call compiles the model anew.
        timeout_s: seconds that one request to a worker may take.
        copies_s: what copying to the device and back adds to a call from end to end.
        disturbed: how often a worker was warmed up or timed beside one that was awake.
    """

    call_s: Mapping[ModelName, float]
    spin_s: float = 0.0
    wake_s: float = 0.0
    settles_in: Mapping[ModelName, float] = field(default_factory=dict)
    device: bool = False
    compile_s: float = 0.0
    recompiles: bool = False
    copies_s: float = 0.0
    timeout_s: float = 300.0
    clock: FakeClock = field(default_factory=FakeClock)
    workers: list[SyntheticWorker] = field(default_factory=list)
    device_free_at: float = 0.0
    disturbed: int = 0

    def run(self, experiment: Experiment) -> Trace:
        """A whole experiment: every part of the code but the processes and the clock."""
        subjects = {name: subject(name, self.timeout_s) for name in self.call_s}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(arms, "Worker", lambda model, limits: SyntheticWorker(self, model))
            patch.setattr(
                blocks, "time", SimpleNamespace(perf_counter=self.clock, process_time=self.clock)
            )
            return run_experiment(
                experiment,
                open_arms_of(subjects),
                self.clock,
                lambda what, share: None,
            )


class SyntheticWorker:
    """One worker of the rig: awake from the start, as a fresh process is."""

    def __init__(self, rig: Rig, model: ModelName) -> None:
        self.rig, self.model = rig, model
        self.awake, self.rested = True, True
        self.workspace = Workspace()
        rig.clock.advance(0.2)

    def __enter__(self) -> SyntheticWorker:
        self.rig.workers.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.rig.workers.remove(self)

    def begin(self, stage: str, function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        self.awake = True
        done = self._carry_out(function, args)
        return lambda: done

    def call(self, stage: str, function: Callable[..., Any], *args: Any) -> Any:
        return self.begin(stage, function, *args)()

    def suspend(self) -> None:
        self.awake, self.rested = False, True

    def _carry_out(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        match function.__name__:
            case "import_runtime" | "admit_user_modules":
                return None
            case "load_model":
                runner: Any = SyntheticRunner(self)
                self.workspace.hold(args[0], runner)
                return Loaded(0.0, (), (), True, (), on_gpu=self.rig.device)
            case "bind_inputs":
                self.workspace.inference = self.workspace.runner.bind({})
                self.workspace.device_inference = self.workspace.runner.bind_on_device({})
                return args[-1]
            case _:
                self.rig.disturbed += any(w.awake for w in self.rig.workers if w is not self)
                return function(self.workspace, *args)


class SyntheticRunner:
    """The model in a worker. Its calls take time, and nothing else."""

    def __init__(self, worker: SyntheticWorker) -> None:
        self._worker, self._rig = worker, worker.rig
        self._calls = 0

    def bind(self, feeds: object) -> Inference:
        return Inference(self._call)

    def bind_on_device(self, feeds: object) -> Inference | None:
        return Inference(self._queue, self._synchronise) if self._rig.device else None

    def compilations(self) -> int:
        return self._calls if self._rig.recompiles else min(self._calls, 1)

    def _call(self) -> None:
        seconds = self._seconds()
        spinning = sum(other.awake for other in self._rig.workers if other is not self._worker)
        seconds += self._rig.spin_s * spinning + self._rig.copies_s
        if self._worker.rested:
            seconds += self._rig.wake_s
            self._worker.rested = False
        self._rig.clock.advance(seconds)

    def _queue(self) -> None:
        clock = self._rig.clock
        clock.advance(SUBMIT_S)
        self._rig.device_free_at = max(self._rig.device_free_at, clock.now) + self._seconds()

    def _synchronise(self) -> None:
        clock = self._rig.clock
        clock.now = max(clock.now, self._rig.device_free_at)

    def _seconds(self) -> float:
        seconds = self._rig.call_s[self._worker.model]
        if self._worker.model in self._rig.settles_in:
            seconds *= 1 + 2 * math.exp(-self._calls / self._rig.settles_in[self._worker.model])
        seconds += self._rig.compile_s * (self._calls == 0)
        self._calls += 1
        return seconds


def subject(name: str, timeout_s: float) -> Subject:
    source = Source(name, "onnx", path=name)
    return Subject(source, RunSettings(), DataRequest(), (), 1, Limits(timeout_s=timeout_s))
