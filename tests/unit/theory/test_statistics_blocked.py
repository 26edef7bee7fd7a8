import functools
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compaudit.theory.statistics import (
    BlockedMean,
    Interval,
    Moments,
    blocked_paired_difference,
    blocked_proportion,
    newcombe_paired_difference,
    wilson_interval,
)

numbers = st.floats(min_value=-1e3, max_value=1e3, allow_subnormal=False)
# Each inner list is a block; each list of those is what one call is given.
parts = st.lists(
    st.lists(st.lists(numbers, min_size=1, max_size=6), max_size=4), min_size=1, max_size=6
)


def of_blocks(blocks: list[list[float]]) -> BlockedMean:
    owners = [place for place, block in enumerate(blocks) for _ in block]
    return BlockedMean.of([value for block in blocks for value in block], np.array(owners, int))


def correlated(
    random: np.random.Generator, sequences: int, spread: float = 1.0
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tokens of sequences of many lengths: each sequence has a level, tokens scatter around it."""
    sizes = random.integers(8, 40, sequences)
    owners = np.repeat(np.arange(sequences), sizes)
    levels = random.normal(0, spread, sequences)
    return 2.0 + levels[owners] + random.normal(0, 1, len(owners)), owners


def assert_same(left: BlockedMean, right: BlockedMean, values: list[float]) -> None:
    scale = 1 + max(map(abs, values), default=0.0)
    assert (left.count, left.blocks, left.size_squares) == (
        right.count,
        right.blocks,
        right.size_squares,
    )
    assert left.mean == pytest.approx(right.mean, rel=1e-9, abs=1e-13 * scale)
    size = 1 + len(values) ** 2
    assert left.squares == pytest.approx(right.squares, rel=1e-9, abs=1e-12 * scale**2 * size)
    assert left.products == pytest.approx(right.products, rel=1e-9, abs=1e-12 * scale * size)


def test_hand_calculation() -> None:
    # Blocks (1, 2, 3) and (4, 5): R = 15/5 = 3, residuals 6 − 9 = −3 and 9 − 6 = 3,
    # var(R) = 2/1 · (9 + 9)/5² = 1.44, t₀.₉₇₅ with one degree of freedom = 12.706205
    mean = BlockedMean.of([1, 2, 3, 4, 5], [7, 7, 7, 1, 1])
    assert mean == BlockedMean(5, 2, 3.0, squares=18.0, products=-9.0 + 6.0, size_squares=13)
    assert mean.variance is not None
    assert mean.variance / 2 == pytest.approx(1.44, rel=1e-14)
    interval = mean.interval(0.95)
    assert interval.low == pytest.approx(3 - 12.706205 * 1.2, abs=1e-5)
    assert interval.high == pytest.approx(3 + 12.706205 * 1.2, abs=1e-5)


def test_merge_by_hand() -> None:
    # (1, 2, 3) and (4, 5) one by one: means 2 and 4.5, each without a residual of its own
    first, second = BlockedMean.of([1, 2, 3], [0, 0, 0]), BlockedMean.of([4, 5], [0, 0])
    assert first == BlockedMean(3, 1, 2.0, size_squares=9)
    assert first.merge(second) == BlockedMean(5, 2, 3.0, 18.0, -3.0, 13)


@pytest.mark.parametrize("seed", range(5))
def test_interval_against_statsmodels(seed: int) -> None:
    """A regression on a constant, with errors clustered by sequence and t on sequences − 1."""
    values, owners = correlated(np.random.default_rng(seed), 25)
    fit = sm.OLS(values, np.ones(len(values))).fit(
        cov_type="cluster", cov_kwds={"groups": owners}, use_t=True
    )
    mean = BlockedMean.of(values, owners)
    interval = mean.interval(0.95)
    assert interval.value == pytest.approx(fit.params[0], rel=1e-12)
    assert [interval.low, interval.high] == pytest.approx(fit.conf_int(0.05)[0], rel=1e-9)
    shifted = BlockedMean.of(values - 1.8, owners)
    t_test = fit.t_test("const = 1.8")
    assert shifted.p_value() == pytest.approx(float(t_test.pvalue), rel=1e-7)


@settings(deadline=None)
@given(st.lists(numbers, min_size=2, max_size=40), st.sampled_from([0.9, 0.95, 0.99]))
def test_one_value_a_block_is_the_ordinary_mean(values: list[float], confidence: float) -> None:
    blocked = BlockedMean.of(values, np.arange(len(values))).interval(confidence)
    plain = Moments.of(values).interval(confidence)
    scale = max(map(abs, values))
    for ours, expected in zip(
        (blocked.value, blocked.low, blocked.high),
        (plain.value, plain.low, plain.high),
        strict=True,
    ):
        assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


@settings(deadline=None)
@given(parts, st.randoms(use_true_random=False))
def test_any_split_in_any_order(split: list[list[list[float]]], random: Any) -> None:
    blocks = [block for part in split for block in part]
    values = [value for block in blocks for value in block]
    whole = of_blocks(blocks)
    shuffled = list(split)
    random.shuffle(shuffled)
    for order in (split, shuffled):
        merged = functools.reduce(BlockedMean.merge, map(of_blocks, order), BlockedMean())
        assert_same(merged, whole, values)
    a, b = (
        of_blocks(split[0]),
        functools.reduce(BlockedMean.merge, map(of_blocks, split[1:]), BlockedMean()),
    )
    assert a.merge(b) == b.merge(a)
    assert a.merge(BlockedMean()) == a == BlockedMean().merge(a)


@settings(deadline=None)
@given(parts)
def test_against_the_formula_written_out(split: list[list[list[float]]]) -> None:
    blocks = [block for part in split for block in part]
    if len(blocks) < 2:
        return
    merged = functools.reduce(BlockedMean.merge, map(of_blocks, split), BlockedMean())
    total, count = math.fsum(v for block in blocks for v in block), sum(map(len, blocks))
    residuals = [math.fsum(block) - total / count * len(block) for block in blocks]
    n = len(blocks)
    expected = n / (n - 1) * math.fsum(e * e for e in residuals) / count**2
    assert merged.variance is not None
    assert merged.variance / n == pytest.approx(expected, rel=1e-8, abs=1e-9)


def test_order_within_a_call_does_not_matter() -> None:
    values, owners = correlated(np.random.default_rng(3), 12)
    order = np.random.default_rng(4).permutation(len(values))
    mixed = BlockedMean.of(values[order], owners[order])
    assert_same(mixed, BlockedMean.of(values, owners), list(values))


def test_a_large_offset_keeps_the_variance() -> None:
    values, owners = correlated(np.random.default_rng(5), 40)
    values = np.round(values * 1024) / 1024  # so that the offset takes no digits
    plain = BlockedMean.of(values, owners)
    whole = BlockedMean.of(values + 1e9, owners)
    edges = np.flatnonzero(np.diff(owners, prepend=-1, append=40))
    pieces = [BlockedMean.of(values[a:b] + 1e9, owners[a:b]) for a, b in pairwise(edges)]
    merged = functools.reduce(BlockedMean.merge, pieces)
    assert plain.variance is not None
    assert whole.variance == pytest.approx(plain.variance, rel=1e-6)
    assert merged.variance == pytest.approx(plain.variance, rel=1e-4)


def test_equal_values_have_no_spread() -> None:
    """Whatever their mean is rounded to: an interval that is a point must stay one."""
    rounded = 0
    for count in range(2, 200):
        values = np.full(count, 0.1)
        rounded += np.mean(values) != 0.1
        assert BlockedMean.of(values, np.arange(count) // 3).squares < 1e-40
    assert rounded


def test_coverage_where_tokens_resemble_one_another() -> None:
    """300 data sets of 30 sequences: the blocks hold what they promise, tokens do not."""
    random = np.random.default_rng(20260101)
    covered = naive = 0
    runs = 300
    for _ in range(runs):
        values, owners = correlated(random, 30)
        blocked = BlockedMean.of(values, owners).interval(0.95)
        tokens = Moments.of(values).interval(0.95)
        assert blocked.low is not None
        assert blocked.high is not None
        assert tokens.low is not None
        assert tokens.high is not None
        covered += blocked.low <= 2.0 <= blocked.high
        naive += tokens.low <= 2.0 <= tokens.high
    assert covered / runs >= 0.92
    assert naive / runs < 0.8


def test_infinite_and_nan_stay_visible() -> None:
    infinite = BlockedMean.of([1.0, math.inf, 2.0], [0, 0, 1])
    assert infinite.mean == math.inf
    assert infinite.interval() == Interval(math.inf, None, None)
    merged = BlockedMean.of([1.0, 2.0], [5, 6]).merge(infinite)
    assert merged.count == 5
    assert merged.mean == math.inf
    assert merged.interval() == Interval(math.inf, None, None)
    assert merged.p_value() is None
    assert math.isnan(BlockedMean.of([math.nan, 1.0], [0, 1]).merge(merged).mean)
    variance = BlockedMean.of([math.nan, 1.0], [0, 1]).variance
    assert variance is not None
    assert math.isnan(variance)


def test_one_block_has_a_mean_and_no_interval() -> None:
    one = BlockedMean.of([1.0, 2.0, 6.0], [4, 4, 4])
    assert one.variance is None
    assert one.interval() == Interval(3.0, None, None)
    assert one.p_value() is None


def test_no_values_are_no_evidence() -> None:
    empty = BlockedMean.of([], np.empty(0, int))
    assert empty == BlockedMean()
    with pytest.raises(ValueError, match="no values"):
        empty.interval()
    with pytest.raises(ValueError, match="no values"):
        empty.p_value()


@pytest.mark.parametrize(
    ("values", "blocks"),
    [([1.0, 2.0], [0]), ([[1.0, 2.0]], [[0, 0]]), ([1.0, 2.0], [0.0, 1.0])],
    ids=["too few", "a table", "fractions"],
)
def test_what_does_not_fit_is_refused(values: Any, blocks: Any) -> None:
    with pytest.raises(ValueError, match="block"):
        BlockedMean.of(values, blocks)


# ------------------------------------------------------------------------------------ proportions


def test_a_proportion_is_never_surer_than_independent_values_would_make_it() -> None:
    # 40 sequences of 25 tokens, each with 20 hits: the blocks do not differ at all
    hits = np.tile([1.0] * 20 + [0.0] * 5, 40)
    owners = np.repeat(np.arange(40), 25)
    mean = BlockedMean.of(hits, owners)
    assert mean.interval() == Interval(0.8, 0.8, 0.8)
    assert blocked_proportion(mean) == wilson_interval(800, 1000)
    all_hit = BlockedMean.of(np.ones(1000), owners)
    assert blocked_proportion(all_hit) == wilson_interval(1000, 1000)


def test_a_proportion_of_blocks_that_differ_has_their_interval() -> None:
    # whole sequences are right or wrong: 40 of 100 sequences, not 1,000 of 2,500 tokens
    owners = np.repeat(np.arange(100), 25)
    mean = BlockedMean.of(owners % 5 < 2, owners)
    share = blocked_proportion(mean)
    # var = 100/99 · 0.4·0.6/100, and t₀.₉₇₅ with 99 degrees of freedom = 1.984217
    margin = 1.984217 * math.sqrt(0.4 * 0.6 / 99)
    assert share.value == pytest.approx(0.4, rel=1e-12)
    assert share.low == pytest.approx(0.4 - margin, abs=1e-6)
    assert share.high == pytest.approx(0.4 + margin, abs=1e-6)


def test_a_proportion_stays_within_its_range_and_needs_two_blocks() -> None:
    owners = np.repeat(np.arange(3), 100)
    share = blocked_proportion(BlockedMean.of(owners == 0, owners))
    assert share.low == 0.0
    assert share.high == 1.0
    one = BlockedMean.of(np.ones(5), np.zeros(5, int))
    assert blocked_proportion(one) == Interval(1.0, None, None)
    with pytest.raises(ValueError, match="flags"):
        blocked_proportion(BlockedMean.of([0.3, 0.4], [0, 1]))


def test_paired_difference_without_discordant_pairs_is_newcombes() -> None:
    difference = BlockedMean.of(np.zeros(300), np.repeat(np.arange(6), 50))
    assert blocked_paired_difference(200, 0, 0, 100, difference) == newcombe_paired_difference(
        200, 0, 0, 100
    )


def test_paired_difference_of_blocks_that_differ() -> None:
    # 5 of 20 sequences of 30 tokens broke as a whole: the difference is −1 there, 0 elsewhere
    owners = np.repeat(np.arange(20), 30)
    difference = BlockedMean.of(np.where(owners < 5, -1.0, 0.0), owners)
    result = blocked_paired_difference(300, 150, 0, 150, difference)
    margin = 2.093024 * math.sqrt(0.25 * 0.75 / 19)
    assert result.value == -0.25
    assert result.low == pytest.approx(-0.25 - margin, abs=1e-6)
    # above, Newcombe's for independent tokens is the narrower one, and gives way too
    assert result.high == pytest.approx(-0.25 + margin, abs=1e-6)
    one = BlockedMean.of([-1.0, 0.0], [0, 0])
    assert blocked_paired_difference(1, 1, 0, 0, one) == Interval(-0.5, None, None)
