import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats
from sklearn import metrics

from compaudit.errors import RequestError
from compaudit.measure.accuracy import ClassificationMeter
from compaudit.measure.divergence import DivergenceMeter
from compaudit.results import Accuracy


def measured(
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any],
    *,
    size: int = 10**9,
) -> tuple[Accuracy, dict[str, str]]:
    outputs = DivergenceMeter({}, named=True, classes=True, output=None)
    meter = ClassificationMeter(outputs)
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        batch = labels[part], {"y": original[part]}, {"y": compressed[part]}
        outputs.update(*batch)
        meter.update(*batch)
    result, skipped = meter.result(0.95)
    assert meter.result(0.95)[0] == result  # asking does not change the answer
    return result, {entry.metric: entry.reason for entry in skipped}


def given(samples: int, classes: int, seed: int = 0) -> tuple[NDArray[Any], ...]:
    """Logits of two models that are right about half of the time, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, samples)
    original = random.normal(0, 1, (samples, classes)) + 2 * np.eye(classes)[labels]
    compressed = original + random.normal(0, 0.7, original.shape)
    return original.astype(np.float32), compressed.astype(np.float32), labels


def calibration_error(probabilities: NDArray[Any], labels: NDArray[Any], bins: int = 15) -> float:
    """Guo et al. 2017, section 2 and equation 3, as they write it: bin by bin, sample by sample."""
    total = 0.0
    for m in range(1, bins + 1):
        confidences, hits = [], []
        for row, label in zip(probabilities, labels, strict=True):
            confidence = max(row)
            if (m - 1) / bins < confidence <= m / bins:
                confidences.append(confidence)
                hits.append(float(list(row).index(confidence) == label))
        if confidences:
            accuracy, confidence = sum(hits) / len(hits), sum(confidences) / len(confidences)
            total += len(hits) / len(labels) * abs(accuracy - confidence)
    return total


def check_against_sklearn(
    result: Accuracy, original: NDArray[Any], compressed: NDArray[Any], labels: NDArray[Any]
) -> None:
    classes = original.shape[1]
    for which, logits in (("original", original), ("compressed", compressed)):
        p = special.softmax(logits.astype(np.float64), axis=1)
        expected = {
            "top1": metrics.accuracy_score(labels, p.argmax(axis=1)),
            "cross_entropy": metrics.log_loss(labels, p, labels=range(classes)),
            "calibration_error": calibration_error(p, labels),
        }
        if classes > 5:
            # Of equal scores scikit-learn takes the last classes first: turned round.
            expected["top5"] = metrics.top_k_accuracy_score(
                classes - 1 - labels, logits[:, ::-1], k=5, labels=range(classes)
            )
        for name, value in expected.items():
            assert getattr(getattr(result, name), which).value == pytest.approx(value, rel=1e-9)
    for metric in (result.top1, result.top5, result.cross_entropy, result.calibration_error):
        if metric is not None:
            change = metric.compressed.value - metric.original.value
            assert metric.delta.value == pytest.approx(change, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 5, 6, 10, 200])
def test_against_sklearn(classes: int) -> None:
    a, b, labels = given(400, classes)
    result, skipped = measured(a, b, labels)
    check_against_sklearn(result, a, b, labels)
    assert (result.task, result.samples, result.skipped_samples) == ("classification", 400, 0)
    if classes <= 5:
        assert result.top5 is None
        assert skipped == {"accuracy.top5": f"there are only {classes} classes"}
    else:
        assert skipped == {}


@pytest.mark.parametrize("compressed", ["digits_int8", "digits_broken"])
def test_real_outputs(digits: dict[str, NDArray[Any]], compressed: str) -> None:
    a, b, labels = digits["digits"], digits[compressed], digits["labels"]
    result, skipped = measured(a, b, labels, size=64)
    check_against_sklearn(result, a, b, labels)
    assert skipped == {}
    right = a.argmax(axis=1) == labels
    still = b.argmax(axis=1) == labels
    assert result.flips is not None
    assert result.flips.broken == np.sum(right & ~still)
    assert result.flips.fixed == np.sum(~right & still)


def test_softmax_outputs_with_exact_zeros() -> None:
    p = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    result, _ = measured(p, p, np.array([0, 1, 2]))
    assert result.cross_entropy is not None
    # Right twice for nothing, and surely wrong once: as unlikely as float32 can say.
    assert result.cross_entropy.original.value == pytest.approx(149 * np.log(2) / 3, rel=1e-6)


@pytest.mark.parametrize("size", [1, 3, 64, 399])
@pytest.mark.parametrize("softmax", [True, False])
def test_batches_do_not_matter(size: int, softmax: bool) -> None:
    a, b, labels = given(400, 8)
    if softmax:
        a, b = special.softmax(a, axis=1), special.softmax(b, axis=1)
    a[0] = [0.5, 0.5, 0, 0, 0, 0, 0, 0]  # sums to one whatever the others are
    whole, _ = measured(a, b, labels)
    part, _ = measured(a, b, labels, size=size)
    for name in ("top1", "top5", "flips", "per_class"):
        assert getattr(part, name) == getattr(whole, name)
    for name in ("cross_entropy", "calibration_error"):
        for which in ("original", "compressed", "delta"):
            ours, theirs = (getattr(getattr(x, name), which).value for x in (part, whole))
            assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


# ----------------------------------------------------------------------------- pairs of models


def test_broken_and_fixed_are_not_swapped() -> None:
    right, wrong = [9.0, 0.0], [0.0, 9.0]  # the label is 0
    a = np.array([right, right, right, wrong, right, wrong])
    b = np.array([wrong, wrong, wrong, right, right, wrong])
    result, _ = measured(a, b, np.zeros(6, dtype=np.int64))
    assert result.flips is not None
    assert (result.flips.broken, result.flips.fixed) == (3, 1)
    assert result.top1 is not None
    assert result.top1.original.value == pytest.approx(4 / 6)
    assert result.top1.compressed.value == pytest.approx(2 / 6)
    assert result.top1.delta.value == pytest.approx(-2 / 6)
    assert result.top1.delta.p_value == pytest.approx(stats.binomtest(1, 4).pvalue)


def test_cross_entropy_is_compared_in_pairs() -> None:
    a, b, labels = given(200, 4)
    losses = [
        -np.log(special.softmax(rows.astype(np.float64), axis=1)[np.arange(200), labels])
        for rows in (a, b)
    ]
    result, _ = measured(a, b, labels)
    assert result.cross_entropy is not None
    delta = result.cross_entropy.delta
    test = stats.ttest_rel(losses[1], losses[0])
    assert delta.p_value == pytest.approx(test.pvalue, rel=1e-6)
    interval = test.confidence_interval(0.95)
    assert (delta.low, delta.high) == pytest.approx((interval.low, interval.high), rel=1e-6)


def test_identical_models() -> None:
    a, _, labels = given(100, 8)
    result, _ = measured(a, a, labels)
    assert result.top1 is not None
    assert (result.top1.delta.value, result.top1.delta.p_value) == (0, 1)
    assert result.flips is not None
    assert (result.flips.broken, result.flips.fixed) == (0, 0)


def test_every_class_by_itself() -> None:
    a, b, labels = given(300, 4)
    labels[labels == 2] = 1  # one class is never there
    result, _ = measured(a, b, labels, size=37)
    assert [entry.label for entry in result.per_class] == [0, 1, 3]
    for entry in result.per_class:
        mine = labels == entry.label
        assert entry.samples == mine.sum()
        for which, rows in (("original", a), ("compressed", b)):
            recall = metrics.recall_score(
                labels, rows.argmax(axis=1), labels=[entry.label], average="macro"
            )
            assert getattr(entry, which) == pytest.approx(recall)
        assert entry.delta == pytest.approx(entry.compressed - entry.original)


def test_labels_of_one_class() -> None:
    a, b, _ = given(50, 6)
    labels = np.full(50, 3)
    result, _ = measured(a, b, labels)
    check_against_sklearn(result, a, b, labels)
    assert [entry.label for entry in result.per_class] == [3]


# ------------------------------------------------------------------------- what is not a number


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_not_a_number_is_wrong(bad: float, size: int) -> None:
    a, b, labels = given(100, 10)
    a[:] = b  # right and wrong together
    b[:10, 4] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, skipped = measured(a, b, labels, size=size)
    right = a.argmax(axis=1) == labels
    assert result.top1 is not None
    assert result.top5 is not None
    assert result.top1.compressed.value == pytest.approx(right[10:].sum() / 100)
    assert result.flips is not None
    assert (result.flips.broken, result.flips.fixed) == (right[:10].sum(), 0)
    top5 = metrics.top_k_accuracy_score(labels[10:], a[10:], k=5, labels=range(10))
    assert result.top5.compressed.value == pytest.approx(top5 * 0.9)
    for name in ("cross_entropy", "calibration_error"):
        assert getattr(result, name) is None
        assert "10 of 100 samples" in skipped[f"accuracy.{name}"]


def test_a_model_that_gives_nothing_but_nan() -> None:
    a, _, labels = given(300, 10)
    result, _ = measured(a, np.full_like(a, np.nan), labels)
    assert result.top1 is not None
    assert result.top1.compressed.value == 0
    assert all(entry.compressed == 0 for entry in result.per_class)


# ------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(("label", "shown"), [(10, "10"), (-1, "-1"), (255, "255")])
@pytest.mark.parametrize("size", [1, 1000])
def test_labels_out_of_range(label: int, shown: str, size: int) -> None:
    a, b, labels = given(300, 10)
    labels[7] = label
    with pytest.raises(RequestError) as caught:
        measured(a, b, labels, size=size)
    assert caught.value.code == "labels-out-of-range"
    assert f"label {shown} " in caught.value.message
    assert "0 to 9" in caught.value.message


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int16, ">i4"])
def test_labels_of_any_whole_type(dtype: Any) -> None:
    a, b, labels = given(50, 7)
    assert measured(a, b, labels.astype(dtype))[0] == measured(a, b, labels)[0]


@pytest.mark.parametrize("shape", [(20,), (20, 1), (20, 3, 3)])
def test_outputs_that_hold_no_classes(shape: tuple[int, ...]) -> None:
    values = np.ones(shape, np.float32)
    with pytest.raises(RequestError) as caught:
        measured(values, values, np.zeros(20, np.int64))
    assert caught.value.code == "no-class-output"
    assert "--model-output" in caught.value.hint
