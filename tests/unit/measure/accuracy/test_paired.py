import numpy as np
import pytest
from scipy import stats

from compaudit.measure.accuracy.paired import PairedHits, PairedScores, point_only


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


def test_a_point_has_no_interval() -> None:
    result = point_only(0.5, 0.25)
    assert result.delta.value == -0.25
    assert result.delta.low is result.delta.high is result.delta.p_value is None
