import pickle
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.accuracy import RegressionMeter, Subject
from compaudit.measure.accuracy.determination import Determination
from compaudit.measure.outputs import OutputPair
from compaudit.results import Accuracy
from compaudit.theory.statistics import group_of

SUBJECT = Subject(output=OutputPair("y", "z"))


def metered(
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any],
    indices: NDArray[np.int64],
) -> RegressionMeter:
    """A meter that has seen these samples in one batch."""
    meter = RegressionMeter(SUBJECT)
    outputs = {"y": original[indices]}, {"z": compressed[indices]}
    meter.update(Batch(indices, labels[indices], *outputs), None)
    return meter


def merged(meters: Iterable[RegressionMeter]) -> RegressionMeter:
    """All of them, each by way of another process."""
    whole = RegressionMeter(SUBJECT)
    for meter in meters:
        whole.merge(pickle.loads(pickle.dumps(meter)))
    return whole


def measured(
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any],
    *,
    size: int = 10**9,
) -> tuple[Accuracy, dict[str, str]]:
    parts = np.split(np.arange(len(labels)), range(size, len(labels), size))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = merged(metered(original, compressed, labels, part) for part in parts)
        result, skipped = whole.result()
    assert whole.result()[0] == result  # asking does not change the answer
    return result, {entry.metric: entry.reason for entry in skipped}


TOO_FEW = "its interval needs at least 64 samples, and there are 40"


def given(samples: int, *shape: int, seed: int = 0) -> tuple[NDArray[Any], ...]:
    random = np.random.default_rng(seed)
    spread = random.uniform(0.1, 10, shape)  # columns of very different variance
    labels = random.normal(100, 1, (samples, *shape)) * spread
    original = labels + random.normal(0, 0.5, labels.shape)
    return original, original + random.normal(0, 0.5, labels.shape), labels


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("columns", [(), (1,), (2,), (5,)])
def test_against_sklearn(columns: tuple[int, ...], size: int) -> None:
    a, b, labels = given(150, *columns)
    result, skipped = measured(a, b, labels, size=size)
    assert skipped == {}
    assert (result.task, result.samples) == ("regression", 150)
    for which, values in (("original", a), ("compressed", b)):
        for name, score in (
            ("mse", metrics.mean_squared_error),
            ("mae", metrics.mean_absolute_error),
            ("r2", metrics.r2_score),
        ):
            got = getattr(getattr(result, name), which).value
            assert got == pytest.approx(score(labels, values), rel=1e-8)
    assert result.r2 is not None
    difference = result.r2.compressed.value - result.r2.original.value
    assert result.r2.delta.value == pytest.approx(difference, rel=1e-9)
    assert result.top1 is None
    assert result.flips is None


def test_images_are_many_columns() -> None:
    a, b, labels = given(30, 2, 3)
    result, _ = measured(a, b, labels, size=4)
    assert result.r2 is not None
    assert result.r2.compressed.value == pytest.approx(
        metrics.r2_score(labels.reshape(30, 6), b.reshape(30, 6)), rel=1e-9
    )


def test_squared_errors_are_compared_in_pairs() -> None:
    a, b, labels = given(80, 3)
    errors = [((values - labels) ** 2).mean(axis=1) for values in (a, b)]
    result, _ = measured(a, b, labels)
    assert result.mse is not None
    test = stats.ttest_rel(errors[1], errors[0])
    interval = test.confidence_interval(0.95)
    delta = result.mse.delta
    assert delta.p_value == pytest.approx(test.pvalue, rel=1e-9)
    assert (delta.low, delta.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert delta.value > 0  # the compressed model is worse


def test_one_column_of_labels_and_flat_outputs_fit() -> None:
    a, b, labels = given(40)
    assert measured(a[:, None], b[:, None], labels)[0] == measured(a, b, labels)[0]


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_equal_labels_have_no_r2(value: float, size: int) -> None:
    a, b, labels = given(40)
    labels[:] = value  # their mean is not exactly this number
    result, skipped = measured(a, b, labels, size=size)
    assert result.r2 is None
    assert result.mse is not None
    assert skipped == {"accuracy.r2": "all labels are equal"}
    assert result.mse.delta.low is not None


def test_one_constant_column_leaves_no_r2() -> None:
    a, b, labels = given(40, 3)
    labels[:, 1] = 0.1
    result, skipped = measured(a, b, labels, size=9)
    assert result.r2 is None
    assert skipped == {"accuracy.r2": "all labels are equal in 1 of 3 columns"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_what_is_not_a_number_leaves_no_figure(which: int, bad: float) -> None:
    a, b, labels = given(40)
    (a, b)[which][5] = bad
    result, skipped = measured(a, b, labels, size=9)
    for name in ("mse", "mae", "r2"):
        assert getattr(result, name) is None
        assert skipped[f"accuracy.{name}"] == "an output is NaN or infinite"


def test_labels_of_another_size() -> None:
    a, b, _ = given(40, 3)
    with pytest.raises(
        RequestError, match="2 numbers a sample, and the output 'y' has 3"
    ) as caught:
        measured(a, b, np.zeros((40, 2)))
    assert caught.value.code == "labels-do-not-fit"
    assert "one number for each element" in caught.value.hint


@pytest.mark.parametrize(("label", "advice"), [(2.0, "--task classification"), (2.5, "one number")])
def test_classes_that_were_saved_as_floats(label: float, advice: str) -> None:
    a, b, _ = given(40, 3)
    with pytest.raises(RequestError, match="1 number a sample, and") as caught:
        measured(a, b, np.full(40, label))
    assert advice in caught.value.hint


# -------------------------------------------------------------------------- the interval of r²


def test_the_interval_of_r2_by_leaving_groups_out() -> None:
    a, b, labels = given(400, 3)
    groups, sizes = group_of(np.arange(400)), np.bincount(group_of(np.arange(400)), minlength=32)
    whole = metrics.r2_score(labels, b) - metrics.r2_score(labels, a)
    without = np.array(
        [
            metrics.r2_score(labels[groups != g], b[groups != g])
            - metrics.r2_score(labels[groups != g], a[groups != g])
            for g in range(32)
        ]
    )
    # Busing, Meijer, van der Leeden 1999.
    h = 400 / sizes
    estimate = 32 * whole - np.sum((1 - sizes / 400) * without)
    pseudovalues = h * whole - (h - 1) * without
    error = np.sqrt(np.mean((pseudovalues - estimate) ** 2 / (h - 1)))
    result, _ = measured(a, b, labels, size=17)
    assert result.r2 is not None
    delta = result.r2.delta
    expected = stats.t.interval(0.95, 31, loc=whole, scale=error)
    assert (delta.low, delta.high) == pytest.approx(expected, rel=1e-6)
    assert delta.worst_case == pytest.approx(whole + stats.t.ppf(0.05, 31) * error, rel=1e-6)
    assert delta.p_value == pytest.approx(2 * stats.t.sf(abs(whole) / error, 31), rel=1e-6)


def test_the_interval_of_r2_holds_the_truth() -> None:
    # Labels of variance 1, errors of variance 0.25 and 0.34: r² falls from 0.75 to 0.66.
    random, covered, bounded = np.random.default_rng(0), 0, 0
    for _ in range(600):
        labels = random.normal(0, 1, (200, 1))
        error = random.normal(0, 0.5, (200, 1))
        worse = error + random.normal(0, 0.3, (200, 1))
        r2 = Determination()
        r2.update(np.arange(200), labels, error**2, worse**2)
        delta = r2.result(0.95).delta
        assert delta.low is not None
        assert delta.high is not None
        assert delta.worst_case is not None
        covered += delta.low <= -0.09 <= delta.high
        bounded += delta.worst_case <= -0.09
    assert 0.90 <= covered / 600 <= 0.98
    assert 0.90 <= bounded / 600 <= 0.98


@hypothesis_given(
    st.lists(st.integers(0, 4), min_size=100, max_size=100), st.permutations(range(5))
)
@settings(max_examples=20, deadline=None)
def test_any_split_merges_into_the_whole(owners: list[int], order: list[int]) -> None:
    a, b, labels = given(100, 2)
    parts = [np.flatnonzero(np.array(owners) == owner) for owner in order]
    result, skipped = merged(metered(a, b, labels, mine) for mine in parts).result()
    whole, _ = measured(a, b, labels)
    assert skipped == []
    for name in ("mse", "mae", "r2"):
        ours, theirs = getattr(result, name).delta, getattr(whole, name).delta
        for field in ("value", "low", "high", "p_value", "worst_case"):
            assert getattr(ours, field) == pytest.approx(getattr(theirs, field), rel=1e-6)


def test_too_few_samples_for_the_interval() -> None:
    result, skipped = measured(*given(40))
    assert result.r2 is not None
    assert result.r2.delta.low is result.r2.delta.worst_case is None
    assert skipped == {"accuracy.r2.delta": TOO_FEW}


def test_labels_that_differ_in_one_sample_only() -> None:
    a, b, labels = given(100)
    labels[:] = 0.1
    labels[7] = 3
    result, skipped = measured(a, b, labels, size=9)
    assert result.r2 is not None
    assert result.r2.original.value == pytest.approx(metrics.r2_score(labels, a))
    assert skipped == {"accuracy.r2.delta": "the labels of too few samples differ"}


def test_many_numbers_a_sample() -> None:
    a, b, labels = (values.astype(np.float32) for values in given(70, 16385))
    result, skipped = measured(a, b, labels, size=32)
    assert result.r2 is not None
    assert result.r2.compressed.value == pytest.approx(
        metrics.r2_score(labels.astype(np.float64), b.astype(np.float64)), rel=1e-6
    )
    assert skipped == {"accuracy.r2.delta": "a sample has more than 16384 numbers"}
    fewer, skipped = measured(a[:, :-1], b[:, :-1], labels[:, :-1], size=32)
    assert skipped == {}
    assert fewer.r2 is not None


# -------------------------------------------------------------------------------- few samples


def test_no_samples_at_all() -> None:
    result, skipped = RegressionMeter(SUBJECT).result()
    assert (result.samples, result.mse, result.mae, result.r2) == (0, None, None, None)
    assert {entry.reason for entry in skipped} == {"no sample could be measured"}
    empty = np.zeros((0, 3))
    assert measured(empty, empty, empty)[0] == result


def test_one_sample() -> None:
    result, skipped = measured(np.array([2.0]), np.array([4.0]), np.array([1.0]))
    assert result.mse is not None
    assert (result.mse.original.value, result.mse.compressed.value) == (1, 9)
    assert result.mse.delta.low is result.mse.delta.worst_case is None
    assert skipped == {
        "accuracy.r2": "all labels are equal",
        "accuracy.mse.delta": "one sample does not show how much samples differ",
        "accuracy.mae.delta": "one sample does not show how much samples differ",
    }


def test_models_of_bfloat16() -> None:
    import ml_dtypes

    a = np.array([[1.0], [2.0]], dtype=ml_dtypes.bfloat16)
    result, _ = measured(a, a, np.array([1, 3]))
    assert result.mse is not None
    assert result.mse.original.value == 0.5
