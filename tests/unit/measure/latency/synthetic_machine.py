"""A machine that never runs: arms whose calls advance a fake clock, under disturbances one chooses.

Everything is drawn from one seed, so each simulated experiment is the same on every machine.
"""

from __future__ import annotations

import math
import statistics
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

from compaudit.measure.latency.blocks import BlockTimes, run_block, warm_until
from compaudit.measure.latency.experiment import (
    Arm,
    Experiment,
    ModelName,
    Trace,
    run_experiment,
)
from compaudit.measure.latency.plan import ArmCost
from compaudit.models.base import Inference
from compaudit.results import Delta

Load = Callable[[float], float]
"""How many times slower everything is at a time in seconds."""
Noise = Callable[[Random], float]
"""A random factor on a time."""


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def lognormal(sigma: float) -> Noise:
    return lambda random: math.exp(random.gauss(0.0, sigma))


def heavy_tailed(sigma: float) -> Noise:
    """Mostly quiet; one call in twenty takes up to many times as long (Pareto, index 1.5)."""

    def draw(random: Random) -> float:
        factor = math.exp(random.gauss(0.0, sigma))
        return factor * random.paretovariate(1.5) if random.random() < 0.05 else factor

    return draw


def quiet(random: Random) -> float:
    return 1.0


def idle(now: float) -> float:
    return 1.0


def drift(start: float, end: float, seconds: float) -> Load:
    return lambda now: start + (end - start) * min(1.0, now / seconds)


def on_off(seed: int, off_s: float, on_s: float, factor: float) -> Load:
    """A neighbour that works and rests for exponentially long times, as time goes on."""
    random = Random(seed)
    state = {"until": random.expovariate(1 / off_s), "busy": False}

    def load(now: float) -> float:
        while now >= state["until"]:
            state["busy"] = not state["busy"]
            state["until"] += random.expovariate(1 / (on_s if state["busy"] else off_s))
        return factor if state["busy"] else 1.0

    return load


@dataclass
class SyntheticMachine:
    """Opens arms on a fake clock, and remembers what was asked of it.

    Attributes:
        call_s: seconds of one call of each model on the idle machine.
        setup_s: seconds to start, load and warm up the processes of one epoch.
        call_noise: drawn for every call.
        process_noise: drawn for every process, and kept by it.
        places: for every epoch, a factor for the process in each place of `models`.
        launched: a factor for the process that is launched first (0) or second (1) of its epoch.
        whole_blocks: one draw for a block instead of one for each call; hundreds of experiments
            then take a second.
        device_s: of a machine with a GPU, seconds of a call of each model on it alone.
    """

    call_s: dict[ModelName, float]
    setup_s: float = 1.0
    seed: int = 0
    load: Load = idle
    call_noise: Noise = quiet
    process_noise: Noise = quiet
    places: Callable[[int, int], float] = lambda epoch, place: 1.0
    launched: Callable[[int], float] = lambda rank: 1.0
    whole_blocks: bool = False
    device_s: dict[ModelName, float] | None = None
    real_warm_up: bool = False
    steady: bool = True
    clock: FakeClock = field(default_factory=FakeClock)
    opened: list[tuple[tuple[ModelName, ...], bool]] = field(default_factory=list)
    epoch_ends: list[float] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    asked: list[tuple[ModelName, int, bool]] = field(default_factory=list)
    asked_of_device: list[tuple[ModelName, int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    @contextmanager
    def open_arms(self, models: Sequence[ModelName], second_first: bool) -> Iterator[Sequence[Arm]]:
        epoch = len(self.opened)
        self.opened.append((tuple(models), second_first))
        self.clock.advance(self.setup_s * self.load(self.clock.now))
        ranks = reversed(range(len(models))) if second_first else range(len(models))
        yield [
            SyntheticArm(
                self,
                name,
                place,
                self.call_s[name]
                * self.process_noise(self.random)
                * self.places(epoch, place)
                * self.launched(rank),
            )
            for place, (name, rank) in enumerate(zip(models, ranks, strict=True))
        ]
        self.epoch_ends.append(self.clock.now)

    def run(self, experiment: Experiment, **callbacks: Callable[..., None]) -> Trace:
        callbacks.setdefault("on_progress", lambda what, share: None)
        return run_experiment(experiment, self.open_arms, self.clock, **callbacks)


class SyntheticArm:
    def __init__(
        self, machine: SyntheticMachine, name: ModelName, place: int, true_call_s: float
    ) -> None:
        self.name = name
        self._machine = machine
        self._letter = string.ascii_uppercase[place]
        self._true_call_s = true_call_s
        on_gpu = machine.device_s is not None
        self._device_s = machine.device_s[name] if machine.device_s is not None else None
        self.cost = ArmCost(machine.call_s[name], on_gpu, self._device_s)
        self.steady = machine.steady
        if machine.real_warm_up:
            warm = warm_until(Inference(self._call), 2.0, machine.clock)
            self.cost, self.steady = ArmCost(warm.call_s), warm.steady

    def block(self, calls: int, discard_first: bool) -> BlockTimes:
        self._machine.order.append(self._letter)
        self._machine.asked.append((self.name, calls, discard_first))
        clock = self._machine.clock
        if self._machine.whole_blocks:
            call_s = self._true_call_s * self._machine.load(clock.now)
            call_s *= self._machine.call_noise(self._machine.random)
            clock.advance((calls + discard_first) * call_s)
            return BlockTimes(calls * call_s, calls * call_s, [call_s] * calls)
        return run_block(Inference(self._call), calls, discard_first, clock, clock)

    def device_block(self, calls: int, discard_first: bool) -> BlockTimes:
        """A queue that the device works through; queueing itself takes no time."""
        machine, seconds = self._machine, self._device_s
        assert seconds is not None
        machine.asked_of_device.append((self.name, calls, discard_first))
        queue: list[float] = []

        def done() -> None:
            machine.clock.advance(sum(queue) * machine.load(machine.clock.now))
            queue.clear()

        inference = Inference(lambda: queue.append(seconds), done)
        return run_block(inference, calls, discard_first, machine.clock, machine.clock)

    def _call(self) -> None:
        machine = self._machine
        machine.clock.advance(
            self._true_call_s * machine.load(machine.clock.now) * machine.call_noise(machine.random)
        )


def several(**call_s: float) -> dict[ModelName, float]:
    """The original and any number of others, each with its seconds a call."""
    return call_s


def pair(original_s: float, compressed_s: float) -> dict[ModelName, float]:
    return {"original": original_s, "compressed": compressed_s}


def experiment(
    time_budget_s: float | None = 30.0,
    *,
    models: tuple[ModelName, ...] = ("original", "compressed"),
    resolution: float = 0.03,
    seed: int = 0,
) -> Experiment:
    return Experiment(models, time_budget_s, resolution, 0.95, seed)


def covered(delta: Delta, truth: float) -> bool:
    assert delta.low is not None
    assert delta.high is not None
    return delta.low <= truth <= delta.high


def share_covered(deltas: Iterable[Delta], truth: float) -> float:
    """How often the interval holds the truth."""
    return statistics.fmean(covered(delta, truth) for delta in deltas)
