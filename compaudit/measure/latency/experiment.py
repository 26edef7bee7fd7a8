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
from dataclasses import dataclass, field
from typing import Literal, Protocol

from compaudit.config import DEFAULT_TIME_BUDGET_S
from compaudit.measure.latency.blocks import BlockTimes
from compaudit.measure.latency.plan import (
    LEAST_EPOCHS,
    SENTINEL_EPOCHS,
    SENTINEL_QUADS,
    SENTINEL_SHARE,
    ArmCost,
    Plan,
    grant_budget,
    make_plan,
)
from compaudit.results import RawBlock
from compaudit.theory.statistics import epoch_value as trimmed
from compaudit.theory.statistics import extension_epochs, quad_value, two_look_quantile

__all__ = ["Arm", "Experiment", "ModelName", "OpenArms", "Trace", "epoch_values", "run_experiment"]

ModelName = Literal["original", "compressed"]


class Arm(Protocol):
    """One model in a fresh process, loaded and warmed up, suspended between its blocks."""

    name: ModelName
    call_s: float
    steady: bool

    def block(self, calls: int, discard_first: bool) -> BlockTimes:
        """Time a block of calls. Raises MeasurementError when the model dies."""
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


@dataclass(frozen=True, slots=True)
class Trace:
    """Every block that was timed, and what the schedule was.

    Attributes:
        two_looks: an extension was possible, so that the error is shared between two looks.
        device: blocks on a GPU, without the copies there and back; empty on a CPU.
    """

    blocks: list[RawBlock]
    sentinel: list[RawBlock]
    budget_s: float
    two_looks: bool
    never_steady: tuple[ModelName, ...]
    device: list[RawBlock] = field(default_factory=list)


def run_experiment(
    experiment: Experiment,
    open_arms: OpenArms,
    clock: Callable[[], float],
    on_progress: Callable[[str, float], None],
    on_budget: Callable[[float], None] = lambda seconds: None,
) -> Trace:
    """Measure until the budget is used or the interval is expected to be narrow enough.

    Args:
        experiment: what to find out.
        open_arms: starts the processes of one epoch.
        clock: seconds, monotonic.
        on_progress: told what is being done, and the share of the budget that is used.
        on_budget: told the seconds when they are more than the default.

    Raises:
        MeasurementError: a model died while it was warmed up or timed.
    """
    schedule = _Schedule(experiment, open_arms, clock, on_progress)
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
    return Trace(
        schedule.blocks,
        schedule.sentinel,
        plan.budget_s,
        two_looks,
        tuple(name for name in experiment.models if name in schedule.unsteady),
    )


class _Schedule:
    """The state of a running experiment."""

    def __init__(
        self,
        experiment: Experiment,
        open_arms: OpenArms,
        clock: Callable[[], float],
        on_progress: Callable[[str, float], None],
    ) -> None:
        self._experiment = experiment
        self._open_arms = open_arms
        self._clock = clock
        self._on_progress = on_progress
        self._random = random.Random(experiment.seed)
        self._began = clock()
        self._budget_s = experiment.time_budget_s or 0.0
        self.epochs = 0
        self.blocks: list[RawBlock] = []
        self.sentinel: list[RawBlock] = []
        self.unsteady: set[ModelName] = set()

    def first_epoch(self, on_budget: Callable[[float], None]) -> Plan:
        """Start the first processes, plan by what that cost, and run their quads."""
        began = self._clock()
        with self._arms(self._experiment.models, self.epochs) as arms:
            setup_s = self._clock() - began
            costs = tuple(ArmCost(arm.call_s) for arm in arms)
            self._budget_s = grant_budget(self._experiment.time_budget_s, setup_s, costs)
            if self._experiment.time_budget_s is None and self._budget_s > DEFAULT_TIME_BUDGET_S:
                on_budget(self._budget_s)
            plan = make_plan(self._budget_s, setup_s, costs)
            self.blocks += self._quads(arms, plan.quads, plan.shortest, self.epochs)
        self.epochs += 1
        return plan

    def epoch(self, plan: Plan) -> None:
        """One more epoch of fresh processes."""
        self._tell(f"epoch {self.epochs + 1}")
        with self._arms(self._experiment.models, self.epochs) as arms:
            self.blocks += self._quads(arms, plan.quads, plan.shortest, self.epochs)
        self.epochs += 1

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

        All of it or nothing, as epochs may turn out dearer than they were planned.
        """
        expected_s = plan.sentinel_s * self._spent_per_epoch() / plan.epoch_s
        if self._elapsed() + expected_s > self._budget_s + self._spent_per_epoch():
            return
        began = self._elapsed()
        blocks = []
        for epoch in range(SENTINEL_EPOCHS):
            now = self._elapsed()
            if now > self._budget_s or now - began > SENTINEL_SHARE * self._budget_s:
                return
            self._tell("the original against itself")
            with self._arms(("original", "original"), epoch) as arms:
                blocks += self._quads(arms, SENTINEL_QUADS, plan.shortest, epoch)
        self.sentinel = blocks

    def _quads(self, arms: Sequence[Arm], quads: int, shortest: bool, epoch: int) -> list[RawBlock]:
        blocks = []
        for quad in range(quads):
            for position, place in enumerate(self._order(len(arms))):
                arm = arms[place]
                cost = ArmCost(arm.call_s)
                calls = cost.calls(shortest=shortest)
                timed = arm.block(calls, cost.discards)
                name: ModelName = self._experiment.models[0] if place == 0 else "compressed"
                blocks.append(
                    RawBlock(
                        epoch=epoch,
                        quad=quad,
                        position=position,
                        model=name,
                        calls=calls,
                        elapsed_s=timed.elapsed_s,
                        cpu_s=timed.cpu_s,
                        times_s=timed.times_s,
                        compilations=timed.compilations,
                        resident_bytes=timed.resident_bytes,
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


def epoch_values(blocks: Sequence[RawBlock]) -> list[float]:
    """Log δ of each epoch, from blocks of both models (MEASURING §1, rule 5)."""
    return _epoch_values(blocks, lambda block: block.elapsed_s / block.calls)


def cpu_epoch_values(blocks: Sequence[RawBlock]) -> list[float]:
    """The same from processor time; empty where the clock is too coarse for a block."""
    if any(block.cpu_s <= 0 for block in blocks):
        return []
    return _epoch_values(blocks, lambda block: block.cpu_s / block.calls)


def _epoch_values(blocks: Sequence[RawBlock], time_of: Callable[[RawBlock], float]) -> list[float]:
    quads: dict[int, dict[int, list[RawBlock]]] = {}
    for block in blocks:
        quads.setdefault(block.epoch, {}).setdefault(block.quad, []).append(block)
    return [
        trimmed(
            [
                quad_value(
                    [time_of(block) for block in quad if block.model == "original"],
                    [time_of(block) for block in quad if block.model == "compressed"],
                )
                for quad in epoch.values()
            ]
        )
        for epoch in quads.values()
    ]
