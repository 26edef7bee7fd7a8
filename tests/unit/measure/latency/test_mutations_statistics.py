"""From blocks to δ and its interval: each rule's check, that holds, and fails without the rule.

MEASURING §1, rules 5 to 7. Coverages are shares of 2,000 to 4,000 experiments drawn from fixed
seeds: a standard error of at most 0.5 points at 95 %, so that 94 % is two below. Where the whole
schedule runs they are 200, and the error 1.5 points.
"""

import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from removal import needs
from scipy import stats
from synthetic_machine import (
    SyntheticMachine,
    covered,
    experiment,
    lognormal,
    on_off,
    pair,
    share_covered,
)
from synthetic_traces import delta_of, holds_one

from compaudit.measure.latency import epochs, estimate
from compaudit.measure.latency import experiment as schedule
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.plan import Plan
from compaudit.results import RawBlock
from compaudit.theory.statistics import Interval, ratio_interval

SAME = pair(0.010, 0.010)
TWICE = pair(0.010, 0.005)
LN_2 = math.log(2)


def normal(seed: int, experiments: int, *shape: int, sigma: float = 0.02) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(LN_2, sigma, (experiments, *shape))


class TestDelta:
    def test_it_is_the_originals_time_over_the_compresseds(self) -> None:
        def check() -> None:
            delta = delta_of([LN_2] * 6)
            assert delta.value == pytest.approx(2.0)
            assert delta.verdict == "faster"

        def swapped(original_s: Sequence[float], compressed_s: Sequence[float]) -> float:
            return statistics.fmean(map(math.log, compressed_s)) - statistics.fmean(
                map(math.log, original_s)
            )

        needs(check, (epochs, "quad_value", swapped))

    def test_it_is_not_the_ratio_of_medians(self) -> None:
        """The load is on for most of the time: on which side a median falls is a matter of luck."""

        def check() -> None:
            for seed in range(20):
                machine = SyntheticMachine(
                    TWICE, setup_s=0.2, seed=seed, load=on_off(seed, 0.1, 0.4, 4.0)
                )
                trace = machine.run(experiment(20, seed=seed))
                value = estimate_delta(trace, 0.95, 0.03, cpu_time=False).value
                assert value == pytest.approx(2.0, rel=0.2)

        def of_medians(blocks: Sequence[RawBlock]) -> list[float]:
            if not blocks:
                return []
            original, compressed = (
                statistics.median(t for b in blocks if b.model == model for t in b.times_s)
                for model in ("original", "compressed")
            )
            return [math.log(original / compressed)] * 6

        needs(check, (estimate, "epoch_values", of_medians))

    def test_a_quad_is_averaged_in_logarithms(self) -> None:
        """One of two blocks under a load of 4: 2.0 either way round, not 2 · 2.5 or 2 / 2.5."""

        def check() -> None:
            machine = SyntheticMachine(TWICE)
            machine.load = lambda now: 4.0 if len(machine.order) % 4 in (1, 2) else 1.0
            trace = machine.run(experiment())
            assert estimate_delta(trace, 0.95, 0.03, cpu_time=False).value == pytest.approx(2.0)

        def of_means(original_s: Sequence[float], compressed_s: Sequence[float]) -> float:
            return math.log(statistics.fmean(original_s)) - statistics.fmean(
                map(math.log, compressed_s)
            )

        needs(check, (epochs, "quad_value", of_means))


class TestTrimming:
    def test_heavy_tailed_quads_cost_no_width(self) -> None:
        """Quads with infinite variance (t, 1.5 degrees): untrimmed, twice the width."""
        draws = stats.t.rvs(1.5, scale=0.01, size=(400, 6, 8), random_state=1)

        def check() -> None:
            ours = [math.log(delta.high / delta.low) for delta in map(delta_of, draws)]  # type: ignore[operator]
            plain = 2 * stats.t.ppf(0.975, 5) * stats.sem(draws.mean(2), axis=1)
            assert statistics.median(ours) < 0.6 * np.median(plain)

        needs(check, (epochs, "trimmed", statistics.fmean))


class TestInterval:
    def test_epochs_are_the_unit_not_quads(self) -> None:
        """Epochs differ by 2 %, quads of one by 0.5 %."""
        draws = normal(2, 2000, 6, 1) + normal(3, 2000, 6, 8, sigma=0.005) - LN_2

        def check() -> None:
            assert share_covered(map(delta_of, draws), 2.0) >= 0.94

        def quads(blocks: Sequence[RawBlock]) -> list[float]:
            original, compressed = (
                [math.log(b.elapsed_s / b.calls) for b in blocks if b.model == model]
                for model in ("original", "compressed")
            )
            return [a - b for a, b in zip(original, compressed, strict=True)]

        needs(check, (estimate, "epoch_values", quads))

    def test_it_is_students_and_not_a_percentile_bootstrap(self) -> None:
        """Six clusters resampled 200 times cover 85 %."""
        draws = normal(4, 2000, 6)
        places = np.random.default_rng(5).integers(0, 6, (200, 6))

        def check() -> None:
            assert share_covered(map(delta_of, draws), 2.0) >= 0.94

        def bootstrap(values: Sequence[float], *_: object) -> Interval:
            means = np.array(values)[places].mean(1)
            low, high = np.exp(np.percentile(means, [2.5, 97.5]))
            value = math.exp(statistics.fmean(values))
            return Interval(value, min(low, value), max(high, value))

        needs(check, (estimate, "ratio_interval", bootstrap))

    def test_it_is_students_and_not_the_normal_one(self) -> None:
        draws = normal(6, 2000, 4)

        def check() -> None:
            assert share_covered(map(delta_of, draws), 2.0) >= 0.94

        def of_the_normal(values: Sequence[float], *_: object) -> Interval:
            margin = 1.96 * float(stats.sem(values))
            mean = statistics.fmean(values)
            return Interval(*map(math.exp, (mean, mean - margin, mean + margin)))

        needs(check, (estimate, "ratio_interval", of_the_normal))

    def test_two_epochs_have_none(self) -> None:
        def check() -> None:
            delta = delta_of([0.1, 0.11])
            assert (delta.low, delta.high, delta.verdict) == (None, None, "inconclusive")

        def of_any(values: Sequence[float], *_: object) -> Interval:
            margin = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
            mean = statistics.fmean(values)
            return Interval(*map(math.exp, (mean, mean - margin, mean + margin)))

        needs(check, (estimate, "ratio_interval", of_any))


class TestLooks:
    def test_two_looks_share_the_error(self) -> None:
        """Six epochs, then six more: both intervals hold the truth in 95 % of the experiments."""
        draws = normal(7, 4000, 12)

        def check() -> None:
            both = [
                covered(delta_of(row[:6], two_looks=True), 2.0)
                and covered(delta_of(row, two_looks=True), 2.0)
                for row in draws
            ]
            assert statistics.fmean(both) >= 0.94

        needs(check, (estimate, "two_look_quantile", lambda confidence: (1 + confidence) / 2))

    def test_nobody_peeks(self) -> None:
        """Looking after every epoch and stopping at the first difference: 85 % of 200 hold."""

        def check() -> None:
            deltas = []
            for seed in range(200):
                machine = SyntheticMachine(
                    SAME,
                    seed=seed,
                    setup_s=0.2,
                    process_noise=lognormal(0.02),
                    whole_blocks=True,
                )
                trace = machine.run(experiment(30, seed=seed, resolution=0.015))
                deltas.append(estimate_delta(trace, 0.95, 0.015, cpu_time=False))
            assert share_covered(deltas, 1.0) >= 0.94

        has_time = schedule._Schedule.has_time_for_an_epoch

        def until_it_looks_good(self: schedule._Schedule, plan: Plan) -> bool:
            interval = ratio_interval(epochs.epoch_values(self.blocks))
            different = interval.low is not None and not holds_one(interval)
            return has_time(self, plan) and not different

        needs(
            check,
            (schedule._Schedule, "has_time_for_an_epoch", until_it_looks_good),
            (estimate, "two_look_quantile", lambda confidence: (1 + confidence) / 2),
        )

    def test_what_was_found_does_not_decide_how_long_to_look(self) -> None:
        """The same spread around another truth asks for the same extension."""

        def epochs_around(truth: float) -> int:
            machine = SyntheticMachine(
                SAME,
                seed=5,
                process_noise=lognormal(0.03),
                places=lambda epoch, place: truth**-place,
                whole_blocks=True,
            )
            return len({block.epoch for block in machine.run(experiment(120)).blocks})

        def check() -> None:
            assert epochs_around(1.5) == epochs_around(1.0) > 6

        def until_decided(values: Sequence[float], *_: float) -> int:
            return 0 if not holds_one(ratio_interval(values)) else 10

        needs(check, (schedule, "extension_epochs", until_decided))
