import pickle
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from compaudit.engines.base import Batch
from compaudit.errors import RequestError
from compaudit.measure.accuracy import ClassificationMeter, Subject, as_classes
from compaudit.measure.accuracy.calibration import CalibrationErrors
from compaudit.measure.outputs import OutputPair
from compaudit.measure.scores import Kind
from compaudit.measure.scoring import score_rows
from compaudit.results import Accuracy, PairedMetric

SUBJECT = Subject(output=OutputPair("y", "y"))


def metered(
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any],
    indices: NDArray[np.int64],
    kind: Kind = "logits",
    subject: Subject = SUBJECT,
) -> ClassificationMeter:
    """A meter that has seen these samples in one batch."""
    meter = ClassificationMeter(subject)
    a, b, right = original[indices], compressed[indices], labels[indices]
    scored = score_rows(a, b, (kind, kind), indices, labels=as_classes(right, original.shape[1]))
    meter.update(Batch(indices, right, {"y": a}, {"y": b}), scored)
    return meter


def merged(meters: Iterable[ClassificationMeter]) -> ClassificationMeter:
    """All of them, each by way of another process."""
    whole = ClassificationMeter(SUBJECT)
    for meter in meters:
        whole.merge(pickle.loads(pickle.dumps(meter)))
    return whole


def measured(
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any],
    *,
    size: int = 10**9,
    kind: Kind = "logits",
    names: Sequence[str] = (),
) -> tuple[Accuracy, dict[str, str]]:
    subject = Subject(output=SUBJECT.output, class_names=tuple(names))
    meter = ClassificationMeter(subject)
    for part in np.split(np.arange(len(labels)), range(size, len(labels), size)):
        meter.merge(metered(original, compressed, labels, part, kind, subject))
    result, skipped = meter.result()
    assert meter.result()[0] == result  # asking does not change the answer
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
    result, _ = measured(p, p, np.array([0, 1, 2]), kind="probabilities")
    assert result.cross_entropy is not None
    # Right twice for nothing, and surely wrong once: as unlikely as float32 can say.
    assert result.cross_entropy.original.value == pytest.approx(149 * np.log(2) / 3, rel=1e-6)


def assert_equal(part: Accuracy, whole: Accuracy) -> None:
    """Counts exactly, sums up to rounding."""
    for name in ("samples", "top1", "top5", "flips", "per_class", "equivalence"):
        assert getattr(part, name) == getattr(whole, name)
    for name in ("cross_entropy", "calibration_error"):
        assert numbers(getattr(part, name)) == pytest.approx(
            numbers(getattr(whole, name)), rel=1e-7, abs=1e-10
        )


def numbers(metric: PairedMetric) -> list[float | None]:
    delta = metric.delta
    return [
        *(getattr(x, y) for x in (metric.original, metric.compressed) for y in ("value", "low")),
        *(delta.value, delta.low, delta.high, delta.p_value, delta.worst_case),
    ]


@hypothesis_given(
    st.lists(st.integers(0, 4), min_size=150, max_size=150), st.permutations(range(5))
)
@settings(max_examples=25, deadline=None)
def test_any_split_merges_into_the_whole(owners: list[int], order: list[int]) -> None:
    a, b, labels = given(150, 7)
    parts = [np.flatnonzero(np.array(owners) == owner) for owner in order]
    part, _ = merged(metered(a, b, labels, mine) for mine in parts).result()
    assert_equal(part, measured(a, b, labels)[0])


@pytest.mark.parametrize("size", [1, 3, 64, 399])
@pytest.mark.parametrize("softmax", [True, False])
def test_batches_do_not_matter(size: int, softmax: bool) -> None:
    a, b, labels = given(400, 8)
    kind: Kind = "logits"
    if softmax:
        a, b, kind = special.softmax(a, axis=1), special.softmax(b, axis=1), "probabilities"
    whole, _ = measured(a, b, labels, kind=kind)
    part, _ = measured(a, b, labels, size=size, kind=kind)
    assert_equal(part, whole)


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
    assert shown in caught.value.message
    assert "start at 0" in caught.value.hint


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int16, ">i4"])
def test_labels_of_any_whole_type(dtype: Any) -> None:
    a, b, labels = given(50, 7)
    assert measured(a, b, labels.astype(dtype))[0] == measured(a, b, labels)[0]


def test_floats_that_are_whole_numbers_are_classes() -> None:
    a, b, labels = given(50, 7)
    assert measured(a, b, labels.astype(np.float32))[0] == measured(a, b, labels)[0]


def test_no_output_holds_classes() -> None:
    values = np.ones((20, 1), np.float32)
    batch = Batch(np.arange(20), np.zeros(20, np.int64), {"y": values}, {"y": values})
    with pytest.raises(RequestError) as caught:
        ClassificationMeter(SUBJECT).update(batch, None)
    assert caught.value.code == "no-class-output"
    assert "--model-output" in caught.value.hint


# ------------------------------------------------------------------------------ few and many


def test_no_samples_at_all() -> None:
    result, skipped = ClassificationMeter(SUBJECT).result()
    for name in ("top1", "top5", "cross_entropy", "calibration_error", "flips", "equivalence"):
        assert getattr(result, name) is None
        assert skipped[0].reason == "no sample could be measured"
    assert result.samples == 0
    assert result.per_class == []
    assert {entry.metric.split(".")[1] for entry in skipped} >= {"top1", "flips", "equivalence"}


def test_one_sample() -> None:
    a, b, labels = given(1, 10)
    result, skipped = measured(a, b, labels)
    assert result.cross_entropy is not None
    assert result.calibration_error is not None
    assert result.top1 is not None
    assert result.cross_entropy.delta.low is None
    assert result.calibration_error.delta.low is None
    assert result.calibration_error.delta.worst_case is None
    assert result.top1.delta.low is not None
    assert "one sample" in skipped["accuracy.cross_entropy.delta"]
    assert "at least 64" in skipped["accuracy.calibration_error.delta"]
    assert result.equivalence is not None
    assert result.equivalence.status == "undecided"


def test_a_thousand_classes() -> None:
    a, b, labels = given(5000, 1200)
    names = [f"class {number}" for number in range(1200)]
    result, skipped = measured(a, b, labels, size=700, names=names)
    assert skipped == {}
    assert [entry.label for entry in result.per_class] == np.unique(labels).tolist()
    assert all(entry.name == names[entry.label] for entry in result.per_class)
    assert sum(entry.samples for entry in result.per_class) == 5000


def test_fewer_names_than_classes() -> None:
    a, b, _ = given(3, 4)
    result, _ = measured(a, b, np.array([0, 1, 3]), names=["cat", "dog"])
    assert [entry.name for entry in result.per_class] == ["cat", "dog", None]


def test_classes_against_mcnemar_and_holm() -> None:
    a, b, labels = given(600, 5, seed=3)
    b[labels == 2] += 4 * np.eye(5)[0].astype(np.float32)  # one class is ruined
    right, still = a.argmax(axis=1) == labels, b.argmax(axis=1) == labels
    p_values = []
    for label in range(5):
        mine = labels == label
        table = [[np.sum(mine & x & y) for y in (still, ~still)] for x in (right, ~right)]
        p_values.append(mcnemar(table, exact=True).pvalue)
    corrected = multipletests(p_values, method="holm")[1]
    result, _ = measured(a, b, labels, size=100)
    assert [entry.p_value for entry in result.per_class] == pytest.approx(corrected.tolist())
    assert result.per_class[2].p_value < 1e-6


# ------------------------------------------------------------------------------- calibration


def overconfident(n: int, random: np.random.Generator) -> CalibrationErrors:
    """Right 10 percentage points less often than sure; the compressed model is surer by 5."""
    confidence = random.uniform(0.3, 0.9, n)
    right = random.random(n) < confidence - 0.1
    errors = CalibrationErrors()
    errors.update(np.arange(n), (confidence, confidence + 0.05), (right, right))
    return errors


def test_the_interval_of_the_calibration_error_holds_the_truth() -> None:
    # Every bin is off by 0.1, and by 0.15 with the compressed model, which is right as often.
    random, covered, bounded = np.random.default_rng(0), 0, 0
    for _ in range(400):
        delta = overconfident(1000, random).result(0.95).delta
        assert delta.low is not None
        assert delta.high is not None
        assert delta.worst_case is not None
        covered += delta.low <= 0.05 <= delta.high
        bounded += delta.worst_case >= 0.05
    assert covered >= 0.92 * 400
    assert bounded >= 0.92 * 400


def test_the_interval_of_one_calibration_error() -> None:
    random, covered, widths = np.random.default_rng(0), 0, []
    for _ in range(400):
        original = overconfident(2000, random).result(0.95).original
        assert original.low is not None
        assert original.high is not None
        covered += original.low <= 0.1 <= original.high
        widths.append(original.high - original.low)
    assert 0.90 <= covered / 400 <= 0.98
    # The error is the mean of (confidence − right), as all bins are off in the same direction;
    # right has a variance of p·(1 − p), whose mean for p from 0.2 to 0.8 is 0.22.
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.sqrt(0.22 / 2000), rel=0.1)


def test_too_few_samples_for_the_interval() -> None:
    a, b, labels = given(63, 10)
    result, skipped = measured(a, b, labels)
    assert result.calibration_error is not None
    assert result.calibration_error.delta.low is None
    assert skipped == {
        "accuracy.calibration_error.delta": (
            "its interval needs at least 64 samples, and there are 63"
        )
    }
