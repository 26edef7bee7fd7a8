import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import Interval, Moments, mean_interval, paired_mean_difference

# Differences of six pairs; the reference numbers are statsmodels 0.15.0's,
# DescrStatsW(SIX).tconfint_mean() and .ttest_mean().
SIX = [0.021, -0.013, 0.034, 0.008, 0.017, -0.002]

numbers = st.floats(min_value=-1e3, max_value=1e3, allow_subnormal=False)
chunks = st.lists(st.lists(numbers, max_size=12), min_size=1, max_size=8)


def merged(parts: list[list[float]]) -> Moments:
    return functools.reduce(Moments.merge, (Moments.of(part) for part in parts), Moments())


def assert_close(left: Moments, right: Moments, values: list[float]) -> None:
    scale = max(map(abs, values), default=0.0)
    assert left.count == right.count
    assert left.mean == pytest.approx(right.mean, rel=1e-9, abs=1e-14 * scale)
    assert left.m2 == pytest.approx(right.m2, rel=1e-9, abs=1e-13 * scale**2)


def test_hand_calculation() -> None:
    moments = Moments.of([2, 4, 4, 4, 5, 5, 7, 9])
    assert moments == Moments(count=8, mean=5.0, m2=32.0)
    assert moments.variance == 32 / 7


def test_merge_by_hand() -> None:
    # 1, 2, 3 and 5, 7: m2 = 2 + 2 + (6 − 2)²·3·2/5
    assert Moments.of([1, 2, 3]).merge(Moments.of([5, 7])) == Moments(5, 3.6, 4 + 16 * 6 / 5)


@settings(deadline=None)
@given(chunks, st.randoms(use_true_random=False))
def test_any_split_in_any_order(parts: list[list[float]], random: object) -> None:
    values = [value for part in parts for value in part]
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    whole = Moments.of(values)
    assert_close(merged(parts), whole, values)
    assert_close(merged(shuffled), whole, values)
    if values:
        assert whole.mean == pytest.approx(math.fsum(values) / len(values), rel=1e-12, abs=1e-10)
    if len(values) > 1:
        assert whole.variance == pytest.approx(np.var(values, ddof=1), rel=1e-9, abs=1e-10)


@settings(deadline=None)
@given(st.lists(numbers, max_size=9), st.lists(numbers, max_size=9))
def test_merge_commutes_exactly(first: list[float], second: list[float]) -> None:
    a, b = Moments.of(first), Moments.of(second)
    assert a.merge(b) == b.merge(a)
    assert a.merge(Moments()) == a
    assert Moments().merge(a) == a


def test_grouping_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    parts = [Moments.of(rng.gamma(0.1, size=n)) for n in (1, 7, 100, 3, 10_000, 64)]
    a, b, c, d, e, f = parts
    left = a.merge(b).merge(c).merge(d).merge(e).merge(f)
    tree = a.merge(b).merge(c.merge(d)).merge(e.merge(f))
    assert left.mean == pytest.approx(tree.mean, rel=1e-12)
    assert left.m2 == pytest.approx(tree.m2, rel=1e-12)


def test_a_large_offset_keeps_the_variance() -> None:
    # Σx² − n·mean² would have no digit left
    values = 1e9 + np.array([4.0, 7.0, 13.0, 16.0])
    assert Moments.of(values).variance == 30
    assert Moments.of(values[:2]).merge(Moments.of(values[2:])).variance == 30


def test_arrays_of_any_shape_and_type() -> None:
    assert Moments.of(np.arange(6, dtype=np.float16).reshape(2, 3)) == Moments(6, 2.5, 17.5)
    assert Moments.of([]) == Moments()


def test_infinite_and_nan_stay_visible() -> None:
    infinite = Moments.of([1.0, math.inf])
    assert infinite.mean == math.inf
    assert infinite.interval(0.95) == Interval(math.inf, None, None)
    both = Moments.of([1.0, 2.0]).merge(infinite)
    assert both.count == 4
    assert both.mean == math.inf
    assert math.isnan(Moments.of([math.nan, 1.0]).mean)
    assert paired_mean_difference(2, math.inf, 1.0) is None


# ---------------------------------------------------------------------------------- t statistics


def test_interval_of_six() -> None:
    moments = Moments.of(SIX)
    interval = moments.interval(0.95)
    assert interval.value == pytest.approx(0.065 / 6, rel=1e-14)
    assert interval.low == pytest.approx(-0.006844803801295974, rel=1e-10)
    assert interval.high == pytest.approx(0.02851147046796264, rel=1e-10)
    p_value = paired_mean_difference(moments.count, moments.mean, moments.variance)
    assert p_value == pytest.approx(0.176011253578949, rel=1e-10)


def test_interval_by_hand() -> None:
    # n = 6, mean 10, s² = 24: se = 2, t₀.₉₇₅ with 5 degrees of freedom = 2.570582
    interval = mean_interval(6, 10.0, 24.0, 0.95)
    assert interval.low == pytest.approx(10 - 5.141164, abs=1e-5)
    assert interval.high == pytest.approx(10 + 5.141164, abs=1e-5)


def test_one_value_has_no_interval() -> None:
    assert Moments.of([3.0]).interval() == Interval(3.0, None, None)
    assert Moments.of([3.0]).variance is None
    assert paired_mean_difference(1, 3.0, None) is None


def test_no_values_are_no_evidence() -> None:
    with pytest.raises(ValueError, match="no values"):
        Moments().interval()
    with pytest.raises(ValueError, match="no values"):
        paired_mean_difference(0, 0.0, None)
    with pytest.raises(ValueError, match="variance"):
        mean_interval(3, 0.0, -1.0, 0.95)


def test_differences_without_spread() -> None:
    assert paired_mean_difference(100, 0.0, 0.0) == 1.0
    assert paired_mean_difference(100, 0.25, 0.0) == 0.0
    assert mean_interval(100, 0.25, 0.0, 0.95) == Interval(0.25, 0.25, 0.25)


@settings(deadline=None)
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=30))
def test_p_value_against_scipy(values: list[int]) -> None:
    if len(set(values)) == 1:
        return
    moments = Moments.of(values)
    expected = stats.ttest_1samp(values, 0.0).pvalue
    p_value = paired_mean_difference(moments.count, moments.mean, moments.variance)
    assert p_value == pytest.approx(expected, rel=1e-8, abs=1e-12)
