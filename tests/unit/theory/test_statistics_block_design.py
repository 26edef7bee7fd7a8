"""Differences in a randomised block design: by hand, against two-way layouts, by simulation."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from compaudit.theory.statistics import Difference, apart, block_differences
from compaudit.theory.statistics.interval import t_quantile

RANDOM = np.random.default_rng(5)
Table = NDArray[np.float64]
Values = Mapping[tuple[str, str], Sequence[float]]


def differences_of(table: Table) -> dict[tuple[str, str], list[float]]:
    """A row an epoch, a column a model."""
    names = "abcdefghijkl"[: table.shape[1]]
    columns = dict(zip(names, table.T, strict=True))
    return {
        (one, other): (columns[one] - columns[other]).tolist()
        for one, other in combinations(names, 2)
    }


def two_way_residuals(table: Table) -> Table:
    rows, columns = table.mean(axis=1, keepdims=True), table.mean(axis=0)
    residuals: Table = table - rows - columns + table.mean()
    return residuals


class TestVariance:
    def test_by_hand(self) -> None:
        """Three models, two epochs: differences of variance 2, 8 and 2.

        Σσ² = 12 / 2 = 6, twice its mean is 4. Grubbs: σ²_a = 2 + 8 − 6 = 4, σ²_b = 2 + 2 − 6 < 0,
        σ²_c = 8 + 2 − 6 = 4. So a and c differ with 8, and the other pairs with the pooled 4.
        """
        found = block_differences({("a", "b"): [1, 3], ("a", "c"): [0, 4], ("b", "c"): [-1, 1]})
        assert [found[pair].mean for pair in found] == [2, 2, 0]
        assert [found[pair].variance for pair in found] == pytest.approx([4, 8, 4])
        # Of the pooled one: (12/3)·… = 1·⅔·8²/(32·⅓) = 4, but at most (2 − 1)(3 − 1) = 2.
        assert found["a", "b"].freedom == 2
        # 8² / (4²/2 + 4²/2) = 4, likewise.
        assert found["a", "c"].freedom == 2

    def test_of_equal_models_it_is_the_residual_mean_square_of_the_two_way_layout(self) -> None:
        """At the least, twice Fisher's; the epochs' own changes have no part in it."""
        table = RANDOM.normal(0, 0.02, (6, 9)) + RANDOM.normal(0, 5, (6, 1))
        residual = (two_way_residuals(table) ** 2).sum() / (5 * 8)
        found = block_differences(differences_of(table))
        variances = [one.variance for one in found.values()]
        assert min(variances) == pytest.approx(2 * residual)
        assert max(one.freedom for one in found.values()) == 5 * 8

    def test_a_noisy_model_keeps_its_own(self) -> None:
        """Averaged over many tables, it is σ² of the one plus σ² of the other."""
        spread = np.array([0.05, *[0.01] * 7])
        tables = RANDOM.normal(0, 1, (200, 12, 8)) * spread
        found = [block_differences(differences_of(table)) for table in tables]
        of_noisy = np.mean([one["a", "b"].variance for one in found])
        assert of_noisy == pytest.approx(0.05**2 + 0.01**2, rel=0.05)
        # The quiet ones have the pooled: (0.05² + 7 · 0.01²) / 8, twice.
        of_quiet = np.mean([one["b", "c"].variance for one in found])
        assert of_quiet == pytest.approx((0.05**2 + 7 * 0.01**2) / 4, rel=0.05)
        # One of eight models makes up most of the pooled variance: about its own 11 degrees.
        assert np.mean([one["b", "c"].freedom for one in found]) < 25

    def test_two_models_have_what_student_gives_them(self) -> None:
        values = RANDOM.normal(0.7, 0.02, 6).tolist()
        found = block_differences({("a", "b"): values})["a", "b"]
        low, high = stats.t.interval(0.99, 5, np.mean(values), stats.sem(values))
        interval = found.ratio(0.995)
        assert (interval.low, interval.high) == pytest.approx((math.exp(low), math.exp(high)))

    def test_no_noise_at_all_is_an_interval_without_width(self) -> None:
        table = np.tile([[0.0, 1.0, 3.0]], (4, 1))
        found = block_differences(differences_of(table))["a", "b"].ratio(0.999)
        assert found.low == found.high == found.value == pytest.approx(math.exp(-1))

    def test_swapping_a_pair_turns_its_sign_and_nothing_else(self) -> None:
        values = differences_of(RANDOM.normal(0, 0.02, (5, 4)))
        turned = {**values, ("b", "a"): [-one for one in values["a", "b"]]}
        del turned["a", "b"]
        there, back = block_differences(values), block_differences(turned)
        assert back["b", "a"].mean == pytest.approx(-there["a", "b"].mean)
        assert back["b", "a"].variance == pytest.approx(there["a", "b"].variance)
        assert back["c", "d"].variance == pytest.approx(there["c", "d"].variance)

    def test_too_few_epochs_give_no_interval(self) -> None:
        found = block_differences(differences_of(RANDOM.normal(0, 0.02, (2, 6))))
        assert all(one.ratio(0.99).low is None for one in found.values())
        assert found["a", "b"].ratio(0.99).value > 0

    @pytest.mark.parametrize(
        "values",
        [
            {("a", "b"): [1.0, 2.0], ("a", "c"): [1.0, 2.0]},  # b and c are not compared
            {("a", "b"): [1.0, 2.0], ("b", "a"): [1.0, 2.0]},
            {("a", "a"): [1.0, 2.0]},
            {("a", "b"): [1.0]},
            {("a", "b"): [1.0, 2.0], ("a", "c"): [1.0, 2.0], ("b", "c"): [1.0, 2.0, 3.0]},
            {("a", "b"): [1.0, math.nan]},
        ],
    )
    def test_what_is_no_design_is_refused(self, values: Values) -> None:
        with pytest.raises(ValueError, match=r"compared once|same epochs|finite"):
            block_differences(values)


class TestApart:
    def test_two_experiments_are_welchs(self) -> None:
        first, second = (RANDOM.normal(mean, 0.03, 6) for mean in (0.7, 0.1))
        one, other = (
            Difference(float(x.mean()), 6, float(x.var(ddof=1)), 5) for x in (first, second)
        )
        expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.999)
        found = apart(one, other).ratio(0.9995)
        assert (found.low, found.high) == pytest.approx(
            (math.exp(expected.low), math.exp(expected.high))
        )

    def test_without_noise_there_is_none(self) -> None:
        found = apart(Difference(0.5, 6, 0.0, 5), Difference(0.2, 4, 0.0, 3))
        assert (found.mean, found.epochs, found.variance) == (pytest.approx(0.3), 4, 0.0)
        assert found.freedom == 8


NOISE = {
    "equal": [1.0] * 8,
    "one is five times as noisy": [5.0, *[1.0] * 7],
    "half of them": [5.0] * 4 + [1.0] * 4,
    "from one to five": np.geomspace(1, 5, 8).tolist(),
}


@pytest.mark.parametrize("epochs", [4, 6])
@pytest.mark.parametrize("noise", NOISE)
def test_all_intervals_together_hold_their_truth(noise: str, epochs: int) -> None:
    """500 tables of eight equal models: all 28 intervals hold 0 in at least 94 % of them.

    A share of 500 has a standard error of one point, and two of them are allowed for.
    `tests/unit/ranking/test_coverage.py` has whole schedules, and more of them.
    """
    random = np.random.default_rng(epochs)
    runs, pairs = 500, 28
    probability = 1 - 0.05 / pairs / 2
    held = 0
    for table in random.normal(0, 1, (runs, epochs, 8)) * NOISE[noise]:
        found = block_differences(differences_of(table)).values()
        held += all(
            abs(one.mean)
            <= t_quantile(probability, one.freedom) * math.sqrt(one.variance / one.epochs)
            for one in found
        )
    assert held / runs >= 0.92


def test_without_the_models_own_variance_a_noisy_one_is_too_sure() -> None:
    """The rule that no pair has less than its own two models' variance, removed."""
    random = np.random.default_rng(0)
    probability = 1 - 0.05 / 28 / 2
    held = 0
    for table in random.normal(0, 1, (500, 6, 8)) * NOISE["one is five times as noisy"]:
        pooled = 2 * (two_way_residuals(table) ** 2).sum() / (5 * 7)
        margin = t_quantile(probability, 35) * math.sqrt(pooled / 6)
        held += all(abs(np.mean(x)) <= margin for x in differences_of(table).values())
    assert held / 500 < 0.88
