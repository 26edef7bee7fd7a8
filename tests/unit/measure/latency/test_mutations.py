"""What runs when: for each rule of MEASURING §1 a check that holds, and fails without the rule.

Rules 2, 5, 7 and 8. Those of the worker are in `test_mutations_workers.py`, of the interval in
`test_mutations_statistics.py`, of the verdict in `test_mutations_verdict.py`.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from removal import needs
from synthetic_machine import (
    SyntheticMachine,
    drift,
    experiment,
    lognormal,
    pair,
    share_covered,
)

from compaudit.measure.latency import experiment as module
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import Arm, ModelName
from compaudit.measure.latency.plan import make_plan
from compaudit.results import Delta

SAME = pair(0.010, 0.010)
TWICE = pair(0.010, 0.005)
Schedule = module._Schedule
seeded = random.Random


def delta_on(machine: SyntheticMachine, time_budget_s: float = 30.0) -> Delta:
    return estimate_delta(machine.run(experiment(time_budget_s)), 0.95, 0.03, cpu_time=False)


class TestEpochs:
    def test_launch_order_alternates(self) -> None:
        """Whatever is launched second runs 3 % slower; equal models stay equal."""

        def check() -> None:
            machine = SyntheticMachine(SAME, launched=lambda rank: 1.03**rank)
            assert delta_on(machine).value == pytest.approx(1.0, rel=0.005)

        def same_order(
            self: Schedule, models: Sequence[ModelName], epoch: int
        ) -> AbstractContextManager[Sequence[Arm]]:
            return self._open_arms(models, False)

        needs(check, (Schedule, "_arms", same_order))

    def test_an_epoch_is_a_fresh_pair_of_processes(self) -> None:
        """Processes differ by 2 %, for good: more calls to one pair say more of that pair only."""

        def check() -> None:
            intervals = (
                delta_on(
                    SyntheticMachine(
                        SAME,
                        seed=seed,
                        setup_s=0.2,
                        process_noise=lognormal(0.02),
                        call_noise=lognormal(0.01),
                        whole_blocks=True,
                    )
                )
                for seed in range(200)
            )
            assert share_covered(intervals, 1.0) >= 0.92

        opens: Callable[..., AbstractContextManager[Sequence[Arm]]] = Schedule._arms

        @contextmanager
        def first_ones(
            self: Schedule, models: Sequence[ModelName], epoch: int
        ) -> Iterator[Sequence[Arm]]:
            with opens(self, models, epoch) as arms:
                kept: dict[object, Sequence[Arm]] = self.__dict__.setdefault("kept", {})
                yield kept.setdefault(tuple(models), arms)

        needs(check, (Schedule, "_arms", first_ones))


class TestOrder:
    @pytest.mark.parametrize("order", [(0, 0, 1, 1), (0, 1, 0, 1)], ids=["AABB", "ABAB"])
    def test_a_quad_is_its_own_mirror_image(self, order: tuple[int, ...]) -> None:
        """A machine that slows down steadily by 50 % must not make the second model slower."""

        def check() -> None:
            machine = SyntheticMachine(SAME, load=drift(1.0, 1.5, 30.0))
            assert delta_on(machine).value == pytest.approx(1.0, rel=1e-4)

        needs(check, (Schedule, "_order", lambda self, arms: order))

    @pytest.mark.parametrize("fixed", [(0, 1, 1, 0), (1, 0, 0, 1)], ids=["ABBA", "BAAB"])
    def test_the_order_is_drawn_anew(self, fixed: tuple[int, ...]) -> None:
        """A neighbour that works in the middle of each quad must not keep step with one model."""

        def check() -> None:
            machine = SyntheticMachine(SAME)
            machine.load = lambda now: 1.2 if len(machine.order) % 4 in (2, 3) else 1.0
            delta = delta_on(machine)
            assert share_covered([delta], 1.0) == 1.0
            assert delta.verdict in ("inconclusive", "no_measurable_change")

        needs(check, (Schedule, "_order", lambda self, arms: fixed))

    def orders(self, *seeds: int) -> list[list[str]]:
        machines = [SyntheticMachine(SAME) for _ in seeds]
        for machine, seed in zip(machines, seeds, strict=True):
            machine.run(experiment(seed=seed))
        return [machine.order for machine in machines]

    def test_the_seed_decides_the_order(self) -> None:
        def check() -> None:
            once, again, other = self.orders(1, 1, 2)
            assert once == again
            assert once != other

        needs(check, (random, "Random", lambda seed: seeded(0)))
        needs(check, (random, "Random", lambda seed: seeded()))


class TestBudget:
    def slow_neighbour(self) -> SyntheticMachine:
        """A machine whose epochs take from the third on four times what the first cost."""
        machine = SyntheticMachine(TWICE, setup_s=0.5, process_noise=lognormal(0.1))
        machine.load = lambda now: 1.0 if len(machine.opened) <= 2 else 4.0
        return machine

    def test_no_epoch_starts_that_does_not_fit(self) -> None:
        def check() -> None:
            machine = self.slow_neighbour()
            machine.run(experiment(20))
            ends = [0.0, *machine.epoch_ends]
            longest_s = max(after - before for before, after in itertools.pairwise(ends))
            assert machine.clock.now <= 20 + longest_s

        needs(check, (Schedule, "has_time_for_an_epoch", lambda self, plan: True))

    def test_a_pilot_is_planned_by_what_the_first_epoch_cost(self) -> None:
        """Models of a second a call: a full pilot would not reach the third epoch in 60 s."""

        def check() -> None:
            delta = delta_on(SyntheticMachine(pair(1.0, 0.5), setup_s=1.0), 60.0)
            assert delta.low is not None

        def the_fullest(budget_s: float, *rest: object) -> object:
            return make_plan(1e9, *rest)  # type: ignore[arg-type]

        needs(check, (module, "make_plan", the_fullest))

    def test_an_extension_narrows_a_wide_interval(self) -> None:
        def check() -> None:
            machine = SyntheticMachine(SAME, seed=3, process_noise=lognormal(0.04))
            delta = delta_on(machine, 120.0)
            assert delta.low is not None
            assert delta.high is not None
            assert delta.high / delta.low < 1.04**2

        needs(check, (module, "extension_epochs", lambda *_: 0))


class TestSentinel:
    def test_a_machine_that_prefers_a_place_is_found_out(self) -> None:
        """Whatever stands second is 5 % slower: nothing measured there is worth anything."""

        def check() -> None:
            machine = SyntheticMachine(
                SAME, places=lambda epoch, place: 1.05**place, call_noise=lognormal(0.01)
            )
            assert delta_on(machine).verdict == "invalid"

        needs(check, (Schedule, "run_sentinel", lambda self, plan: None))

    def test_it_is_the_original_on_both_sides(self) -> None:
        def check() -> None:
            assert delta_on(SyntheticMachine(TWICE)).verdict == "faster"

        opens: Callable[..., AbstractContextManager[Sequence[Arm]]] = Schedule._arms

        def the_pair(
            self: Schedule, models: Sequence[ModelName], epoch: int
        ) -> AbstractContextManager[Sequence[Arm]]:
            return opens(self, self._experiment.models, epoch)

        needs(check, (Schedule, "_arms", the_pair))
