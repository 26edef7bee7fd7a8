"""What runs when: order, epochs, budget, extension and sentinel, on a fake clock."""

import itertools
from random import Random

import pytest
from synthetic_machine import SyntheticMachine, experiment, lognormal, pair

from compaudit.measure.latency import experiment as module
from compaudit.measure.latency.epochs import epoch_values
from compaudit.measure.latency.estimate import estimate_delta, summarise
from compaudit.measure.latency.experiment import Trace
from compaudit.results import TimedBlock

FAST = pair(0.010, 0.005)


def epochs_of(blocks: list[TimedBlock]) -> int:
    return len({block.epoch for block in blocks})


class TestOrder:
    def quads(self, machine: SyntheticMachine) -> list[str]:
        return ["".join(machine.order[place : place + 4]) for place in range(0, 40, 4)]

    def test_quads_are_abba_or_baab_and_both_occur(self) -> None:
        machine = SyntheticMachine(FAST)
        machine.run(experiment())
        everything = "".join(machine.order)
        quads = {everything[place : place + 4] for place in range(0, len(everything), 4)}
        assert quads == {"ABBA", "BAAB"}

    def test_the_same_seed_gives_the_same_order_and_another_seed_another(self) -> None:
        orders = []
        for seed in (1, 1, 2):
            machine = SyntheticMachine(FAST)
            machine.run(experiment(seed=seed))
            orders.append(machine.order)
        assert orders[0] == orders[1]
        assert orders[0] != orders[2]

    def test_the_order_does_not_depend_on_what_is_measured(self) -> None:
        machines = [SyntheticMachine(FAST), SyntheticMachine(FAST, call_noise=lognormal(0.05))]
        for machine in machines:
            machine.run(experiment())
        assert self.quads(machines[0]) == self.quads(machines[1])

    def test_the_blocks_say_where_they_stood(self) -> None:
        machine = SyntheticMachine(FAST)
        trace = machine.run(experiment())
        told = ["A" if block.model == "original" else "B" for block in trace.blocks]
        assert told == machine.order[: len(told)]
        assert [block.position for block in trace.blocks[:8]] == [0, 1, 2, 3, 0, 1, 2, 3]
        assert [block.quad for block in trace.blocks[:8]] == [0, 0, 0, 0, 1, 1, 1, 1]

    def test_launch_order_alternates_between_epochs(self) -> None:
        machine = SyntheticMachine(FAST)
        trace = machine.run(experiment())
        epochs = epochs_of(trace.blocks)
        second_first = [flag for _, flag in machine.opened]
        assert second_first[:epochs] == [epoch % 2 == 1 for epoch in range(epochs)]
        assert second_first[epochs:] == [False, True, False, True, False]

    def test_the_first_call_is_discarded_up_to_20_ms(self) -> None:
        machine = SyntheticMachine(pair(0.010, 0.030))
        machine.run(experiment())
        assert set(machine.asked) == {("original", 4, True), ("compressed", 4, False)}


class TestPilotAndExtension:
    def test_a_pilot_is_six_epochs_of_eight_quads(self) -> None:
        trace = SyntheticMachine(FAST).run(experiment())
        assert epochs_of(trace.blocks) == 6
        assert len(trace.blocks) == 6 * 8 * 4

    def test_a_wide_pilot_is_extended_once_and_counted_as_two_looks(self) -> None:
        trace = SyntheticMachine(FAST, process_noise=lognormal(0.04), seed=3).run(experiment(120))
        assert epochs_of(trace.blocks) > 6
        assert trace.two_looks

    def test_a_narrow_pilot_with_room_is_a_first_look_too(self) -> None:
        trace = SyntheticMachine(FAST).run(experiment(60))
        assert epochs_of(trace.blocks) == 6
        assert trace.two_looks

    def test_without_room_for_an_extension_there_is_one_look(self) -> None:
        # Six epochs of 1.6 s and a sentinel of 3.2 s leave less than one epoch of 14 s.
        machine = SyntheticMachine(
            pair(0.006, 0.005), setup_s=0.5, places=lambda epoch, place: 1.1 ** (epoch % 2 * place)
        )
        trace = machine.run(experiment(14))
        assert epochs_of(trace.blocks) == 6
        assert trace.sentinel
        assert not trace.two_looks

    def test_the_two_look_quantile_widens_the_interval(self) -> None:
        machine = SyntheticMachine(FAST, process_noise=lognormal(0.02))
        trace = machine.run(experiment(30))
        one_look = Trace(trace.blocks, trace.sentinel, trace.budget_s, False, ())
        two = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        one = estimate_delta(one_look, 0.95, 0.03, cpu_time=False)
        assert trace.two_looks
        assert one.value == two.value
        assert two.low < one.low < one.value < one.high < two.high  # type: ignore[operator]

    @pytest.mark.parametrize("truth", [0.5, 1.0, 2.0, 10.0])
    def test_what_was_found_does_not_decide_how_long_to_look(self, truth: float) -> None:
        # The same disturbances around another truth: the same schedule, extension and all.
        machine = SyntheticMachine(
            FAST, process_noise=lognormal(0.03), seed=5, places=lambda _, place: truth**-place
        )
        machine.call_s = pair(0.010, 0.010)
        reference = SyntheticMachine(pair(0.010, 0.010), process_noise=lognormal(0.03), seed=5)
        wanted = [
            module.extension_epochs(epoch_values(one.run(experiment(1e9, resolution=0.5)).blocks))
            for one in (machine, reference)
        ]
        assert wanted[0] == wanted[1] > 0

    def test_there_is_no_second_extension(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def one_epoch(values: list[float], *rest: float) -> int:
            asked.append(len(values))
            return 1

        monkeypatch.setattr(module, "extension_epochs", one_epoch)
        trace = SyntheticMachine(FAST, process_noise=lognormal(0.2)).run(experiment(500))
        assert asked == [6]
        assert epochs_of(trace.blocks) == 7


class TestBudget:
    def test_an_extension_ends_with_the_budget(self) -> None:
        machine = SyntheticMachine(FAST, setup_s=0.2, process_noise=lognormal(0.2))
        machine.load = lambda now: 1.0 if len(machine.opened) <= 6 else 5.0
        trace = machine.run(experiment(30))
        assert trace.two_looks
        assert 6 < epochs_of(trace.blocks) <= 9
        assert machine.clock.now <= 30 + 5 * 1.7

    @pytest.mark.parametrize("seed", range(40))
    def test_it_is_exceeded_by_less_than_one_epoch(self, seed: int) -> None:
        # Starting an epoch costs up to three times, or half, of what the first one suggests.
        random = Random(seed)
        machine = SyntheticMachine(pair(0.03, 0.02), setup_s=0.2 + seed / 20)
        factor = [1.0]
        machine.load = lambda now: factor[0]

        def another_factor(what: str, share: float) -> None:
            factor[0] = random.choice([0.5, 1.0, 1.5, 3.0])

        budget_s = 4.0 + seed
        machine.run(experiment(budget_s), on_progress=another_factor)
        ends = [0.0, *machine.epoch_ends]
        longest_s = max(after - before for before, after in itertools.pairwise(ends))
        assert machine.clock.now <= budget_s + longest_s

    def test_a_budget_as_asked_is_not_announced(self) -> None:
        told: list[float] = []
        SyntheticMachine(pair(0.5, 0.5)).run(experiment(100), on_budget=told.append)
        assert told == []

    def test_the_default_is_not_announced_and_more_than_it_is(self) -> None:
        told: list[float] = []
        trace = SyntheticMachine(FAST).run(experiment(None), on_budget=told.append)
        assert (told, trace.budget_s) == ([], 30.0)
        trace = SyntheticMachine(pair(0.04, 0.02)).run(experiment(None), on_budget=told.append)
        assert told == [trace.budget_s]
        assert 30 < trace.budget_s < 120

    def test_progress_never_exceeds_one(self) -> None:
        shares: list[float] = []
        SyntheticMachine(pair(5.0, 5.0), setup_s=10.0).run(
            experiment(5), on_progress=lambda what, share: shares.append(share)
        )
        assert shares
        assert all(0 <= share <= 1 for share in shares)

    def test_a_model_of_5_s_a_call_in_5_s_is_one_quad_and_a_value_without_an_interval(self) -> None:
        machine = SyntheticMachine(pair(5.0, 2.5), setup_s=8.0, real_warm_up=True)
        trace = machine.run(experiment(5))
        assert [block.calls for block in trace.blocks] == [1, 1, 1, 1]
        assert trace.sentinel == []
        assert trace.never_steady == ()
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.value == pytest.approx(2.0)
        assert (delta.low, delta.high, delta.verdict) == (None, None, "inconclusive")
        assert (delta.epochs, delta.noise_floor) == (1, None)
        assert delta.minimal_detectable_effect is None
        figures = summarise(trace, "compressed", 0.95)
        assert figures is not None
        assert figures.median.value == pytest.approx(2.5)
        assert (figures.median.low, figures.p90, figures.p99) == (None, None, None)

    @pytest.mark.parametrize(("budget_s", "epochs"), [(3.0, 1), (5.0, 2), (7.0, 3)])
    def test_fewer_than_three_epochs_are_inconclusive(self, budget_s: float, epochs: int) -> None:
        trace = SyntheticMachine(pair(0.02, 0.01), setup_s=2.0).run(experiment(budget_s))
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.epochs == epochs
        assert (delta.low is None) == (epochs < 3)
        assert delta.verdict == ("inconclusive" if epochs < 3 else "faster")


class TestSentinel:
    def test_it_is_the_original_against_itself_within_a_quarter(self) -> None:
        # Two quads of 0.2 s after 1 s to start: 7.5 s hold five such epochs, and not four of five.
        machine = SyntheticMachine(FAST)
        trace = machine.run(experiment(30))
        assert epochs_of(trace.sentinel) == 5
        assert len(trace.sentinel) == 5 * 2 * 4
        assert [models for models, _ in machine.opened[-5:]] == [("original", "original")] * 5
        assert {block.model for block in trace.sentinel} == {"original", "compressed"}
        took_s = machine.epoch_ends[-1] - machine.epoch_ends[-6]
        assert took_s <= 0.25 * 30
        assert machine.clock.now <= 30

    @pytest.mark.parametrize(
        ("setup_s", "budget_s", "epochs"),
        [(0.6, 30, 4), (0.4, 30, 5), (0.6, 60, 9), (0.1, 120, 12)],  # of setup_s + 5 quads of 0.2 s
    )
    def test_with_room_its_epochs_have_five_quads_and_there_are_more(
        self, setup_s: float, budget_s: float, epochs: int
    ) -> None:
        machine = SyntheticMachine(FAST, setup_s=setup_s)
        trace = machine.run(experiment(budget_s))
        assert epochs_of(trace.sentinel) == epochs
        assert len(trace.sentinel) == epochs * 5 * 4
        assert machine.clock.now <= budget_s

    def test_without_room_it_is_skipped_and_the_noise_floor_unknown(self) -> None:
        trace = SyntheticMachine(FAST, setup_s=2.0).run(experiment(30))
        assert trace.sentinel == []
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.noise_floor is None
        assert delta.verdict == "faster"

    def test_the_default_budget_has_room_for_it_on_a_slow_machine(self) -> None:
        trace = SyntheticMachine(FAST, setup_s=4.0).run(experiment(None))
        assert epochs_of(trace.sentinel) == 4
        assert trace.budget_s == pytest.approx(16 * (4.0 + 8 * 0.05))

    def test_it_is_left_out_when_the_epochs_turned_out_too_dear_for_it(self) -> None:
        machine = SyntheticMachine(FAST, setup_s=1.0)
        machine.load = lambda now: 1.0 if len(machine.opened) <= 1 else 2.5
        trace = machine.run(experiment(30))
        assert trace.sentinel == []
        assert epochs_of(trace.blocks) >= 3

    def test_it_is_all_or_nothing(self) -> None:
        machine = SyntheticMachine(FAST, setup_s=1.0)
        machine.load = lambda now: 1.0 if len(machine.opened) <= 7 else 20.0
        trace = machine.run(experiment(30))
        assert machine.opened[-1][0] == ("original", "original")
        assert trace.sentinel == []

    def test_a_machine_that_calls_the_original_slower_than_itself_makes_the_verdict_invalid(
        self,
    ) -> None:
        # Whatever is in the second place is 5 % slower.
        machine = SyntheticMachine(
            FAST, places=lambda epoch, place: 1.05**place, call_noise=lognormal(0.01)
        )
        trace = machine.run(experiment(30))
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.verdict == "invalid"
        assert delta.noise_floor == pytest.approx(0.05, abs=0.01)

    def test_an_effect_within_the_noise_floor_is_not_called_a_speed_up(self) -> None:
        # Identical models; in the pilot's epochs the first is 2 % slower, in the sentinel's either.
        machine = SyntheticMachine(pair(0.010, 0.010))
        machine.places = lambda epoch, place: (
            1.02 ** (1 - place) if epoch < 6 else 1.08 ** ((-1) ** epoch * (0.5 - place))
        )
        trace = machine.run(experiment(30))
        delta = estimate_delta(trace, 0.95, 0.03, cpu_time=False)
        assert delta.low is not None
        assert delta.low > 1
        assert delta.noise_floor is not None
        assert delta.noise_floor > 0.02
        assert delta.verdict in ("no_measurable_change", "inconclusive")


class TestOneModelAlone:
    @pytest.mark.parametrize("name", ["original", "compressed"])
    def test_it_is_timed_without_a_partner(self, name: module.ModelName) -> None:
        machine = SyntheticMachine(FAST, call_noise=lognormal(0.02))
        trace = machine.run(experiment(30, models=(name,)))
        assert {block.model for block in trace.blocks} == {name}
        assert trace.sentinel == []
        assert not trace.two_looks
        assert all(models == (name,) for models, _ in machine.opened)
        figures = summarise(trace, name, 0.95)
        assert figures is not None
        assert figures.calls == 6 * 8 * 2 * machine.asked[0][1]
        assert figures.mean.value == pytest.approx(FAST[name], rel=0.01)
        assert figures.mean.low is not None

    def test_the_other_has_no_figures(self) -> None:
        trace = SyntheticMachine(FAST).run(experiment(30, models=("original",)))
        assert summarise(trace, "compressed", 0.95) is None

    def test_the_plan_counts_the_blocks_that_are_run(self) -> None:
        machine = SyntheticMachine(pair(0.5, 0.5), setup_s=2.0)
        machine.run(experiment(None, models=("original",)))
        assert machine.clock.now <= 120


class TestNeverSteady:
    def test_the_models_that_never_settled_are_named_once(self) -> None:
        trace = SyntheticMachine(FAST, steady=False).run(experiment(30))
        assert trace.never_steady == ("original", "compressed")

    def test_a_steady_machine_names_none(self) -> None:
        machine = SyntheticMachine(FAST, real_warm_up=True)
        assert machine.run(experiment(30)).never_steady == ()
