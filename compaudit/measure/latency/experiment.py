"""What runs when: epochs of fresh processes, in them randomised rounds in which all take turns.

MEASURING §1, rules 2 and 5 to 8. A round of two models is an ABBA or BAAB quad; `rounds` has what
holds for more of them. The order is drawn from a seed, so that no periodic disturbance can keep
step with it; a round cancels linear drift; one epoch is one independent observation. Nothing here
knows processes or real time: arms and the clock come from outside, and tests replay synthetic ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Protocol

from compaudit.errors import CompauditError, InternalError
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
    default_budget_s,
    grant_budget,
    make_plan,
)
from compaudit.measure.latency.rounds import Rounds
from compaudit.measure.latency.trace import ModelName, Trace
from compaudit.results import TimedBlock
from compaudit.theory.statistics import extension_epochs, two_look_quantile

__all__ = ["Arm", "ArmError", "Experiment", "ModelName", "OpenArms", "Trace", "run_experiment"]

_TWINS = ("original", "compressed")
"""What the two copies of the first model are called in the sentinel's blocks."""


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
"""Start the named models in fresh processes, the last first when the flag is set.

One that cannot be made ready is an `ArmError`.
"""


class ArmError(Exception):
    """What a model died of, with the name that it has in the experiment."""

    def __init__(self, name: ModelName, error: CompauditError) -> None:
        super().__init__(name)
        self.name = name
        self.error = error


@dataclass(frozen=True, slots=True)
class Experiment:
    """What to find out, and how surely.

    Attributes:
        models: one or more; the first is what the others are compared with, and what is timed
            against itself.
        time_budget_s: None for the default (of two models 30 s, up to 120 s for slow ones).
        resolution: target half-width of the interval of each δ.
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
    on_death: Callable[[ModelName, CompauditError], None] | None = None,
) -> Trace:
    """Measure until the budget is used or the interval is expected to be narrow enough.

    Args:
        experiment: what to find out.
        open_arms: starts the processes of one epoch.
        clock: seconds, monotonic.
        on_progress: told what is being done, and the share of the budget that is used.
        on_budget: told the seconds when they are more than the default.
        on_epoch: given what there is after each epoch, should a model die in the next.
        on_death: told of a model that died, which leaves the experiment with its whole epochs while
            the others go on. Without it, the experiment ends there.

    Raises:
        MeasurementError: a model died while it was warmed up or timed; with `on_death`, the last.
    """
    schedule = _Schedule(experiment, open_arms, clock, on_progress, on_epoch, on_death)
    plan = schedule.first_epoch(on_budget)
    while schedule.epochs < plan.epochs and schedule.has_time_for_an_epoch(plan):
        schedule.epoch(plan)
    two_looks = False
    if len(schedule.models) > 1 and schedule.epochs == plan.epochs >= LEAST_EPOCHS:
        room = schedule.room_for_epochs(plan)
        two_looks = room > 0
        for _ in range(min(room, schedule.wanted_epochs())):
            if schedule.has_time_for_an_epoch(plan):
                schedule.epoch(plan)
    if plan.sentinel_s > 0 and schedule.models[0] == experiment.models[0]:
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
        on_death: Callable[[ModelName, CompauditError], None] | None,
    ) -> None:
        self._experiment = experiment
        self._open_arms = open_arms
        self._clock = clock
        self._on_progress = on_progress
        self._on_epoch = on_epoch
        self._on_death = on_death
        self._rounds = Rounds(random.Random(experiment.seed))
        self._began = clock()
        self._budget_s = experiment.time_budget_s or 0.0
        self.models = list(experiment.models)
        self.epochs = 0
        self.blocks: list[TimedBlock] = []
        self.sentinel: list[TimedBlock] = []
        self.device: list[TimedBlock] = []
        self.unsteady: set[ModelName] = set()

    def first_epoch(self, on_budget: Callable[[float], None]) -> Plan:
        """Start the first processes, plan by what that cost, and run their quads."""
        with ExitStack() as stack:
            arms, setup_s = self._ready(stack)
            costs = tuple(arm.cost for arm in arms)
            self._budget_s = grant_budget(self._experiment.time_budget_s, setup_s, costs)
            asked = self._experiment.time_budget_s is not None
            if not asked and self._budget_s > default_budget_s(len(costs)):
                on_budget(self._budget_s)
            plan = make_plan(self._budget_s, setup_s, costs)
            self._time(arms, plan)
        return plan

    def epoch(self, plan: Plan) -> None:
        """One more epoch of fresh processes."""
        self._tell(f"epoch {self.epochs + 1}")
        with ExitStack() as stack:
            arms, _ = self._ready(stack)
            self._time(arms, plan)

    def wanted_epochs(self) -> int:
        """Further epochs that the pilot's spread, and nothing else, asks for: the widest δ's."""
        first, *others = self.models
        trace = self.trace(two_looks=True)
        return max(
            extension_epochs(
                epoch_values(trace.between(first, other).blocks),
                self._experiment.resolution,
                self._experiment.confidence,
                two_look_quantile(self._experiment.confidence),
            )
            for other in others
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
        """The first model against itself: what this machine calls different that is not.

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
        blocks: list[TimedBlock] = []
        first = self._experiment.models[0]
        for epoch in range(SENTINEL_MOST_EPOCHS):
            now = self._elapsed()
            spent_s = now - began
            if epoch >= SENTINEL_EPOCHS:
                if spent_s + spent_s / epoch > room_s:
                    break
            elif now > self._budget_s or spent_s > SENTINEL_SHARE * self._budget_s:
                return
            self._tell("the original against itself")
            try:
                with self._arms((first, first), epoch) as arms:
                    for quad in range(quads):
                        blocks += self._quad(arms, _TWINS, plan.shortest, epoch, quad)
            except ArmError as died:
                self._leave(died)
                return
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

    def _ready(self, stack: ExitStack) -> tuple[list[Arm], float]:
        """Fresh processes of all models that live, and the seconds that it took to start them."""
        while True:
            began = self._clock()
            try:
                arms = stack.enter_context(self._arms(self.models, self.epochs))
            except ArmError as died:
                self._leave(died)
            else:
                return list(arms), self._clock() - began

    def _time(self, arms: list[Arm], plan: Plan) -> None:
        """The quads of one epoch, and after them those on the device alone."""
        blocks = self._quads(arms, plan.quads, plan.shortest)
        device = self._quads(arms, plan.device_quads, False, on_device=True)
        self.blocks += [block for block in blocks if block.model in self.models]
        self.device += [block for block in device if block.model in self.models]
        self.epochs += 1
        self._on_epoch(self.trace(two_looks=False))

    def _quads(
        self, arms: list[Arm], quads: int, shortest: bool, *, on_device: bool = False
    ) -> list[TimedBlock]:
        """So many rounds. One that is broken off by a death is run again by those that live."""
        blocks: list[TimedBlock] = []
        quad = 0
        while quad < quads:
            names = [arm.name for arm in arms]
            try:
                blocks += self._quad(arms, names, shortest, self.epochs, quad, on_device=on_device)
            except ArmError as died:
                self._leave(died)
                arms[:] = [arm for arm in arms if arm.name != died.name]
            else:
                quad += 1
        return blocks

    def _quad(
        self,
        arms: Sequence[Arm],
        names: Sequence[ModelName],
        shortest: bool,
        epoch: int,
        quad: int,
        *,
        on_device: bool = False,
    ) -> list[TimedBlock]:
        blocks = []
        for position, place in enumerate(self._order(len(arms))):
            arm = arms[place]
            cost = arm.cost.device if on_device else arm.cost
            assert cost is not None, "device-only blocks are planned where every arm has some"
            calls = cost.calls(shortest=shortest)
            try:
                times = (arm.device_block if on_device else arm.block)(calls, cost.discards)
            except CompauditError as error:
                raise ArmError(arm.name, error) from error
            blocks.append(
                TimedBlock(
                    epoch=epoch,
                    quad=quad,
                    position=position,
                    model=names[place],
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
        return self._rounds.order(arms)

    def _leave(self, died: ArmError) -> None:
        """Go on without a model that died. Raises what it died of where nothing is left to do."""
        if self._on_death is None or isinstance(died.error, InternalError):
            raise died.error
        self._on_death(died.name, died.error)
        self.models.remove(died.name)
        if not self.models:
            raise died.error

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
