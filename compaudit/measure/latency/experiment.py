"""What runs when: epochs of fresh processes, in them randomised ABBA/BAAB quads of blocks.

MEASURING §1, rules 2 and 5 to 8. The order is drawn from a seed, so that no periodic disturbance
can keep step with it; a quad cancels linear drift; one epoch is one independent observation.
Nothing here knows processes or real time: arms and the clock come from outside, and tests replay
synthetic ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from compaudit.config import DEFAULT_TIME_BUDGET_S
from compaudit.measure.latency.blocks import BlockTimes
from compaudit.measure.latency.epochs import epoch_values
from compaudit.measure.latency.plan import (
    LEAST_EPOCHS,
    SENTINEL_EPOCHS,
    SENTINEL_MOST_EPOCHS,
    SENTINEL_QUADS,
    SENTINEL_SHARE,
    ArmCost,
    Plan,
    grant_budget,
    make_plan,
)
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.results import RawBlock
from compaudit.theory.statistics import extension_epochs, two_look_quantile

__all__ = ["Arm", "Experiment", "ModelName", "OpenArms", "Trace", "run_experiment"]


class Arm(Protocol):
    """One model in a fresh process, loaded and warmed up, suspended between its blocks."""

    name: ModelName
    cost: ArmCost
    steady: bool

    def block(self, calls: int, discard_first: bool) -> BlockTimes:
        """Time a block of calls. Raises MeasurementError when the model dies."""
        ...

    def device_block(self, calls: int, discard_first: bool) -> BlockTimes:
        """The same without the copies to the device and back; only where `cost.device` is one."""
        ...


OpenArms = Callable[[Sequence[ModelName], bool], AbstractContextManager[Sequence[Arm]]]
"""Start the named models in fresh processes, the second first when the flag is set."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """What to find out, and how surely.

    Attributes:
        models: one or two, in the order of the report.
        time_budget_s: None for the default (30 s, up to 120 s for slow models).
        resolution: target half-width of the interval of δ.
    """

    models: tuple[ModelName, ...]
    time_budget_s: float | None
    resolution: float
    confidence: float
    seed: int


def run_experiment(
    experiment: Experiment,
    open_arms: OpenArms,
    clock: Callable[[], float],
    on_progress: Callable[[str, float], None],
    on_budget: Callable[[float], None] = lambda seconds: None,
    on_epoch: Callable[[Trace], None] = lambda trace: None,
) -> Trace:
    """Measure until the budget is used or the interval is expected to be narrow enough.

    Args:
        experiment: what to find out.
        open_arms: starts the processes of one epoch.
        clock: seconds, monotonic.
        on_progress: told what is being done, and the share of the budget that is used.
        on_budget: told the seconds when they are more than the default.
        on_epoch: given what there is after each epoch, should a model die in the next.

    Raises:
        MeasurementError: a model died while it was warmed up or timed.
    """
    schedule = _Schedule(experiment, open_arms, clock, on_progress, on_epoch)
    plan = schedule.first_epoch(on_budget)
    while schedule.epochs < plan.epochs and schedule.has_time_for_an_epoch(plan):
        schedule.epoch(plan)
    two_looks = False
    if len(experiment.models) > 1 and schedule.epochs == plan.epochs >= LEAST_EPOCHS:
        room = schedule.room_for_epochs(plan)
        two_looks = room > 0
        for _ in range(min(room, schedule.wanted_epochs())):
            if schedule.has_time_for_an_epoch(plan):
                schedule.epoch(plan)
    if plan.sentinel_s > 0:
        schedule.run_sentinel(plan)
    return schedule.trace(two_looks)


class _Schedule:
    """The state of a running experiment."""

    def __init__(
        self,
        experiment: Experiment,
        open_arms: OpenArms,
        clock: Callable[[], float],
        on_progress: Callable[[str, float], None],
        on_epoch: Callable[[Trace], None],
    ) -> None:
        self._experiment = experiment
        self._open_arms = open_arms
        self._clock = clock
        self._on_progress = on_progress
        self._on_epoch = on_epoch
        self._random = random.Random(experiment.seed)
        self._began = clock()
        self._budget_s = experiment.time_budget_s or 0.0
        self.epochs = 0
        self.blocks: list[RawBlock] = []
        self.sentinel: list[RawBlock] = []
        self.device: list[RawBlock] = []
        self.unsteady: set[ModelName] = set()

    def first_epoch(self, on_budget: Callable[[float], None]) -> Plan:
        """Start the first processes, plan by what that cost, and run their quads."""
        began = self._clock()
        with self._arms(self._experiment.models, self.epochs) as arms:
            setup_s = self._clock() - began
            costs = tuple(arm.cost for arm in arms)
            self._budget_s = grant_budget(self._experiment.time_budget_s, setup_s, costs)
            if self._experiment.time_budget_s is None and self._budget_s > DEFAULT_TIME_BUDGET_S:
                on_budget(self._budget_s)
            plan = make_plan(self._budget_s, setup_s, costs)
            self._time(arms, plan)
        return plan

    def epoch(self, plan: Plan) -> None:
        """One more epoch of fresh processes."""
        self._tell(f"epoch {self.epochs + 1}")
        with self._arms(self._experiment.models, self.epochs) as arms:
            self._time(arms, plan)

    def wanted_epochs(self) -> int:
        """Further epochs that the pilot's spread, and nothing else, asks for."""
        return extension_epochs(
            epoch_values(self.blocks),
            self._experiment.resolution,
            self._experiment.confidence,
            two_look_quantile(self._experiment.confidence),
        )

    def room_for_epochs(self, plan: Plan) -> int:
        """Further epochs that the budget holds beside the sentinel."""
        left = self._budget_s - self._elapsed() - plan.sentinel_s
        return max(0, int(left / max(self._spent_per_epoch(), plan.epoch_s)))

    def has_time_for_an_epoch(self, plan: Plan) -> bool:
        """Whether most of another epoch fits; for the first three, at the sentinel's expense."""
        kept_s = plan.sentinel_s if self.epochs >= LEAST_EPOCHS else 0.0
        return self._elapsed() + 0.5 * self._spent_per_epoch() <= self._budget_s - kept_s

    def run_sentinel(self, plan: Plan) -> None:
        """The original against itself: what this machine calls different that is not.

        Its least, or nothing, as epochs may turn out dearer than they were planned; and more of it
        as long as there is time. What it measures has no say in how long it goes on.
        """
        dearer = self._spent_per_epoch() / plan.epoch_s
        began = self._elapsed()
        if began + plan.sentinel_s * dearer > self._budget_s + self._spent_per_epoch():
            return
        room_s = min(SENTINEL_SHARE * self._budget_s, self._budget_s - began)
        full, least = SENTINEL_QUADS
        full_s = plan.sentinel_s + (full - least) * plan.sentinel_quad_s
        quads = full if full_s * dearer <= room_s else least
        blocks: list[RawBlock] = []
        for epoch in range(SENTINEL_MOST_EPOCHS):
            now = self._elapsed()
            spent_s = now - began
            if epoch >= SENTINEL_EPOCHS:
                if spent_s + spent_s / epoch > room_s:
                    break
            elif now > self._budget_s or spent_s > SENTINEL_SHARE * self._budget_s:
                return
            self._tell("the original against itself")
            with self._arms(("original", "original"), epoch) as arms:
                blocks += self._quads(arms, quads, plan.shortest, epoch)
        self.sentinel = blocks

    def trace(self, two_looks: bool) -> Trace:
        """What there is so far."""
        return Trace(
            list(self.blocks),
            self.sentinel,
            self._budget_s,
            two_looks,
            tuple(name for name in self._experiment.models if name in self.unsteady),
            list(self.device),
        )

    def _time(self, arms: Sequence[Arm], plan: Plan) -> None:
        """The quads of one epoch, and after them those on the device alone."""
        self.blocks += self._quads(arms, plan.quads, plan.shortest, self.epochs)
        self.device += self._quads(arms, plan.device_quads, False, self.epochs, on_device=True)
        self.epochs += 1
        self._on_epoch(self.trace(two_looks=False))

    def _quads(
        self,
        arms: Sequence[Arm],
        quads: int,
        shortest: bool,
        epoch: int,
        *,
        on_device: bool = False,
    ) -> list[RawBlock]:
        blocks = []
        for quad in range(quads):
            for position, place in enumerate(self._order(len(arms))):
                arm = arms[place]
                cost = arm.cost.device if on_device else arm.cost
                assert cost is not None, "device-only blocks are planned where every arm has some"
                calls = cost.calls(shortest=shortest)
                times = (arm.device_block if on_device else arm.block)(calls, cost.discards)
                # The first is the original, against itself too, unless one model is alone.
                name: ModelName = self._experiment.models[0] if place == 0 else "compressed"
                blocks.append(
                    RawBlock(
                        epoch=epoch,
                        quad=quad,
                        position=position,
                        model=name,
                        calls=calls,
                        elapsed_s=times.elapsed_s,
                        cpu_s=times.cpu_s,
                        times_s=times.times_s,
                        compilations=times.compilations,
                        resident_bytes=times.resident_bytes,
                    )
                )
            self._tell(f"epoch {epoch + 1}")
        self.unsteady |= {arm.name for arm in arms if not arm.steady}
        return blocks

    def _order(self, arms: int) -> tuple[int, ...]:
        if arms == 1:
            return (0, 0)
        return self._random.choice(((0, 1, 1, 0), (1, 0, 0, 1)))

    def _arms(
        self, models: Sequence[ModelName], epoch: int
    ) -> AbstractContextManager[Sequence[Arm]]:
        return self._open_arms(models, epoch % 2 == 1)

    def _spent_per_epoch(self) -> float:
        return self._elapsed() / self.epochs

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _tell(self, what: str) -> None:
        share = self._elapsed() / self._budget_s if self._budget_s else 0.0
        self._on_progress(what, min(1.0, share))
