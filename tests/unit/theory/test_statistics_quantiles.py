import functools
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.theory.statistics import Quantiles
from compaudit.theory.statistics.quantiles import EXACT_UP_TO, RELATIVE_ERROR

SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)


def merged(parts: list[NDArray[np.float64]]) -> Quantiles:
    return functools.reduce(Quantiles.merge, (Quantiles.of(part) for part in parts), Quantiles())


def answers(quantiles: Quantiles) -> list[float]:
    return [quantiles.at(share) for share in SHARES]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_few_values_have_numpys_quantiles(values: list[float], share: float) -> None:
    assert Quantiles.of(values).at(share) == np.quantile(values, share)


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.lognormal(-8, 3, 50_000),
        lambda random: random.exponential(1e-9, 50_000),
        lambda random: random.pareto(1.1, 50_000),
        lambda random: random.integers(0, 4, 50_000).astype(float),
        lambda random: np.full(50_000, 0.3),
        lambda random: np.zeros(50_000),
    ],
    ids=["lognormal", "exponential", "heavy-tailed", "a few values", "one value", "zeros"],
)
def test_many_values_have_them_within_the_stated_error(
    draw: Callable[[np.random.Generator], NDArray[np.float64]],
) -> None:
    values = draw(np.random.default_rng(1))
    quantiles = Quantiles.of(values)
    for share in SHARES:
        exact = float(np.quantile(values, share))
        assert quantiles.at(share) == pytest.approx(exact, rel=RELATIVE_ERROR * 1.000001, abs=0)
    assert quantiles.at(1) == quantiles.maximum == values.max()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 6_000), min_size=1, max_size=8))
def test_parts_in_any_order_and_grouping_give_the_whole(seed: int, sizes: list[int]) -> None:
    random = np.random.default_rng(seed)
    parts = [random.lognormal(-5, 3, size) * (random.random(size) > 0.1) for size in sizes]
    values = np.concatenate(parts)
    if not len(values):
        return
    whole = answers(Quantiles.of(values))
    assert answers(merged(parts)) == whole
    assert answers(merged(parts[::-1])) == whole
    half = len(parts) // 2
    assert answers(merged(parts[:half]).merge(merged(parts[half:]))) == whole


def test_memory_does_not_grow_with_the_values() -> None:
    random = np.random.default_rng(0)
    quantiles = merged([random.lognormal(-5, 3, 100_000) for _ in range(20)])
    assert quantiles.count == 2_000_000
    held = sum(sys.getsizeof(part) for part in (quantiles._buckets, quantiles._counts))
    assert held < 100_000
    assert quantiles._values.size == 0


def test_tiny_values_count_as_zero_and_the_largest_are_held() -> None:
    values = np.r_[np.full(EXACT_UP_TO, 5e-324), np.full(EXACT_UP_TO, sys.float_info.max)]
    quantiles = Quantiles.of(values)
    assert quantiles.at(0.25) == 0.0
    assert quantiles.at(0.75) == pytest.approx(sys.float_info.max, rel=RELATIVE_ERROR)


@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf")])
def test_what_has_no_place_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Quantiles.of([1.0, value])


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_lie_between_none_and_all(share: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        Quantiles.of([1.0]).at(share)
    with pytest.raises(ValueError, match="no quantile"):
        Quantiles().at(0.5)


@pytest.mark.parametrize("count", [1, 8, 899, EXACT_UP_TO, 50_000])
def test_a_histogram_counts_every_value_in_its_own_bin(count: int) -> None:
    values = np.random.default_rng(3).lognormal(-8, 3, count)
    edges, counts, zeros = Quantiles.of(values).histogram()
    assert zeros == 0
    assert sum(counts) == count
    # NumPy's bins hold their lower bounds, ours their upper ones: no value lies on one.
    np.testing.assert_array_equal(np.histogram(values, edges)[0], counts)
    widths = np.diff(np.log(edges))
    np.testing.assert_allclose(widths, widths[0], rtol=1e-9)
    assert len(counts) <= min(int(np.ceil(2 * count ** (1 / 3))), 48)
    assert counts[0] > 0
    assert counts[-1] > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 6_000), min_size=1, max_size=8))
def test_a_histogram_does_not_depend_on_the_parts(seed: int, sizes: list[int]) -> None:
    random = np.random.default_rng(seed)
    parts = [random.lognormal(-5, 3, size) * (random.random(size) > 0.1) for size in sizes]
    whole = Quantiles.of(np.concatenate(parts)).histogram()
    assert merged(parts).histogram() == merged(parts[::-1]).histogram() == whole


def test_a_histogram_of_zeros_has_no_bins() -> None:
    assert Quantiles.of([0.0, 0.0, 5e-324]).histogram() == ([], [], 3)
    assert Quantiles().histogram() == ([], [], 0)
    edges, counts, zeros = Quantiles.of([0.0, sys.float_info.max, 1e-300]).histogram()
    assert (sum(counts), zeros) == (2, 1)
    assert np.isfinite(edges).all()
