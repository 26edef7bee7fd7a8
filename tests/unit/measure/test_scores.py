import numpy as np
import pytest
from scipy import special

from compaudit.measure.scores import ScoreReader, class_scores, looks_like_classes


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


def kinds_of(original: np.ndarray, compressed: np.ndarray, size: int) -> tuple[str, str]:
    reader = ScoreReader()
    batches = []
    for start in range(0, len(original), size):
        batches += reader.read(
            None, original[start : start + size], compressed[start : start + size]
        )
    batches += reader.finish()
    assert sum(len(batch.original.usable) for batch in batches) == len(original)
    assert reader.finish() == []
    assert reader.kinds is not None
    return reader.kinds


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
    assert kinds_of(values, values, size) == (kind, kind)


@pytest.mark.parametrize("size", [1, 64, 300, 1000])
def test_the_first_256_samples_decide(size: int) -> None:
    values = rows_of("p" * 256 + "l" * 44)
    assert kinds_of(values, values, size) == ("probabilities", "probabilities")
    values = rows_of("p" * 255 + "l" * 45)
    assert kinds_of(values, values, size) == ("logits", "logits")


def test_each_model_has_its_own_kind() -> None:
    logits = rows_of("l" * 9)
    assert kinds_of(logits, special.softmax(logits, axis=1), 4) == ("logits", "probabilities")


def test_log_probabilities_are_read_as_logits() -> None:
    log = special.log_softmax(rows_of("l" * 9), axis=1)
    assert kinds_of(log, log, 4) == ("logits", "logits")
    np.testing.assert_allclose(class_scores(log, "logits").log, log, atol=1e-12)


def test_a_softmax_of_eight_bits_is_believed_beside_an_exact_one() -> None:
    exact = special.softmax(rows_of("l" * 50, classes=40), axis=1)
    coarse = np.round(exact * 256) / 256
    assert np.abs(coarse.sum(axis=1) - 1).max() > 0.005  # it does not sum to one
    assert kinds_of(exact, coarse, 7) == ("probabilities", "probabilities")
    assert kinds_of(coarse, exact, 7) == ("probabilities", "probabilities")
    assert kinds_of(coarse, coarse, 7) == ("logits", "logits")
    assert kinds_of(exact, rows_of("l" * 50, classes=40), 7) == ("probabilities", "logits")


def test_nothing_is_held_back_longer_than_needed() -> None:
    reader = ScoreReader()
    softmax = rows_of("p" * 100)
    assert reader.read(None, softmax, softmax) == []
    assert reader.read(None, softmax, softmax) == []
    assert len(reader.read(None, softmax, softmax)) == 3
    assert len(reader.read(None, softmax, softmax)) == 1
    hopeless = ScoreReader()
    nan = np.full((300, 4), np.nan)
    assert len(hopeless.read(None, nan, nan)) == 1  # or the data would pile up


# ------------------------------------------------------------------------------ what it says


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_log_probabilities(dtype: type) -> None:
    logits = rows_of("l" * 30).astype(dtype)
    scores = class_scores(logits, "logits")
    expected = special.log_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(scores.log, expected, rtol=1e-12, atol=1e-12)
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
def test_rows_that_are_not_numbers(bad: float, kind: str) -> None:
    rows = np.full((3, 6), 1 / 6)
    rows[1, 2] = bad
    scores = class_scores(rows, kind)  # type: ignore[arg-type]
    assert scores.usable.tolist() == [True, False, True]
    assert scores.log.shape == (2, 6)
    assert scores.predicted.tolist() == [0, -1, 0]
    assert not scores.top5[1].any()


@pytest.mark.parametrize("row", [[0, 0, 0], [-0.5, 1, 0.5], [3, 0, 0]])
def test_rows_that_are_no_distribution(row: list[float]) -> None:
    scores = class_scores(np.array([[0.2, 0.3, 0.5], row]), "probabilities")
    assert scores.usable.tolist() == [True, False]


def test_logits_too_far_apart_for_float64() -> None:
    scores = class_scores(np.array([[1.7e308, -1.7e308], [1.0, 2.0]]), "logits")
    assert scores.usable.tolist() == [False, True]
    assert np.isfinite(scores.log).all()
    assert scores.predicted.tolist() == [0, 1]


def test_five_highest() -> None:
    rows = np.random.default_rng(3).normal(size=(40, 11))
    top5 = class_scores(rows, "logits").top5
    for row, mask in zip(rows, top5, strict=True):
        assert set(np.flatnonzero(mask)) == set(sorted(range(11), key=lambda c: -row[c])[:5])


def test_of_equal_scores_the_first_classes_are_on_top() -> None:
    rows = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [0, 0, 9, 0, 0, 0, 0, 9]], dtype=np.float32)
    scores = class_scores(rows, "logits")
    assert [np.flatnonzero(mask).tolist() for mask in scores.top5] == [
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 7],
    ]
    assert scores.predicted.tolist() == [0, 2]


def test_what_looks_like_classes() -> None:
    assert looks_like_classes(np.zeros((3, 2), np.float16))
    for shape in ((3,), (3, 1), (3, 2, 2), ()):
        assert not looks_like_classes(np.zeros(shape))
    assert not looks_like_classes(np.zeros((3, 2), np.int64))
