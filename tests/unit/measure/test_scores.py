from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from compaudit.measure.scores import (
    Evidence,
    Kind,
    kinds_of,
    log_scores,
    looks_like_classes,
    rank_classes,
)


def rows_of(kinds: str, classes: int = 4, seed: int = 0) -> np.ndarray:
    """One row a letter: p(robabilities), l(ogits), n(an)."""
    random = np.random.default_rng(seed)
    rows = random.normal(0, 3, (len(kinds), classes))
    for place, kind in enumerate(kinds):
        if kind == "p":
            rows[place] = special.softmax(rows[place])
        if kind == "n":
            rows[place, 1] = np.nan
    return rows


class Scores(NamedTuple):
    log: np.ndarray
    usable: np.ndarray
    predicted: np.ndarray
    top5: np.ndarray
    floored: int


def class_scores(rows: np.ndarray, kind: Kind, masked: np.ndarray | None = None) -> Scores:
    """What rows of scores come to; the five highest in ascending order."""
    ranked, log = rank_classes(rows, masked), np.empty(rows.shape)
    usable, floored = log_scores(rows, ranked, kind, log, masked)
    return Scores(log, usable, ranked.predicted, np.sort(ranked.top5, axis=1), floored)


def probabilities(scores: Scores) -> np.ndarray:
    return special.softmax(scores.log, axis=1)


def found(original: np.ndarray, compressed: np.ndarray, size: int) -> tuple[str, str]:
    """What the kinds turn out to be, where 64 rows are looked at."""
    evidence = Evidence(64), Evidence(64)
    for start in range(0, len(original), size):
        here = slice(start, start + size)
        indices = np.arange(len(original))[here]
        evidence[0].update(original[here], indices)
        evidence[1].update(compressed[here], indices)
    return kinds_of(*evidence)


# ---------------------------------------------------------------------------------- what it is


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ("lllllll", "logits"),
        ("ppppppp", "probabilities"),
        ("nnppppp", "probabilities"),
        ("nnlllll", "logits"),
        ("pppppl", "logits"),  # rows of logits that happened to sum to one
        ("lppppp", "logits"),
        ("nnn", "logits"),
    ],
)
def test_kind_does_not_depend_on_batches(rows: str, kind: str, size: int) -> None:
    values = rows_of(rows)
    assert found(values, values, size) == (kind, kind)


@pytest.mark.parametrize("size", [1, 64, 100, 1000])
def test_the_first_rows_decide(size: int) -> None:
    values = rows_of("p" * 64 + "l" * 36)
    assert found(values, values, size) == ("probabilities", "probabilities")
    values = rows_of("p" * 63 + "l" * 37)
    assert found(values, values, size) == ("logits", "logits")


@pytest.mark.parametrize("size", [1, 5, 12])
def test_every_token_of_a_sample_is_a_row(size: int) -> None:
    values = rows_of("p" * 60 + "l" + "p" * 35).reshape(12, 8, 4)
    assert found(values, values, size) == ("logits", "logits")
    values = rows_of("p" * 64 + "l" * 32).reshape(12, 8, 4)
    assert found(values, values, size) == ("probabilities", "probabilities")


@given(st.permutations(range(10)), st.integers(0, 99))
def test_evidence_of_parts_merges_in_any_order(order: list[int], odd: int) -> None:
    values = rows_of("p" * odd + "l" + "p" * (99 - odd))
    merged = Evidence(64)
    for place in order:
        here = np.arange(place * 10, place * 10 + 10)
        part = Evidence(64)
        part.update(values[here], here)
        merged.merge(part)
    assert merged.settled
    assert merged.exact == merged.near == (odd >= 64)


def test_each_model_has_its_own_kind() -> None:
    logits = rows_of("l" * 9)
    assert found(logits, special.softmax(logits, axis=1), 4) == ("logits", "probabilities")


def test_log_probabilities_are_read_as_logits() -> None:
    log = special.log_softmax(rows_of("l" * 9), axis=1)
    assert found(log, log, 4) == ("logits", "logits")
    np.testing.assert_allclose(probabilities(class_scores(log, "logits")), np.exp(log), atol=1e-12)


def test_a_softmax_of_eight_bits_is_believed_beside_an_exact_one() -> None:
    exact = special.softmax(rows_of("l" * 50, classes=40), axis=1)
    coarse = np.round(exact * 256) / 256
    assert np.abs(coarse.sum(axis=1) - 1).max() > 0.005  # it does not sum to one
    assert found(exact, coarse, 7) == ("probabilities", "probabilities")
    assert found(coarse, exact, 7) == ("probabilities", "probabilities")
    assert found(coarse, coarse, 7) == ("logits", "logits")
    assert found(exact, rows_of("l" * 50, classes=40), 7) == ("probabilities", "logits")


def test_it_is_settled_when_nothing_can_change_it() -> None:
    logits, probabilities, nan = Evidence(64), Evidence(64), Evidence(64)
    logits.update(rows_of("pl"), np.arange(2))
    assert logits.settled
    probabilities.update(rows_of("p" * 63), np.arange(63))
    assert not probabilities.settled
    probabilities.update(rows_of("p" * 63), np.arange(63, 126))
    assert probabilities.settled
    nan.update(rows_of("n" * 64), np.arange(64))  # or the data would pile up
    assert nan.settled


# ------------------------------------------------------------------------------ what it says


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_log_probabilities(dtype: type) -> None:
    logits = rows_of("l" * 30).astype(dtype)
    scores = class_scores(logits, "logits")
    expected = special.log_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(special.log_softmax(scores.log, axis=1), expected, atol=1e-12)
    assert scores.log.max() <= 0
    assert scores.usable.all()
    assert scores.predicted.tolist() == logits.argmax(axis=1).tolist()


def test_probabilities_are_rescaled() -> None:
    half = special.softmax(rows_of("l" * 30, classes=1000), axis=1).astype(np.float16)
    sums = half.astype(np.float64).sum(axis=1)
    assert np.abs(sums - 1).max() > 1e-5
    log = class_scores(half, "probabilities").log
    np.testing.assert_allclose(np.exp(log).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "floor"), [(np.float16, 2.0**-24), (np.float32, 2.0**-149), (np.float64, 2.0**-1074)]
)
def test_exact_zeros_count_as_the_smallest_subnormal(dtype: type, floor: float) -> None:
    scores = class_scores(np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]], dtype), "probabilities")
    assert scores.floored == 3
    assert scores.log[0, 0] == pytest.approx(np.log(floor), rel=1e-12)
    assert scores.log[1].tolist() == pytest.approx([np.log(0.5), np.log(0.5), np.log(floor)])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_rows_that_are_not_numbers(bad: float, kind: Kind) -> None:
    rows = np.full((3, 6), 1 / 6)
    rows[1, 2] = bad
    scores = class_scores(rows, kind)
    assert scores.usable.tolist() == [True, False, True]
    assert not scores.log[1].any()
    assert np.isfinite(scores.log).all()
    assert scores.predicted.tolist() == [0, -1, 0]
    assert (scores.top5[1] == -1).all()


@pytest.mark.parametrize("row", [[0, 0, 0], [-0.5, 1, 0.5], [3, 0, 0]])
def test_rows_that_are_no_distribution(row: list[float]) -> None:
    scores = class_scores(np.array([[0.2, 0.3, 0.5], row]), "probabilities")
    assert scores.usable.tolist() == [True, False]


def test_logits_too_far_apart_for_float64() -> None:
    scores = class_scores(np.array([[1.7e308, -1.7e308], [1.0, 2.0]]), "logits")
    assert scores.usable.tolist() == [False, True]
    assert np.isfinite(scores.log[1]).all()
    assert scores.predicted.tolist() == [0, 1]


def test_a_masked_class_is_impossible() -> None:
    rows = np.array([[-np.inf, 1.0, 1.0], [-np.inf, 0.0, 2.0], [-np.inf, -np.inf, -np.inf]])
    masked = np.array([[True, False, False], [False, False, False], [True, True, True]])
    scores = class_scores(rows, "logits", masked)
    # The second is an infinity that the other model does not have; the third leaves no class.
    assert scores.usable.tolist() == [True, False, False]
    assert probabilities(scores)[0].tolist() == [0.0, 0.5, 0.5]
    assert scores.predicted.tolist() == [1, -1, -1]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [3, 5, 6, 11, 255, 256, 257, 2047, 5000])
def test_five_highest(classes: int, ties: bool) -> None:
    rows = np.random.default_rng(3).normal(size=(40, classes))
    if ties:
        rows = np.round(rows)
    rows[7, 2], rows[8, 0] = np.nan, -np.inf
    masked = rows == -np.inf
    top5 = class_scores(rows, "logits", masked).top5
    for place, (row, found) in enumerate(zip(rows, top5, strict=True)):
        highest = sorted(range(classes), key=lambda c, row=row: -row[c])[:5]
        assert found.tolist() == ([-1] * len(highest) if place == 7 else sorted(highest))


def test_of_equal_scores_the_first_classes_are_on_top() -> None:
    rows = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [0, 0, 9, 0, 0, 0, 0, 9]], dtype=np.float32)
    scores = class_scores(rows, "logits")
    assert scores.top5.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 7]]
    assert scores.predicted.tolist() == [0, 2]


def test_what_looks_like_classes() -> None:
    assert looks_like_classes(np.zeros((3, 2), np.float16))
    for shape in ((3,), (3, 1), (3, 2, 2), ()):
        assert not looks_like_classes(np.zeros(shape))
    assert not looks_like_classes(np.zeros((3, 2), np.int64))
