"""δ on simulated machines whose truth is known: noise, drift, bursts, load, and a slow process.

Each mutation of the protocol that is tried here must be seen to fail where the protocol holds.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest
from scipy import stats
from synthetic_machine import (
    Load,
    Noise,
    SyntheticMachine,
    drift,
    experiment,
    heavy_tailed,
    idle,
    lognormal,
    on_off,
    pair,
    quiet,
)

from compaudit.measure.latency import experiment as module
from compaudit.measure.latency import plan
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import Trace
from compaudit.results import Delta, RawBlock

TWICE = pair(0.010, 0.005)
SAME = pair(0.010, 0.010)


def delta_of(trace: Trace) -> Delta:
    return estimate_delta(trace, 0.95, 0.03, cpu_time=False)


def covered(delta: Delta, truth: float) -> bool:
    assert delta.low is not None
    assert delta.high is not None
    return delta.low <= truth <= delta.high


class TestKnownRatio:
    @pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 1), (7, 4), (3, 10), (64, 5)])
    def test_k_calls_against_m_calls(self, k: int, m: int) -> None:
        machine = SyntheticMachine(pair(0.001 * k, 0.001 * m), real_warm_up=True)
        assert delta_of(machine.run(experiment())).value == pytest.approx(k / m, rel=1e-9)

    @pytest.mark.parametrize(("k", "m"), [(2, 1), (7, 4), (3, 10)])
    def test_with_noise_it_is_recovered_within_half_a_percent(self, k: int, m: int) -> None:
        machine = SyntheticMachine(
            pair(0.001 * k, 0.001 * m),
            real_warm_up=True,
            call_noise=lognormal(0.02),
            process_noise=lognormal(0.002),
        )
        delta = delta_of(machine.run(experiment()))
        assert delta.value == pytest.approx(k / m, rel=0.005)
        assert covered(delta, k / m)

    def test_exchanging_the_models_gives_the_inverse(self) -> None:
        noise = lognormal(0.02)
        there = SyntheticMachine(pair(0.010, 0.005), call_noise=noise).run(experiment())
        back = SyntheticMachine(pair(0.005, 0.010), call_noise=noise).run(experiment())
        assert delta_of(there).value == pytest.approx(2.0, rel=0.01)
        assert delta_of(back).value == pytest.approx(0.5, rel=0.01)
        assert delta_of(there).verdict == "faster"
        assert delta_of(back).verdict == "slower"


class TestDrift:
    @pytest.mark.parametrize("calls", [SAME, TWICE], ids=["same", "twice"])
    @pytest.mark.parametrize(("start", "end"), [(1.0, 1.5), (1.5, 1.0), (0.5, 1.5), (1.0, 0.5)])
    def test_linear_drift_of_50_percent_moves_delta_by_less_than_a_permille(
        self, calls: dict[module.ModelName, float], start: float, end: float
    ) -> None:
        machine = SyntheticMachine(calls, load=drift(start, end, 30.0))
        truth = calls["original"] / calls["compressed"]
        assert delta_of(machine.run(experiment())).value == pytest.approx(truth, rel=1e-3)

    def test_first_one_model_then_the_other_would_not_do(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module._Schedule, "_order", lambda self, arms: (0, 0, 1, 1))
        machine = SyntheticMachine(SAME, load=drift(1.0, 1.5, 30.0))
        assert abs(delta_of(machine.run(experiment())).value - 1) > 1e-3


def noisy(
    seed: int, call_noise: Noise = quiet, process_noise: Noise = quiet, load: Load = idle
) -> SyntheticMachine:
    return SyntheticMachine(
        TWICE,
        setup_s=0.2,
        seed=seed,
        call_noise=call_noise,
        process_noise=process_noise,
        load=load,
    )


class TestCoverage:
    """How often the interval holds the truth over hundreds of simulated experiments.

    A pilot of 9 s in a budget of 20 s, so that most wide ones are extended.
    """

    EXPERIMENTS = 250

    def traces(self, machine_of: Callable[[int], SyntheticMachine]) -> Iterator[Trace]:
        for seed in range(self.EXPERIMENTS):
            yield machine_of(seed).run(experiment(20, seed=seed))

    def share_covered(self, traces: Iterable[Trace]) -> float:
        return statistics.fmean(covered(delta_of(trace), 2.0) for trace in traces)

    @pytest.mark.parametrize(
        ("call_noise", "process_noise"),
        [
            (quiet, lognormal(0.01)),
            (quiet, lognormal(0.03)),
            (lognormal(0.10), lognormal(0.02)),
            (heavy_tailed(0.05), lognormal(0.02)),
        ],
        ids=["narrow", "wide", "noisy calls", "heavy-tailed calls"],
    )
    def test_independent_noise(self, call_noise: Noise, process_noise: Noise) -> None:
        traces = self.traces(lambda seed: noisy(seed, call_noise, process_noise))
        assert self.share_covered(traces) >= 0.94

    @pytest.mark.parametrize(
        ("off_s", "on_s", "factor"),
        [(2.0, 0.2, 3.0), (1.0, 1.0, 2.0)],
        ids=["bursts", "on/off load"],
    )
    def test_correlated_noise(self, off_s: float, on_s: float, factor: float) -> None:
        traces = self.traces(
            lambda seed: noisy(
                seed, lognormal(0.02), lognormal(0.01), on_off(seed, off_s, on_s, factor)
            )
        )
        assert self.share_covered(traces) >= 0.90

    def test_some_pilots_are_extended_and_some_are_not(self) -> None:
        lengths = {
            max(block.epoch for block in trace.blocks) + 1
            for trace in self.traces(lambda seed: noisy(seed, process_noise=lognormal(0.02)))
        }
        assert min(lengths) == 6
        assert max(lengths) > 8


class TestOneSlowProcess:
    def test_it_makes_the_interval_wide_and_no_speed_up_of_nothing(self) -> None:
        slow = lambda epoch, place: 1.4 if (epoch, place) == (2, 0) else 1.0  # noqa: E731
        delta = delta_of(SyntheticMachine(SAME, places=slow).run(experiment(16)))
        assert covered(delta, 1.0)
        assert delta.verdict in ("inconclusive", "no_measurable_change")

    def test_processes_that_differ_give_few_false_alarms_and_pooled_quads_give_many(self) -> None:
        alarms = pooled_alarms = 0
        for seed in range(200):
            machine = SyntheticMachine(
                SAME,
                seed=seed,
                setup_s=0.2,
                process_noise=lognormal(0.02),
                call_noise=lognormal(0.01),
            )
            trace = machine.run(experiment(12, seed=seed))
            alarms += not covered(delta_of(trace), 1.0)
            low, high = pooled_interval(trace.blocks)
            pooled_alarms += not low <= 1.0 <= high
        assert alarms / 200 <= 0.06
        assert pooled_alarms / 200 > 0.25


class TestMutations:
    def test_the_ratio_of_medians_is_wrong_under_on_off_load(self) -> None:
        # The load is on for half of the calls: which half the median is in is a matter of luck.
        ours, naive = [], []
        for seed in range(20):
            trace = noisy(seed, load=on_off(seed, 0.1, 0.4, 4.0)).run(experiment(20, seed=seed))
            ours.append(delta_of(trace).value)
            naive.append(ratio_of_medians(trace.blocks))
        assert worst(ours, 2.0) < 0.2
        assert worst(naive, 2.0) > 0.5

    def test_a_fixed_order_falls_into_step_with_a_periodic_load(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def in_step() -> Delta:
            """Equal models, and a neighbour that works in the middle of each quad."""
            machine = SyntheticMachine(SAME)
            machine.load = lambda now: 1.2 if len(machine.order) % 4 in (2, 3) else 1.0
            return delta_of(machine.run(experiment()))

        randomised = in_step()
        assert covered(randomised, 1.0)
        assert randomised.verdict in ("inconclusive", "no_measurable_change")
        monkeypatch.setattr(module._Schedule, "_order", lambda self, arms: (0, 1, 1, 0))
        assert in_step().high == pytest.approx(1 / 1.2)

    def test_exchanged_numerator_and_denominator_are_seen(self) -> None:
        trace = SyntheticMachine(TWICE).run(experiment())
        exchanged = [
            RawBlock(
                epoch=block.epoch,
                quad=block.quad,
                position=block.position,
                model="compressed" if block.model == "original" else "original",
                calls=block.calls,
                elapsed_s=block.elapsed_s,
                cpu_s=block.cpu_s,
                times_s=block.times_s,
                compilations=block.compilations,
                resident_bytes=block.resident_bytes,
            )
            for block in trace.blocks
        ]
        wrong = Trace(exchanged, [], trace.budget_s, trace.two_looks, ())
        assert delta_of(trace).value == pytest.approx(2.0)
        assert delta_of(wrong).value == pytest.approx(0.5)

    def test_counting_the_first_call_after_a_rest_biases_delta(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def waking_up() -> Delta:
            """The first call of a block takes 10 ms more, whatever the model."""
            machine = SyntheticMachine(pair(0.018, 0.009))
            blocks = [0]

            def load(now: float) -> float:
                if len(machine.order) == blocks[0]:
                    return 1.0
                blocks[0] = len(machine.order)
                return 1.0 + 0.010 / machine.call_s[machine.asked[-1][0]]

            machine.load = load
            return delta_of(machine.run(experiment()))

        assert waking_up().value == pytest.approx(2.0, rel=1e-6)
        monkeypatch.setattr(plan.ArmCost, "discards", False)
        assert waking_up().value == pytest.approx(82 / 46, rel=0.01)


def ratio_of_medians(blocks: Sequence[RawBlock]) -> float:
    medians = [
        statistics.median(
            time for block in blocks if block.model == model for time in block.times_s
        )
        for model in ("original", "compressed")
    ]
    return medians[0] / medians[1]


def pooled_interval(blocks: Sequence[RawBlock]) -> tuple[float, float]:
    """The mutation: every quad a sample of its own."""
    quads: dict[tuple[int, int], float] = {}
    for block in blocks:
        sign = 0.5 if block.model == "original" else -0.5
        key = block.epoch, block.quad
        quads[key] = quads.get(key, 0.0) + sign * math.log(block.elapsed_s / block.calls)
    values = list(quads.values())
    error = statistics.stdev(values) / math.sqrt(len(values))
    low, high = stats.t.interval(0.95, len(values) - 1, statistics.fmean(values), error)
    return math.exp(low), math.exp(high)


def worst(values: Sequence[float], truth: float) -> float:
    return max(abs(value / truth - 1) for value in values)
