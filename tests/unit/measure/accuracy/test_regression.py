from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn import metrics

from compaudit.errors import RequestError
from compaudit.measure.accuracy import RegressionMeter
from compaudit.measure.divergence import DivergenceMeter
from compaudit.results import Accuracy


def measured(
    original: NDArray[Any] | dict[str, NDArray[Any]],
    compressed: NDArray[Any] | dict[str, NDArray[Any]],
    labels: NDArray[Any],
    *,
    size: int = 10**9,
    output: str | None = None,
) -> tuple[Accuracy, dict[str, str]]:
    a = original if isinstance(original, dict) else {"y": original}
    b = compressed if isinstance(compressed, dict) else {"y": compressed}
    outputs = DivergenceMeter({}, named=True, classes=False, output=output)
    meter = RegressionMeter(outputs)
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        batch = (
            labels[part],
            {name: values[part] for name, values in a.items()},
            {name: values[part] for name, values in b.items()},
        )
        outputs.update(*batch)
        meter.update(*batch)
    result, skipped = meter.result(0.95)
    return result, {entry.metric: entry.reason for entry in skipped}


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
    with pytest.raises(RequestError, match="2 numbers a sample and the output 'y' has 3") as caught:
        measured(a, b, np.zeros((40, 2)))
    assert caught.value.code == "labels-do-not-fit"
    assert caught.value.hint


def test_several_outputs() -> None:
    a, b, labels = given(40)
    pair = {"x": a, "z": a * 0}, {"x": b, "z": b * 0}
    with pytest.raises(RequestError, match="2 outputs") as caught:
        measured(*pair, labels)
    assert "'x', 'z'" in caught.value.hint
    assert measured(*pair, labels, output="x")[0] == measured(a, b, labels)[0]


def test_an_output_that_is_not_there() -> None:
    a, b, labels = given(40)
    with pytest.raises(RequestError, match="no output 'w'"):
        measured(a, b, labels, output="w")
