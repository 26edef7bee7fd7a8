import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.theory.statistics import SignedQuantiles
from compaudit.theory.statistics.quantiles import EXACT_UP_TO, RELATIVE_ERROR

SHARES = (0.0, 0.01, 0.05, 0.5, 0.95, 0.99, 1.0)

Floats = NDArray[np.float64]


def merged(parts: list[Floats]) -> SignedQuantiles:
    seen = (SignedQuantiles.of(part) for part in parts)
    return functools.reduce(SignedQuantiles.merge, seen, SignedQuantiles())


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0, 1))
def test_few_values_have_numpys_quantiles(values: list[float], share: float) -> None:
    scale = max(map(abs, values))
    ours = SignedQuantiles.of(values)
    assert ours.at(share) == pytest.approx(np.quantile(values, share), abs=1e-12 * scale)
    assert (ours.minimum, ours.maximum, ours.count) == (min(values), max(values), len(values))


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: random.normal(0, 0.01, 60_000),
        lambda random: random.laplace(-0.001, 0.02, 60_000),
        lambda random: -random.lognormal(-8, 3, 60_000),
        lambda random: random.lognormal(-8, 3, 60_000),
        lambda random: random.integers(-2, 3, 60_000).astype(float),
        lambda random: random.normal(0, 1, 60_000) * (random.random(60_000) < 0.1),
        lambda random: np.zeros(60_000),
    ],
    ids=["normal", "laplace", "negative", "positive", "a few values", "mostly zero", "zeros"],
)
def test_many_values_have_them_within_the_stated_error(
    draw: Callable[[np.random.Generator], Floats],
) -> None:
    values = draw(np.random.default_rng(1))
    ours, ordered = SignedQuantiles.of(values), np.sort(values)
    for share in SHARES:
        rank = share * (len(values) - 1)
        low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
        slack = RELATIVE_ERROR * 1.000001 * max(abs(low), abs(high))
        assert low - slack <= ours.at(share) <= high + slack
    assert ours.at(0) == ours.minimum == values.min()
    assert ours.at(1) == ours.maximum == values.max()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(0, 8_000), min_size=1, max_size=8))
def test_parts_in_any_order_and_grouping_give_the_whole(seed: int, sizes: list[int]) -> None:
    random = np.random.default_rng(seed)
    parts = [random.normal(0, 1, size) ** 3 for size in sizes]
    values = np.concatenate(parts)
    if not len(values):
        return
    half = len(parts) // 2
    whole = [SignedQuantiles.of(values).at(share) for share in SHARES]
    for seen in (
        merged(parts),
        merged(parts[::-1]),
        merged(parts[:half]).merge(merged(parts[half:])),
    ):
        assert [seen.at(share) for share in SHARES] == whole


def test_the_change_from_exact_to_counted_keeps_ranks() -> None:
    """Both signs beyond what is kept exactly: −n … −1 and 1 … n."""
    n = EXACT_UP_TO + 5_000
    seen = SignedQuantiles.of(np.r_[np.arange(-n, 0), np.arange(1, n + 1)].astype(float))
    for rank in (0, 1, n // 2, n - 1, n, n + 1, 3 * n // 2, 2 * n - 1):
        exact = rank - n if rank < n else rank - n + 1
        assert seen.at(rank / (2 * n - 1)) == pytest.approx(exact, rel=2 * RELATIVE_ERROR)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_has_no_place_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        SignedQuantiles.of([1.0, value])


def test_no_values_have_no_quantiles() -> None:
    with pytest.raises(ValueError, match="no quantile"):
        SignedQuantiles().at(0.5)
    with pytest.raises(ValueError, match="no quantile"):
        SignedQuantiles.of([1.0]).at(1.5)
