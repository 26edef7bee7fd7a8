"""More than two models in one experiment, on a fake clock: what holds of a pair holds of each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations, pairwise
from random import Random

import msgspec
import pytest
from removal import needs
from synthetic_machine import (
    Load,
    SyntheticMachine,
    drift,
    experiment,
    heavy_tailed,
    lognormal,
    on_off,
    pair,
    several,
    share_covered,
)

from compaudit.errors import CompauditError, InternalError, MeasurementError
from compaudit.measure.latency.blocks import BlockTimes
from compaudit.measure.latency.estimate import estimate_delta, summarise
from compaudit.measure.latency.experiment import Arm, ArmError, ModelName, Trace, run_experiment
from compaudit.measure.latency.plan import ArmCost, default_budget_s, grant_budget, make_plan
from compaudit.measure.latency.rounds import Rounds
from compaudit.results import Delta

CALLS = several(original=0.012, twice=0.006, thrice=0.004, slower=0.016, same=0.012)
TRUTHS = {"twice": 2.0, "thrice": 3.0, "slower": 0.75, "same": 1.0}
NAMES = tuple(CALLS)


def run(machine: SyntheticMachine, time_budget_s: float | None = 60.0, seed: int = 0) -> Trace:
    return machine.run(experiment(time_budget_s, models=tuple(machine.call_s), seed=seed))


def delta_of(trace: Trace, first: ModelName, second: ModelName) -> Delta:
    return estimate_delta(trace.between(first, second), 0.95, 0.03, cpu_time=False)


class TestSchedule:
    def test_a_round_gives_every_model_two_blocks_in_mirror_order(self) -> None:
        trace = run(SyntheticMachine(CALLS))
        rounds: dict[tuple[int, int], list[str]] = {}
        for block in trace.blocks:
            rounds.setdefault((block.epoch, block.quad), []).append(block.model)
            assert block.position == len(rounds[block.epoch, block.quad]) - 1
        assert len(rounds) >= 6 * 8
        for order in rounds.values():
            assert order == order[::-1]
            assert sorted(order[: len(NAMES)]) == sorted(NAMES)

    def test_the_squares_go_on_over_epochs(self) -> None:
        """Eight rounds an epoch of five models: after five epochs, eight whole squares."""
        trace = run(SyntheticMachine(CALLS))
        places = dict.fromkeys(NAMES, 0)
        counts = [dict(places) for _ in NAMES]
        for block in trace.blocks:
            if block.epoch < 5 and block.position < len(NAMES):
                counts[block.position][block.model] += 1
        assert counts == [dict.fromkeys(NAMES, 8)] * len(NAMES)

    def test_each_epoch_opens_all_and_the_last_comes_first_in_every_other(self) -> None:
        machine = SyntheticMachine(CALLS)
        trace = run(machine)
        assert machine.opened[: trace.epochs] == [
            (NAMES, epoch % 2 == 1) for epoch in range(trace.epochs)
        ]

    def test_the_sentinel_is_the_first_model_against_itself(self) -> None:
        machine = SyntheticMachine(several(a=0.010, b=0.005, c=0.002))
        trace = run(machine)
        assert {models for models, _ in machine.opened[trace.epochs :]} == {("a", "a")}
        assert {block.model for block in trace.sentinel} == {"original", "compressed"}

    def test_a_pair_taken_out_of_the_trace_is_a_pair(self) -> None:
        trace = run(SyntheticMachine(CALLS)).between("twice", "thrice")
        assert {block.model for block in trace.blocks} == {"original", "compressed"}
        assert msgspec.to_builtins(trace.as_raw().blocks) == msgspec.to_builtins(trace.blocks)
        for first in range(0, len(trace.blocks), 4):
            order = [block.model for block in trace.blocks[first : first + 4]]
            assert order == order[::-1]

    def test_of_two_models_the_pair_is_the_trace_itself(self) -> None:
        trace = SyntheticMachine(pair(0.010, 0.005)).run(experiment())
        assert trace.between("original", "compressed") == trace

    def test_the_extension_is_as_long_as_the_widest_delta_asks_for(self) -> None:
        calm = several(original=0.01, calm=0.01)
        noise = Random(1)

        def machine(call_s: dict[str, float]) -> SyntheticMachine:
            one = SyntheticMachine(call_s, setup_s=0.3)
            one.places = lambda epoch, place: noise.lognormvariate(0, 0.05) if place == 2 else 1.0
            return one

        assert run(machine(calm), 200).epochs == 6
        assert run(machine(calm | {"wild": 0.01}), 200).epochs > 6


class TestBudget:
    def test_the_default_grows_with_the_models(self) -> None:
        assert [default_budget_s(models) for models in (1, 2, 3, 12)] == [30, 30, 36, 90]

    def test_slow_models_get_up_to_four_times_that(self) -> None:
        fast, slow = (ArmCost(0.001),) * 12, (ArmCost(2.0),) * 12
        assert grant_budget(None, 4.0, fast) == 90
        assert grant_budget(None, 4.0, slow) == 360
        assert grant_budget(10.0, 4.0, slow) == 10

    def test_a_slow_start_gets_six_epochs_of_two_rounds_and_the_sentinel(self) -> None:
        fast = (ArmCost(0.004),) * 12
        block_s = 9 * 0.004
        pilot_s = 6 * (20.0 + 2 * 2 * 12 * block_s)
        sentinel_s = 4 * (20.0 / 6 + 2 * 4 * block_s)
        assert grant_budget(None, 20.0, fast) == pytest.approx(pilot_s + sentinel_s)

    def test_the_sentinel_takes_the_start_of_two_models_only(self) -> None:
        arms = (ArmCost(0.004),) * 12
        # Two quads of blocks of 8 + 1 calls of 4 ms, and a sixth of the start.
        assert make_plan(90.0, 6.0, arms).sentinel_s == pytest.approx(4 * (1.0 + 8 * 9 * 0.004))

    @pytest.mark.parametrize("seed", range(10))
    def test_it_is_exceeded_by_less_than_one_epoch(self, seed: int) -> None:
        random = Random(seed)
        machine = SyntheticMachine(CALLS, setup_s=0.5 + seed / 4, whole_blocks=True)
        factor = [1.0]
        machine.load = lambda now: factor[0]

        def another_factor(what: str, share: float) -> None:
            factor[0] = random.choice([0.5, 1.0, 1.5, 3.0])

        budget_s = 8.0 + 4 * seed
        machine.run(experiment(budget_s, models=NAMES), on_progress=another_factor)
        longest_s = max(after - before for before, after in pairwise([0.0, *machine.epoch_ends]))
        assert machine.clock.now <= budget_s + longest_s


class TestKnownRatios:
    def test_without_noise_each_is_exact_and_so_is_each_between_candidates(self) -> None:
        trace = run(SyntheticMachine(CALLS))
        for first, second in combinations(NAMES, 2):
            truth = CALLS[first] / CALLS[second]
            assert delta_of(trace, first, second).value == pytest.approx(truth, rel=1e-9)

    @pytest.mark.parametrize(
        "load",
        [drift(1.0, 1.5, 60.0), drift(1.5, 1.0, 60.0), drift(0.5, 1.5, 60.0)],
        ids=["slower", "faster", "threefold"],
    )
    def test_linear_drift_of_50_percent_moves_none_by_more_than_a_permille(
        self, load: Load
    ) -> None:
        trace = run(SyntheticMachine(CALLS, load=load))
        for first, second in combinations(NAMES, 2):
            truth = CALLS[first] / CALLS[second]
            assert delta_of(trace, first, second).value == pytest.approx(truth, rel=1e-3)

    def test_without_the_reversed_half_drift_is_taken_for_speed(self) -> None:
        """The rule that a round is mirrored, removed: the first order twice."""

        def check() -> None:
            trace = run(SyntheticMachine(CALLS, load=drift(1.0, 1.5, 30.0)))
            for name, truth in TRUTHS.items():
                value = delta_of(trace, "original", name).value
                assert value == pytest.approx(truth, rel=2e-4)

        def unmirrored(self: Rounds, models: int) -> tuple[int, ...]:
            return (*range(models), *range(models))

        needs(check, (Rounds, "order", unmirrored))

    def test_without_the_square_a_neighbour_can_keep_step(self) -> None:
        """The rule that each model has each place equally often, removed: one order for all."""
        size = len(NAMES)

        def check() -> None:
            machine = SyntheticMachine(CALLS)
            # A neighbour that works whenever the third and the third last block of a round run.
            machine.load = lambda now: (
                1.3 if len(machine.order) % (2 * size) in (3, 2 * size - 2) else 1.0
            )
            for name, truth in TRUTHS.items():
                value = delta_of(run_without_sentinel(machine), "original", name).value
                assert value == pytest.approx(truth, rel=0.02)

        def run_without_sentinel(machine: SyntheticMachine) -> Trace:
            return machine.run(experiment(60.0, models=NAMES, resolution=0.5))

        def same(self: Rounds, models: int) -> tuple[int, ...]:
            return (*range(models), *reversed(range(models)))

        needs(check, (Rounds, "order", same))


class TestCoverage:
    """How often each interval holds its truth: MEASURING's demands, for every pair of four models.

    Of 200 experiments each pair's share has a standard error of 1.5 points, and the pairs of one
    experiment are not independent: their mean is judged.
    """

    CALLS = several(original=0.010, twice=0.005, slower=0.0125, same=0.010)

    @pytest.mark.parametrize(
        ("noise", "load", "demanded"),
        [
            (lognormal(0.10), lambda seed: drift(1.0, 1.0, 1.0), 0.94),
            (heavy_tailed(0.05), lambda seed: drift(1.0, 1.0, 1.0), 0.94),
            (lognormal(0.02), lambda seed: on_off(seed, 2.0, 0.2, 3.0), 0.90),
            (lognormal(0.02), lambda seed: drift(1.0, 1.5, 40.0), 0.90),
        ],
        ids=["noise", "heavy tails", "bursts", "drift"],
    )
    def test_of_every_pair(self, noise: object, load: object, demanded: float) -> None:
        shares = []
        traces = [
            run(
                SyntheticMachine(
                    self.CALLS,
                    setup_s=0.4,
                    seed=seed,
                    call_noise=noise,  # type: ignore[arg-type]
                    process_noise=lognormal(0.01),
                    load=load(seed),  # type: ignore[operator]
                    whole_blocks=True,
                ),
                40.0,
                seed,
            )
            for seed in range(200)
        ]
        for first, second in combinations(self.CALLS, 2):
            truth = self.CALLS[first] / self.CALLS[second]
            shares.append(share_covered((delta_of(t, first, second) for t in traces), truth))
        assert sum(shares) / len(shares) >= demanded
        assert min(shares) >= demanded - 0.04


class Mortal:
    """An arm that dies in its block of that number, from zero."""

    def __init__(self, arm: Arm, dies_in_block: int, error: CompauditError) -> None:
        self._arm, self._left, self._error = arm, dies_in_block, error
        self.name, self.cost, self.steady = arm.name, arm.cost, arm.steady

    def block(self, calls: int, discard_first: bool) -> BlockTimes:
        if self._left == 0:
            raise self._error
        self._left -= 1
        return self._arm.block(calls, discard_first)

    def device_block(self, calls: int, discard_first: bool) -> BlockTimes:
        return self._arm.device_block(calls, discard_first)


DEATH = MeasurementError("it crashed", code="crashed", stage="latency")


class TestDeath:
    def after(
        self, deaths: dict[tuple[int, str], int | None], error: CompauditError = DEATH
    ) -> tuple[Trace, list[str]]:
        """Run with deaths: by epoch and model the block it dies in, or None while it is loaded."""
        machine = SyntheticMachine(CALLS)
        died: list[str] = []

        @contextmanager
        def open_arms(models: Sequence[ModelName], second_first: bool) -> Iterator[Sequence[Arm]]:
            with machine.open_arms(models, second_first) as arms:
                told = []
                for arm in arms:
                    block = deaths.get((epoch[0], arm.name), -1)
                    if block is None:
                        raise ArmError(arm.name, error)
                    told.append(arm if block < 0 else Mortal(arm, block, error))
                yield told

        epoch = [0]
        trace = run_experiment(
            experiment(60.0, models=NAMES),
            open_arms,
            machine.clock,
            lambda what, share: None,
            on_epoch=lambda trace: epoch.__setitem__(0, trace.epochs),
            on_death=lambda name, error: died.append(name),
        )
        return trace, died

    def test_in_the_third_round_of_the_second_epoch_the_others_go_on(self) -> None:
        trace, died = self.after({(1, "thrice"): 5})
        assert died == ["thrice"]
        assert trace.epochs >= 6
        assert {block.epoch for block in trace.blocks if block.model == "thrice"} == {0}
        second = [block for block in trace.blocks if block.epoch == 1]
        assert len(second) == 8 * 2 * (len(NAMES) - 1)
        # Rounds that were whole keep their five models' places, the others are of four.
        assert [block.position for block in second[-8:]] == list(range(8))
        for name in ("twice", "slower", "same"):
            delta = delta_of(trace, "original", name)
            assert delta.epochs == trace.epochs
            assert delta.value == pytest.approx(TRUTHS[name], rel=1e-9)
        left = delta_of(trace, "original", "thrice")
        assert (left.epochs, left.low) == (1, None)
        assert left.value == pytest.approx(3.0, rel=1e-9)

    def test_its_whole_epochs_are_kept(self) -> None:
        trace, _ = self.after({(4, "twice"): 0})
        assert delta_of(trace, "original", "twice").epochs == 4

    def test_while_it_is_loaded_the_epoch_begins_again_without_it(self) -> None:
        trace, died = self.after({(0, "same"): None, (2, "slower"): None})
        assert died == ["same", "slower"]
        assert not any(block.model == "same" for block in trace.blocks)
        assert delta_of(trace, "original", "slower").epochs == 2
        assert delta_of(trace, "original", "twice").epochs == trace.epochs >= 6

    def test_when_the_original_dies_the_others_are_still_timed_and_compared(self) -> None:
        trace, died = self.after({(1, "original"): 3})
        assert died == ["original"]
        assert trace.sentinel == []
        assert delta_of(trace, "twice", "thrice").value == pytest.approx(1.5, rel=1e-9)
        assert delta_of(trace, "twice", "thrice").epochs == trace.epochs >= 6

    def test_the_last_one_is_timed_alone(self) -> None:
        deaths = {(1, name): 0 for name in NAMES if name != "same"}
        trace, died = self.after(deaths)
        assert sorted(died) == sorted(set(NAMES) - {"same"})
        figures = summarise(trace, "same", 0.95)
        assert figures is not None
        assert figures.median.value == pytest.approx(0.012)
        assert figures.median.low is not None

    def test_when_all_have_died_it_ends_with_what_the_last_died_of(self) -> None:
        with pytest.raises(MeasurementError) as caught:
            self.after({(1, name): 0 for name in NAMES})
        assert caught.value is DEATH

    def test_a_bug_is_not_a_death(self) -> None:
        bug = InternalError("Traceback …", code="internal-error")
        with pytest.raises(InternalError):
            self.after({(1, "same"): 0}, bug)
