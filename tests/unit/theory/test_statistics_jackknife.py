import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import (
    GROUPS,
    group_of,
    jackknife_error,
    jackknife_interval,
    jackknife_p_value,
    why_no_jackknife,
)


def splitmix64(number: int) -> int:
    """As its authors write it in C, of which 0 gives 0xE220A8397B1DCDAF."""
    mask = 2**64 - 1
    mixed = (number + 0x9E3779B97F4A7C15) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return mixed ^ (mixed >> 31)


def test_groups_are_those_of_splitmix64() -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF
    samples = [0, 1, 2, 1000, 2**40]
    states = [sample * 0x9E3779B97F4A7C15 % 2**64 for sample in samples]
    assert group_of(samples).tolist() == [splitmix64(state) % GROUPS for state in states]


@pytest.mark.parametrize("step", [1, 2, 10, 32, 1000])
def test_groups_are_spread_whatever_the_order_of_samples(step: int) -> None:
    counts = np.bincount(group_of(np.arange(6400) * step), minlength=GROUPS)
    # Expected 200 each: a chi-squared test that fails once in ten thousand.
    assert stats.chisquare(counts).pvalue > 1e-4


def leave_out(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    without = [values[groups != group].mean() for group in range(groups.max() + 1)]
    return np.array(without), np.bincount(groups)


@given(st.integers(0, 1000))
def test_groups_of_one_give_the_standard_error_of_a_mean(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(1, 20)
    without, sizes = leave_out(values, np.arange(20))
    assert jackknife_error(values.mean(), without, sizes) == pytest.approx(stats.sem(values))


def test_equal_groups_by_the_textbook() -> None:
    # Shao & Tu 1995: (G − 1)/G · Σ (v₍₋g₎ − mean)².
    values = np.random.default_rng(0).normal(0, 1, 60)
    without, sizes = leave_out(values, np.arange(60) % 12)
    expected = np.sqrt(11 / 12 * np.sum((without - without.mean()) ** 2))
    assert jackknife_error(values.mean(), without, sizes) == pytest.approx(expected)


def test_unequal_groups_by_busing() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    without, sizes = leave_out(values, np.array([0, 0, 0, 1, 1, 2]))
    h = 6 / sizes
    pseudovalues = h * values.mean() - (h - 1) * without
    estimate = 3 * values.mean() - np.sum((1 - sizes / 6) * without)
    expected = np.sqrt(np.mean((pseudovalues - estimate) ** 2 / (h - 1)))
    assert jackknife_error(values.mean(), without, sizes) == pytest.approx(expected)


def test_an_empty_group_does_not_count() -> None:
    values = np.random.default_rng(0).normal(0, 1, 30)
    without, sizes = leave_out(values, np.arange(30) % 5)
    error = jackknife_error(values.mean(), without, sizes)
    more = jackknife_error(values.mean(), np.append(without, values.mean()), np.append(sizes, 0))
    assert more == error


def test_the_interval_is_a_t_interval_over_the_groups() -> None:
    sizes = np.full(GROUPS, 3)
    interval = jackknife_interval(0.5, 0.1, sizes, 0.9)
    low, high = stats.t.interval(0.9, GROUPS - 1, loc=0.5, scale=0.1)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert jackknife_p_value(0.5, 0.1, sizes) == pytest.approx(2 * stats.t.sf(5, GROUPS - 1))


def test_without_an_error_there_is_no_interval() -> None:
    sizes = np.full(GROUPS, 3)
    assert jackknife_error(np.nan, np.zeros(GROUPS), sizes) is None
    assert jackknife_error(0.0, np.full(GROUPS, np.inf), sizes) is None
    assert jackknife_error(0.0, [0.0], [5]) is None
    assert jackknife_interval(0.5, None, sizes).low is None
    assert jackknife_p_value(0.5, None, sizes) is None


def test_no_change_at_all() -> None:
    sizes = np.full(GROUPS, 3)
    assert jackknife_error(0.0, np.zeros(GROUPS), sizes) == 0
    assert jackknife_p_value(0.0, 0.0, sizes) == 1
    assert jackknife_p_value(0.1, 0.0, sizes) == 0


def test_too_few_samples() -> None:
    sizes = np.zeros(GROUPS, dtype=np.int64)
    sizes[:3] = 21
    assert why_no_jackknife(sizes) == "its interval needs at least 64 samples, and there are 63"
    sizes[0] += 1
    assert why_no_jackknife(sizes) is None
