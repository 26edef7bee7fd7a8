"""What may be said: each rule's check, that holds, and fails without the rule.

MEASURING §1, rules 8 to 10. Shares of 2,000 experiments drawn from fixed seeds.
"""

import math
import statistics

import numpy as np
import pytest
from numpy.typing import NDArray
from removal import needs
from scipy import stats
from synthetic_traces import block_of, delta_of, holds_one

from compaudit.measure.latency import estimate
from compaudit.measure.latency.estimate import summarise
from compaudit.measure.latency.experiment import Trace
from compaudit.theory.statistics import Interval
from compaudit.theory.statistics import verdict as judge

LN_2 = math.log(2)


def epochs(seed: int, truth: float, sigma: float) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(math.log(truth), sigma, (2000, 6))


class TestVerdict:
    def test_an_effect_below_the_noise_floor_is_no_speed_up(self) -> None:
        """The machine calls the original up to 4 % different from itself, and the model 3 %."""

        def check() -> None:
            delta = delta_of([0.03, 0.031, 0.029] * 2, [0.02, -0.02, 0.019, -0.019])
            assert delta.low is not None
            assert delta.low > 1
            assert delta.noise_floor is not None
            assert delta.noise_floor > 0.03
            assert delta.verdict in ("no_measurable_change", "inconclusive")

        def without_floor(delta: Interval, sentinel: Interval | None, **rest: float) -> str:
            return judge(delta, Interval(1.0, 1.0, 1.0), **rest)

        needs(check, (estimate, "verdict", without_floor))

    def test_it_is_the_intervals_and_not_the_points(self) -> None:
        """Equal models whose epochs differ by 8 %: hardly ever a speed-up, nor a slow-down."""
        draws = epochs(8, 1.0, 0.08)
        quiet = [0.001, -0.001, 0.001, -0.001]

        def check() -> None:
            verdicts = [delta_of(row, quiet).verdict for row in draws]
            claims = [verdict for verdict in verdicts if verdict in ("faster", "slower")]
            assert len(claims) / len(verdicts) <= 0.06

        def of_the_point(delta: Interval, sentinel: Interval | None, **rest: float) -> str:
            exact = Interval(delta.value, delta.value, delta.value)
            return judge(exact, sentinel, **rest)

        needs(check, (estimate, "verdict", of_the_point))

    def test_no_difference_found_is_not_no_difference(self) -> None:
        """A speed-up of 10 % in noise: it may stay open, and is never called no change."""
        draws = epochs(9, 1.10, 0.10)

        def check() -> None:
            verdicts = [delta_of(row).verdict for row in draws]
            assert verdicts.count("inconclusive") > 1000
            assert verdicts.count("no_measurable_change") <= 0.025 * 2000

        def not_significant(delta: Interval, sentinel: Interval | None, **rest: float) -> str:
            if holds_one(delta):
                return "no_measurable_change"
            return judge(delta, sentinel, **rest)

        needs(check, (estimate, "verdict", not_significant))

    def test_an_unknown_noise_floor_is_not_no_noise(self) -> None:
        def check() -> None:
            assert delta_of([0.03, 0.031, 0.029] * 2).verdict not in ("faster", "slower")

        def assumed_quiet(delta: Interval, sentinel: Interval | None, **rest: float) -> str:
            return judge(delta, sentinel or Interval(1.0, 1.0, 1.0), **rest)

        needs(check, (estimate, "verdict", assumed_quiet))

    def test_the_sentinel_is_not_ignored(self) -> None:
        def check() -> None:
            assert delta_of([LN_2] * 6, [0.05, 0.051, 0.049, 0.05]).verdict == "invalid"

        def without(delta: Interval, sentinel: Interval | None, **rest: float) -> str:
            return judge(delta, None, **rest)

        needs(check, (estimate, "verdict", without))


class TestTails:
    @pytest.mark.parametrize(
        ("percentile", "least", "enough", "tail"),
        [("p90", "LEAST_CALLS_P90", 64, 0.1), ("p99", "LEAST_CALLS_P99", 662, 0.01)],
    )
    def test_a_percentile_has_calls_beyond_it(
        self, percentile: str, least: str, enough: int, tail: float
    ) -> None:
        """Wherever it is given, two calls or more lie beyond the true one, in 99 of 100 cases."""

        def check() -> None:
            random = np.random.default_rng(10)
            beyond = []
            for calls in (enough // 4, enough):
                for times_s in random.exponential(1.0, (600, calls)):
                    block = block_of("original", times_s.tolist())
                    figures = summarise(Trace([block], [], 30.0, False, ()), "original", 0.95)
                    if getattr(figures, percentile) is not None:
                        beyond.append(np.sum(times_s > stats.expon.isf(tail)) >= 2)
            assert beyond
            assert statistics.fmean(beyond) >= 0.98

        needs(check, (estimate, least, 1))
