import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from compaudit.measure.accuracy.paired import Better, PairedHits, PairedScores, jackknifed


def hits_of(both: int, broken: int, fixed: int, neither: int) -> PairedHits:
    counts = (both, broken, fixed, neither)
    hits = PairedHits()
    hits.update(
        np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)
    )
    return hits


def test_published_example() -> None:
    # Cavo et al. 2012 in Fagerland, Lydersen, Laake 2017, chapter 8: first right and second wrong
    # 6 times, the reverse 16 times; their second minus first is 0.0621 (0.0046 to 0.1186).
    result = hits_of(59, 6, 16, 80).result(0.95)
    assert result is not None
    assert result.delta.value == pytest.approx(10 / 161)
    assert result.delta.low == pytest.approx(0.0046, abs=5e-5)
    assert result.delta.high == pytest.approx(0.1186, abs=5e-5)
    assert result.delta.p_value == pytest.approx(stats.binomtest(6, 22).pvalue)
    for got, right in ((result.original, 65), (result.compressed, 75)):
        wilson = stats.binomtest(right, 161).proportion_ci(0.95, method="wilson")
        assert (got.value, got.low, got.high) == pytest.approx(
            (right / 161, wilson.low, wilson.high)
        )


def test_hits_of_batches_add_up() -> None:
    random = np.random.default_rng(0)
    a, b = random.random((2, 500)) < 0.7
    whole, parts = PairedHits(), PairedHits()
    whole.update(a, b)
    for start in range(0, 500, 33):
        parts.update(a[start : start + 33], b[start : start + 33])
    assert parts.result(0.9) == whole.result(0.9)
    assert whole.broken == sum(x and not y for x, y in zip(a, b, strict=True))


def test_scores_against_the_paired_t_test() -> None:
    random = np.random.default_rng(0)
    a = random.normal(5, 1, 60)
    b = a + random.normal(0.1, 0.3, 60)
    scores = PairedScores()
    for start in range(0, 60, 7):
        scores.update(a[start : start + 7], b[start : start + 7])
    result = scores.result(0.9)
    assert result is not None
    test = stats.ttest_rel(b, a)
    interval = test.confidence_interval(0.9)
    assert result.delta.value == pytest.approx((b - a).mean())
    assert (result.delta.low, result.delta.high) == pytest.approx((interval.low, interval.high))
    assert result.delta.p_value == pytest.approx(test.pvalue)
    assert result.original.value == pytest.approx(a.mean())
    assert result.compressed.value == pytest.approx(b.mean())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_numbers_have_no_mean(bad: float) -> None:
    for a, b in (([1.0, bad], [1.0, 1.0]), ([1.0, 1.0], [1.0, bad]), ([1.0, bad], [1.0, bad])):
        scores = PairedScores()
        with np.errstate(invalid="ignore"):
            scores.update(np.array(a), np.array(b))
        assert scores.result(0.95) is None


def test_no_scores_at_all() -> None:
    assert PairedScores().result(0.95) is None


@pytest.mark.parametrize(("better", "worst"), [("lower", 0.95), ("higher", 0.05)])
def test_the_worst_case_is_a_one_sided_limit_of_the_t_test(better: Better, worst: float) -> None:
    random = np.random.default_rng(0)
    a = random.normal(5, 1, 60)
    b = a + random.normal(0.1, 0.3, 60)
    scores = PairedScores(better)
    scores.update(a, b)
    result = scores.result(0.95)
    assert result is not None
    difference = b - a
    limit = stats.t.ppf(worst, 59, loc=difference.mean(), scale=stats.sem(difference))
    assert result.delta.worst_case == pytest.approx(limit)


def test_the_worst_case_of_hits_is_a_lower_bound() -> None:
    result = hits_of(80_000, 3_000, 1_000, 16_000).result(0.95)
    assert result is not None
    delta = result.delta
    # Many flips: the normal distribution will do.
    error = np.sqrt(0.04 - 0.02**2) / np.sqrt(100_000)
    assert delta.worst_case == pytest.approx(-0.02 - 1.645 * error, abs=1e-5)
    assert delta.low is not None
    assert delta.worst_case is not None
    assert delta.low < delta.worst_case < delta.value


def test_one_sample_has_no_spread() -> None:
    scores = PairedScores()
    scores.update(np.array([1.0]), np.array([2.0]))
    result = scores.result(0.95)
    assert result is not None
    assert (result.delta.value, result.delta.low, result.delta.worst_case) == (1.0, None, None)
    hits = hits_of(0, 1, 0, 0).result(0.95)
    assert hits is not None
    assert (hits.delta.value, hits.delta.worst_case) == (-1.0, -1.0)


def test_no_hits_at_all() -> None:
    assert PairedHits().result(0.95) is None
    assert PairedHits().equivalence("top1", 0.005, 0.95) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(-10, 10), st.floats(-10, 10))))
def test_any_split_merges_into_the_whole(rows: list[tuple[bool, bool, float, float]]) -> None:
    columns = [np.array([row[place] for row in rows]) for place in range(4)]
    hits, scores = PairedHits(), PairedScores()
    hits.update(columns[0].astype(bool), columns[1].astype(bool))
    scores.update(columns[2], columns[3])
    merged_hits, merged_scores = PairedHits(), PairedScores()
    for place in reversed(range(len(rows))):
        one, other = PairedHits(), PairedScores()
        one.update(*(column[place : place + 1].astype(bool) for column in columns[:2]))
        other.update(*(column[place : place + 1] for column in columns[2:]))
        merged_hits.merge(pickle.loads(pickle.dumps(one)))
        merged_scores.merge(pickle.loads(pickle.dumps(other)))
    assert merged_hits.result(0.95) == hits.result(0.95)
    whole, parts = scores.result(0.95), merged_scores.result(0.95)
    assert (whole is None) == (parts is None)
    if whole and parts:
        assert parts.delta.value == pytest.approx(whole.delta.value, abs=1e-9)
        assert parts.delta.low == pytest.approx(whole.delta.low, abs=1e-6)


# ---------------------------------------------------------------------------------- equivalence


@pytest.mark.parametrize(
    ("broken", "fixed", "samples", "status"),
    [
        (0, 0, 597, "undecided"),  # 0.995⁵⁹⁷ is 5.02 %
        (0, 0, 598, "no_worse"),  # 0.995⁵⁹⁸ is 4.99 %
        (1, 0, 899, "undecided"),
        (1, 1, 899, "no_worse"),
        (90, 10, 899, "worse"),
        (30, 20, 899, "undecided"),
    ],
)
def test_whether_it_is_no_worse(broken: int, fixed: int, samples: int, status: str) -> None:
    hits = hits_of(samples - broken - fixed, broken, fixed, 0)
    equivalence, result = hits.equivalence("top1", 0.005, 0.95), hits.result(0.95)
    assert equivalence is not None
    assert result is not None
    assert (equivalence.metric, equivalence.margin) == ("top1", 0.005)
    assert equivalence.status == status
    assert (equivalence.samples is None) == (status != "undecided")
    if equivalence.samples is not None:
        assert equivalence.samples > samples
    assert result.delta.worst_case is not None
    assert (result.delta.worst_case >= -0.005) == (status == "no_worse")


# ------------------------------------------------------------------------ figures that are no means


def test_what_has_no_interval_is_a_point() -> None:
    result = jackknifed((0.5, 0.25), None, np.ones(32, np.int64), 0.95, "higher")
    assert result.delta.value == -0.25
    delta = result.delta
    assert delta.low is delta.high is delta.p_value is delta.worst_case is None
    assert result.original.low is None


@pytest.mark.parametrize(("better", "sign"), [("lower", 1), ("higher", -1)])
def test_jackknifed_means_are_means(better: Better, sign: int) -> None:
    a, b = np.random.default_rng(0).normal(0, 1, (2, 32))
    without = tuple((values.sum() - values) / 31 for values in (a, b))
    result = jackknifed(
        (a.mean(), b.mean()), (without[0], without[1]), np.ones(32, np.int64), 0.95, better
    )
    test = stats.ttest_rel(b, a)
    interval = test.confidence_interval(0.95)
    assert (result.delta.low, result.delta.high) == pytest.approx((interval.low, interval.high))
    assert result.delta.p_value == pytest.approx(test.pvalue)
    limit = (b - a).mean() + sign * stats.t.ppf(0.95, 31) * stats.sem(b - a)
    assert result.delta.worst_case == pytest.approx(limit)
