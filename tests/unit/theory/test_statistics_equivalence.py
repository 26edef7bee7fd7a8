import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from compaudit.theory.statistics import (
    newcombe_paired_difference,
    paired_lower_bound,
    samples_to_decide,
    two_sided_level,
)
from compaudit.theory.statistics.equivalence import score_statistic


def test_levels() -> None:
    assert two_sided_level(0.95) == pytest.approx(0.9)
    for bad in (0.5, 1.0, 0.2):
        with pytest.raises(ValueError, match="one-sided"):
            two_sided_level(bad)


# --------------------------------------------------------------------------------- the score test


@pytest.mark.parametrize(
    ("broken", "fixed", "n", "difference"),
    [
        (6, 16, 161, -0.05),
        (1, 1, 899, -0.005),
        (0, 0, 100, -0.02),
        (30, 5, 200, 0.1),
        (5, 0, 50, 0.2),
    ],
)
def test_the_score_uses_the_most_likely_rates(
    broken: int, fixed: int, n: int, difference: float
) -> None:
    def unlikelihood(rate: float) -> float:  # of broken ones, if fixed ones are `difference` more
        terms = [
            (broken, rate),
            (fixed, rate + difference),
            (n - broken - fixed, 1 - 2 * rate - difference),
        ]
        return -sum(count * math.log(share) for count, share in terms if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = optimize.minimize_scalar(
        unlikelihood, bounds=(low + 1e-12, high - 1e-12), method="bounded", options={"xatol": 1e-12}
    )
    variance = n * (2 * found.x + difference - difference**2)
    expected = (fixed - broken - n * difference) / np.sqrt(variance)
    assert score_statistic(broken, fixed, n, difference) == pytest.approx(expected, rel=1e-5)


def test_a_published_interval() -> None:
    # Fagerland, Lydersen, Laake 2014, Statistics in Medicine 33:2850, airway responsiveness: 21
    # pairs, 7 in favour of the one and 1 of the other; Tango's interval is −0.517 to −0.026.
    assert score_statistic(7, 1, 21, -0.517) == pytest.approx(1.96, abs=0.01)
    assert score_statistic(7, 1, 21, -0.026) == pytest.approx(-1.96, abs=0.01)


# ------------------------------------------------------------------------------------- the bound


def test_no_flips_is_the_rule_of_three() -> None:
    # A rate of p leaves 899 samples alone with a probability of (1 − p)⁸⁹⁹, which is 5 % here.
    assert paired_lower_bound(0, 0, 899) == pytest.approx(-(1 - 0.05 ** (1 / 899)), rel=1e-6)


def test_899_digits_with_one_flip_each_way() -> None:
    # The two-sided 95 % interval of a model that is right 98 % of the time holds −0.5 pp …
    both_sides = newcombe_paired_difference(880, 1, 1, 17, 0.95)
    assert both_sides.low is not None
    assert both_sides.low < -0.005
    # … and so a claim with 97.5 % confidence fails by that, while one with 95 % holds: were 0.5 %
    # broken and none fixed, at most 0.995⁸⁹⁹ = 1.1 % of the time it would look as good as this.
    assert -0.005 < paired_lower_bound(1, 1, 899, 0.95) < -0.0035
    # One broken and none fixed: 0.995⁸⁹⁹ + 899·0.005·0.995⁸⁹⁸ = 6.1 %, which is too much.
    assert stats.binom.cdf(1, 899, 0.005) == pytest.approx(0.061, abs=5e-4)
    assert paired_lower_bound(1, 0, 899, 0.95) < -0.005


def outcomes(n: int, p_broken: float, p_fixed: float) -> Iterator[tuple[float, int, int]]:
    """How probable every number of broken and fixed ones is that is likely at all."""
    for broken in range(int(stats.binom.ppf(1 - 1e-5, n, p_broken)) + 1):
        chance = stats.binom.pmf(broken, n, p_broken)
        most = int(stats.binom.ppf(1 - 1e-5, n, p_fixed))
        shares = stats.binom.pmf(np.arange(most + 1), n - broken, p_fixed / (1 - p_broken))
        for fixed, share in enumerate(shares):
            yield float(chance * share), broken, fixed


@pytest.mark.parametrize(("n", "p_broken"), [(200, 0.01), (400, 0.005), (899, 0.005), (899, 0.007)])
def test_the_claim_is_wrong_5_percent_of_the_time_at_most(n: int, p_broken: float) -> None:
    # The loss is exactly half a percentage point.
    claimed = sum(
        chance
        for chance, broken, fixed in outcomes(n, p_broken, p_broken - 0.005)
        if paired_lower_bound(broken, fixed, n) >= -0.005
    )
    assert claimed <= 0.05


def test_why_newcombes_interval_does_not_bound_the_loss() -> None:
    claimed = 0.0
    for chance, broken, fixed in outcomes(400, 0.005, 0.0):
        counts = (240 - broken, broken, fixed, 160 - fixed)
        low = newcombe_paired_difference(*counts, 0.9).low
        assert low is not None
        claimed += chance * (low >= -0.005)
    assert claimed > 0.1


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 5000), st.floats(0.6, 0.99))
def test_bounds_lie_around_the_change(
    broken: int, fixed: int, more: int, confidence: float
) -> None:
    n = broken + fixed + more
    low = paired_lower_bound(broken, fixed, n, confidence)
    high = -paired_lower_bound(fixed, broken, n, confidence)
    assert -1 <= low <= (fixed - broken) / n <= high <= 1
    assert paired_lower_bound(broken, fixed, n, (1 + confidence) / 2) <= low


def test_a_thousand_million_samples() -> None:
    # So many that the normal distribution is as good as exact.
    error = math.sqrt((2e6 / 1e9) / 1e9)
    bound = paired_lower_bound(10**6, 10**6, 10**9)
    assert bound == pytest.approx(-1.644854 * error, rel=1e-3)
    assert samples_to_decide(51, 46, 1001, 0.005) == pytest.approx(2.4e10, rel=0.2)


def test_ends_of_the_range() -> None:
    assert paired_lower_bound(10, 0, 10) == -1
    assert paired_lower_bound(0, 0, 1) == pytest.approx(-0.95)  # lost with 95 %, kept with 5 %
    # All fixed: a change of δ or less gives that with a probability of at most δ¹⁰.
    assert 0.5 < paired_lower_bound(0, 10, 10) <= 0.05 ** (1 / 10) + 1e-9


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, 0, 0), (3, 3, 5)])
def test_counts_that_do_not_fit(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        paired_lower_bound(*counts)
    with pytest.raises(ValueError, match="do not fit"):
        samples_to_decide(*counts, 0.005)


# ----------------------------------------------------------------------------- how many would do


@pytest.mark.parametrize(
    ("broken", "fixed", "n"),
    [(1, 1, 899), (3, 2, 400), (10, 10, 900), (20, 10, 1000), (30, 5, 1000)],
)
def test_so_many_samples_decide_four_times_of_five(broken: int, fixed: int, n: int) -> None:
    wanted = samples_to_decide(broken, fixed, n, 0.005)
    assert wanted is not None
    shares = [broken / n, fixed / n, 1 - (broken + fixed) / n]
    decided = 0
    for lost, won, _ in np.random.default_rng(0).multinomial(wanted, shares, size=400):
        decided += (
            paired_lower_bound(lost, won, wanted) >= -0.005
            or -paired_lower_bound(won, lost, wanted) < -0.005
        )
    # Three standard errors of a share of 400 are 0.06.
    assert decided / 400 == pytest.approx(0.8, abs=0.08)


def test_many_flips_by_the_formula_of_lachenbruch() -> None:
    # No margin to speak of: n = (z·√ψ + z'·√(ψ − δ²))² / δ², Lachenbruch 1992, as Connor 1987.
    wanted = samples_to_decide(60, 20, 400, 1e-9, 0.975)
    psi, delta = 0.2, 0.1
    expected = (1.959964 * psi**0.5 + 0.841621 * (psi - delta**2) ** 0.5) ** 2 / delta**2
    assert wanted == pytest.approx(expected, rel=0.03)


def test_no_flips_need_as_many_as_the_rule_of_three() -> None:
    needed = np.log(0.05) / np.log(0.995)  # 597.6
    wanted = samples_to_decide(0, 0, 100, 0.005)
    assert wanted is not None
    assert needed <= wanted <= 1.03 * needed


@pytest.mark.parametrize("counts", [(1, 1, 2), (1, 0, 1), (0, 1, 1), (1, 0, 199), (0, 0, 1)])
def test_few_samples_say_little_but_a_number(counts: tuple[int, int, int]) -> None:
    wanted = samples_to_decide(*counts, 0.005)
    assert wanted is not None
    assert wanted > 1


def test_all_flips_by_hand() -> None:
    # δ = 0 and σ = 1: n = (1.644854·√(1 − 0.005²) + 0.841621)² / 0.005²
    wanted = samples_to_decide(1, 1, 2, 0.005)
    assert wanted == pytest.approx((1.644854 + 0.841621) ** 2 / 0.005**2, rel=1e-3)


def test_what_is_exactly_the_margin_is_never_decided() -> None:
    assert samples_to_decide(5, 0, 1000, 0.005) is None
    with pytest.raises(ValueError, match="margin"):
        samples_to_decide(5, 0, 1000, 0.0)
