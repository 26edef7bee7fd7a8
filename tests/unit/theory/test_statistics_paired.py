import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compaudit.theory.statistics import mcnemar_exact, newcombe_paired_difference

Table = tuple[int, int, int, int]
counts = st.integers(0, 2000)


@pytest.mark.parametrize(
    ("table", "difference", "low", "high"),
    [
        # The R package contingencytables 3 (Fagerland, Lydersen, Laake 2017, chapter 8) prints
        # these for its first minus its second proportion; ours is second minus first.
        ((59, 6, 16, 80), 0.0621, 0.0046, 0.1186),  # Cavo et al. 2012
        ((1, 0, 0, 1), 0.0, -0.5734, 0.5734),
        # Fagerland, Lydersen, Laake 2014, Statistics in Medicine 33:2850 (Bentur et al. 2009)
        ((1, 1, 7, 12), 0.286, 0.026, 0.507),
    ],
)
def test_published_examples(table: Table, difference: float, low: float, high: float) -> None:
    digits = 5e-4 if abs(difference) == 0.286 else 5e-5
    interval = newcombe_paired_difference(*table, confidence=0.95)
    assert interval.value == pytest.approx(difference, abs=digits)
    assert interval.low == pytest.approx(low, abs=digits)
    assert interval.high == pytest.approx(high, abs=digits)


def test_all_agree() -> None:
    # 54 of 54 with both models: Wilson's arm z²/(n + z²) below, none above, and φ = 0
    z2 = 1.959963984540054**2
    interval = newcombe_paired_difference(54, 0, 0, 0)
    assert interval.value == 0
    assert interval.low == pytest.approx(-z2 / (54 + z2), rel=1e-12)
    assert interval.high == pytest.approx(z2 / (54 + z2), rel=1e-12)


def test_all_disagree() -> None:
    # p₁ = 1, p₂ = 0: −1 and, from two independent arms, −1 + √2·z²/(n + z²)
    z2 = 1.959963984540054**2
    interval = newcombe_paired_difference(0, 54, 0, 0)
    assert interval.value == -1
    assert interval.low == -1
    assert interval.high == pytest.approx(-1 + math.sqrt(2) * z2 / (54 + z2), rel=1e-12)


@pytest.mark.parametrize(
    "table",
    [
        (14, 5, 0, 22),  # Altman et al. 2000, "Statistics with Confidence", table 6.2
        (36, 12, 2, 0),  # φ < 0: not corrected
        (10, 5, 5, 4),  # 0 < ad − bc = 15, n/2 = 12
        (6, 5, 5, 5),  # 0 < ad − bc = 5 < n/2: φ becomes 0
        (9000, 120, 80, 800),
    ],
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_papers_formula_on_scipys_wilson_limits(table: Table, confidence: float) -> None:
    a, b, c, d = table
    n = a + b + c + d
    excess: float = a * d - b * c
    if excess > 0:
        excess = max(excess - n / 2, 0)
    phi = excess / math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    p1, p2 = (a + b) / n, (a + c) / n
    l1, u1 = stats.binomtest(a + b, n).proportion_ci(confidence, method="wilson")
    l2, u2 = stats.binomtest(a + c, n).proportion_ci(confidence, method="wilson")
    down = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    up = (u2 - p2) ** 2 - 2 * phi * (u2 - p2) * (p1 - l1) + (p1 - l1) ** 2
    interval = newcombe_paired_difference(*table, confidence=confidence)
    assert interval.value == pytest.approx(p2 - p1, abs=1e-15)
    assert interval.low == pytest.approx(p2 - p1 - math.sqrt(down), abs=1e-10)
    assert interval.high == pytest.approx(p2 - p1 + math.sqrt(up), abs=1e-10)


def test_a_small_test_set_decides_little() -> None:
    # 899 digits, one flip each way: −0.5 pp cannot be excluded
    interval = newcombe_paired_difference(880, 1, 1, 17)
    assert interval.low is not None
    assert interval.value == 0
    assert interval.low < -0.005


def test_numpy_counts_do_not_overflow() -> None:
    table = (900_000, 20_000, 10_000, 70_000)
    a, b, c, d = map(np.int64, table)
    assert newcombe_paired_difference(a, b, c, d) == newcombe_paired_difference(*table)


@settings(deadline=None)
@given(counts, counts, counts, counts)
def test_swapping_the_models_mirrors_the_interval(a: int, b: int, c: int, d: int) -> None:
    if a + b + c + d == 0:
        return
    there, back = newcombe_paired_difference(a, b, c, d), newcombe_paired_difference(a, c, b, d)
    assert there.low is not None
    assert there.high is not None
    assert -1 <= there.low <= there.value <= there.high <= 1
    assert (back.low, back.high) == (-there.high, -there.low)
    assert there.high > there.low


@pytest.mark.parametrize("cells", [(0.70, 0.06, 0.04, 0.20), (0.93, 0.01, 0.01, 0.05)])
def test_simulated_coverage(cells: tuple[float, ...]) -> None:
    truth = cells[2] - cells[1]
    tables = np.random.default_rng(11).multinomial(300, cells, size=4000)
    intervals = [newcombe_paired_difference(*table.tolist()) for table in tables]
    covered = np.mean([i.low <= truth <= i.high for i in intervals])  # type: ignore[operator]
    # close to nominal with 30 expected discordant pairs, on the safe side with 6
    assert 0.94 <= covered <= (0.965 if cells[1] > 0.01 else 0.99)


@pytest.mark.parametrize("table", [(0, 0, 0, 0), (1, -1, 2, 3)])
def test_no_samples_or_negative_counts_are_refused(table: Table) -> None:
    with pytest.raises(ValueError, match=r"at least one sample|negative"):
        newcombe_paired_difference(*table)


# --------------------------------------------------------------------------------------- McNemar


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),
        (0, 1, 1.0),  # 2·½
        (5, 0, 0.0625),  # 2/32
        (12, 2, 0.0129),  # Armitage and Berry 1994, p. 127: 2·(1 + 14 + 91)/2¹⁴
        (6, 16, 0.052479),  # Cavo et al. 2012, by the R package contingencytables
    ],
)
def test_mcnemar_examples(only_first: int, only_second: int, p_value: float) -> None:
    assert mcnemar_exact(only_first, only_second) == pytest.approx(p_value, abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_against_scipy(only_first: int, only_second: int) -> None:
    n = only_first + only_second
    expected = stats.binomtest(only_first, n, 0.5).pvalue if n else 1.0
    p_value = mcnemar_exact(only_first, only_second)
    assert p_value == pytest.approx(expected, rel=1e-8, abs=1e-200)
    assert p_value == mcnemar_exact(only_second, only_first)


def test_mcnemar_of_many() -> None:
    expected = stats.binomtest(499_000, 1_000_000, 0.5).pvalue
    assert mcnemar_exact(499_000, 501_000) == pytest.approx(expected, rel=1e-6)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)
