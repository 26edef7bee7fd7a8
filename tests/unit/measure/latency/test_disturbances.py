"""δ on simulated machines whose truth is known: noise, drift, bursts, load, and a slow process.

That the rules of the protocol are what makes this so is shown in the `test_mutations` files.
"""

from collections.abc import Callable
from random import Random

import pytest
from synthetic_machine import (
    Load,
    Noise,
    SyntheticMachine,
    covered,
    drift,
    experiment,
    heavy_tailed,
    idle,
    lognormal,
    on_off,
    pair,
    quiet,
    share_covered,
)

from compaudit.measure.latency import experiment as module
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import Trace
from compaudit.results import Delta

TWICE = pair(0.010, 0.005)
SAME = pair(0.010, 0.010)


def delta_of(trace: Trace) -> Delta:
    return estimate_delta(trace, 0.95, 0.03, cpu_time=False)


class TestKnownRatio:
    @pytest.mark.parametrize(("k", "m"), [(1, 1), (2, 1), (7, 4), (3, 10), (64, 5)])
    def test_k_calls_against_m_calls(self, k: int, m: int) -> None:
        machine = SyntheticMachine(pair(0.001 * k, 0.001 * m), real_warm_up=True)
        delta = estimate_delta(machine.run(experiment()), 0.95, 0.03, cpu_time=True)
        assert delta.value == pytest.approx(k / m, rel=1e-9)
        assert delta.cpu_time_ratio is not None
        assert delta.cpu_time_ratio.value == pytest.approx(k / m, rel=1e-9)

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


def noisy(
    seed: int,
    call_noise: Noise = quiet,
    process_noise: Noise = quiet,
    load: Load = idle,
    *,
    by_call: bool = False,
) -> SyntheticMachine:
    return SyntheticMachine(
        TWICE,
        setup_s=0.2,
        seed=seed,
        call_noise=call_noise,
        process_noise=process_noise,
        load=load,
        whole_blocks=not by_call,
    )


class TestCoverage:
    """How often the interval holds the truth over a thousand simulated experiments.

    A pilot of 9 s in a budget of 20 s, so that most wide ones are extended. MEASURING §1 asks for
    94 %, and for 90 % where the noise is correlated. The seeds are fixed; another thousand would
    differ by a standard error of 0.7 points. What was seen (95.4 to 99.2 %, as an extension that
    was possible is paid for though many pilots need none) is two of them or more above the demand.
    """

    EXPERIMENTS = 1000

    def share_covered(self, machine_of: Callable[[int], SyntheticMachine]) -> float:
        traces = (
            machine_of(seed).run(experiment(20, seed=seed)) for seed in range(self.EXPERIMENTS)
        )
        return share_covered(map(delta_of, traces), 2.0)

    @pytest.mark.parametrize(
        "machine_of",
        [
            lambda seed: noisy(seed, quiet, lognormal(0.01)),
            lambda seed: noisy(seed, quiet, lognormal(0.03)),
            lambda seed: noisy(seed, lognormal(0.10), lognormal(0.02), by_call=True),
            lambda seed: noisy(seed, heavy_tailed(0.05), lognormal(0.02), by_call=True),
            lambda seed: noisy(seed, heavy_tailed(0.05), lognormal(0.02)),
        ],
        ids=["narrow", "wide", "noisy calls", "heavy-tailed calls", "heavy-tailed blocks"],
    )
    def test_independent_noise(self, machine_of: Callable[[int], SyntheticMachine]) -> None:
        assert self.share_covered(machine_of) >= 0.94

    @pytest.mark.parametrize(
        "load",
        [
            lambda seed: on_off(seed, 2.0, 0.2, 3.0),
            lambda seed: on_off(seed, 1.0, 1.0, 2.0),
            lambda seed: on_off(seed, 5.0, 5.0, 2.0),
            lambda seed: drift(1.0, 1.5, 20.0),
        ],
        ids=["bursts", "on/off load", "slow on/off load", "drift"],
    )
    def test_correlated_noise(self, load: Callable[[int], Load]) -> None:
        covered = self.share_covered(
            lambda seed: noisy(seed, lognormal(0.02), lognormal(0.01), load(seed))
        )
        assert covered >= 0.90

    def test_one_slow_process_in_twelve(self) -> None:
        def machine_of(seed: int) -> SyntheticMachine:
            random = Random(seed)
            machine = noisy(seed, process_noise=lognormal(0.01))
            machine.places = lambda epoch, place: 1.4 if random.random() < 1 / 12 else 1.0
            return machine

        assert self.share_covered(machine_of) >= 0.94

    def test_some_pilots_are_extended_and_some_are_not(self) -> None:
        lengths = {
            max(block.epoch for block in trace.blocks) + 1
            for trace in (
                noisy(seed, process_noise=lognormal(0.02)).run(experiment(20, seed=seed))
                for seed in range(100)
            )
        }
        assert min(lengths) == 6
        assert max(lengths) > 8


class TestOneSlowProcess:
    def test_it_makes_the_interval_wide_and_no_speed_up_of_nothing(self) -> None:
        slow = lambda epoch, place: 1.4 if (epoch, place) == (2, 0) else 1.0  # noqa: E731
        delta = delta_of(SyntheticMachine(SAME, places=slow).run(experiment(16)))
        assert covered(delta, 1.0)
        assert delta.verdict in ("inconclusive", "no_measurable_change")
