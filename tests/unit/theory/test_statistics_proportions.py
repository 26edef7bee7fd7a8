import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_newcombes_table(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, n, 0.95)
    assert interval.value == successes / n
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (3, 7), (899, 1797), (10**6, 10**7)])
def test_against_scipy(successes: int, n: int, confidence: float) -> None:
    reference = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    interval = wilson_interval(successes, n, confidence)
    assert interval.low == pytest.approx(reference.low, rel=1e-9, abs=1e-12)
    assert interval.high == pytest.approx(reference.high, rel=1e-9, abs=1e-12)


def test_the_ends_are_exact() -> None:
    # at 0 of n the upper limit is z²/(n + z²)
    z2 = 1.959963984540054**2
    none, all_of_them = wilson_interval(0, 10), wilson_interval(10, 10)
    assert none.low == 0
    assert none.high == pytest.approx(z2 / (10 + z2), rel=1e-12)
    assert all_of_them.high == 1
    assert all_of_them.low == pytest.approx(10 / (10 + z2), rel=1e-12)


def test_numpy_counts_do_not_overflow() -> None:
    big = wilson_interval(np.int64(10**10), np.int64(4 * 10**10))
    assert big.low == pytest.approx(0.25 - 1.959964 * (0.1875 / 4e10) ** 0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("successes", "n", "confidence", "message"),
    [
        (0, 0, 0.95, "at least one trial"),
        (5, 4, 0.95, "0 … 4"),
        (-1, 4, 0.95, "0 … 4"),
        (1, 4, 1.0, "confidence"),
        (1, 4, 95, "confidence"),
    ],
)
def test_refused(successes: int, n: int, confidence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wilson_interval(successes, n, confidence)


@settings(deadline=None)
@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_contains_its_value_and_mirrors(counts: tuple[int, int]) -> None:
    k, n = counts
    interval, mirror = wilson_interval(k, n), wilson_interval(n - k, n)
    assert interval.low is not None
    assert interval.high is not None
    assert mirror.high is not None
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirror.high, abs=1e-12)
