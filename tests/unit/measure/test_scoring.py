from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import special, stats
from scipy.spatial import distance
from sklearn.metrics import log_loss, top_k_accuracy_score

from compaudit.measure import scoring
from compaudit.measure.scored import Scored
from compaudit.measure.scores import Kind
from compaudit.measure.scoring import score_rows

LOGITS: tuple[Kind, Kind] = ("logits", "logits")


def scored(
    original: NDArray[Any],
    compressed: NDArray[Any],
    labels: NDArray[Any] | None = None,
    kinds: tuple[Kind, Kind] = LOGITS,
    places: NDArray[Any] | None = None,
) -> Scored:
    count = len(original) if places is None else len(places)
    return score_rows(original, compressed, kinds, np.arange(count), labels=labels, places=places)


def some(rows: int, classes: int, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(seed)
    a = random.normal(0, 3, (rows, classes))
    return a, a + random.normal(0, 1, a.shape)


finite = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(2, 9)),
    elements=st.floats(-20, 20, width=32),
)


@given(finite, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_divergences_are_those_of_scipy(a: NDArray[Any], seed: int) -> None:
    b = a + np.random.default_rng(seed).normal(0, 2, a.shape).astype(np.float32)
    q, p = (special.softmax(rows.astype(np.float64), axis=1) for rows in (a, b))
    found = scored(a, b)
    for values, expected in (
        (found.kl, stats.entropy(q, p, axis=1)),
        (found.kl_reverse, stats.entropy(p, q, axis=1)),
        (found.js, distance.jensenshannon(q, p, axis=1) ** 2),
        (found.cross_entropy, -(q * special.log_softmax(b.astype(np.float64), axis=1)).sum(1)),
        (found.original.entropy, stats.entropy(q, axis=1)),
        (found.compressed.entropy, stats.entropy(p, axis=1)),
        (found.original.confidence, q.max(axis=1)),
    ):
        np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-10)
    assert found.usable.all()
    assert found.floored == 0


@pytest.mark.parametrize("classes", [10, 1_000, 32_000])
@pytest.mark.parametrize("change", [0.02, 0.2, 2.0])
def test_twelve_digits_of_scipy_in_float64(classes: int, change: float) -> None:
    random = np.random.default_rng(8)
    a = random.normal(0, 3, (3, classes)).astype(np.float32)
    b = (a + random.normal(0, change, a.shape)).astype(np.float32)
    labels = random.integers(0, classes, 3)
    lq, lp = (special.log_softmax(rows.astype(np.float64), axis=1) for rows in (a, b))
    q, p = np.exp(lq), np.exp(lp)
    found = scored(a, b, labels)
    # Adding positive terms only: SciPy's rel_entr has terms of either sign, and loses digits.
    np.testing.assert_allclose(found.kl, special.kl_div(q, p).sum(1), rtol=1e-12 / change**2)
    np.testing.assert_allclose(
        found.kl_reverse, special.kl_div(p, q).sum(1), rtol=1e-12 / change**2
    )
    np.testing.assert_allclose(found.cross_entropy, -(q * lp).sum(1), rtol=1e-12)
    for model, log, rows in ((found.original, lq, a), (found.compressed, lp, b)):
        np.testing.assert_allclose(model.entropy, special.entr(np.exp(log)).sum(1), rtol=1e-12)
        np.testing.assert_allclose(model.loss, -log[np.arange(3), labels], rtol=1e-12)
        np.testing.assert_allclose(model.confidence, np.exp(log.max(1)), rtol=1e-12)
        assert model.predicted.tolist() == rows.argmax(1).tolist()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [6, 10, 1000])
def test_ranks_are_those_of_scikit_learn(classes: int, ties: bool) -> None:
    a, b = some(300, classes)
    if ties:
        a, b = np.round(a), np.round(b)
    labels = np.random.default_rng(5).integers(0, classes, 300)
    found = scored(a, b, labels)
    for rows, model in ((a, found.original), (b, found.compressed)):
        assert model.in_top5 is not None
        assert model.loss is not None
        assert model.loss.mean() == pytest.approx(
            log_loss(labels, special.softmax(rows, axis=1), labels=range(classes))
        )
        # scikit-learn puts the higher class first where scores are equal; we the lower.
        mirrored, right = rows[:, ::-1], classes - 1 - labels
        for k, ours in ((1, model.predicted == labels), (5, model.in_top5)):
            theirs = top_k_accuracy_score(right, mirrored, k=k, labels=range(classes))
            assert ours.mean() == pytest.approx(theirs)


def test_the_same_five_on_top() -> None:
    a, b = some(200, 12)
    found = scored(a, b)
    for same, x, y in zip(found.same_top5, a, b, strict=True):
        assert same == (set(np.argsort(x)[-5:]) == set(np.argsort(y)[-5:]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_no_numbers(bad: float) -> None:
    a, b = some(6, 8)
    clean = scored(a, b, np.zeros(6, int))
    b[2, 3] = bad
    found = scored(a, b, np.zeros(6, int))
    rest = np.array([True, True, False, True, True, True])
    assert found.usable.tolist() == rest.tolist()
    assert found.original.usable.all()
    assert found.compressed.predicted[2] == -1
    assert found.compressed.in_top5 is not None
    assert found.compressed.loss is not None
    assert not found.compressed.in_top5[2]
    assert not found.same_top5[2]
    for values in (found.kl, found.js, found.compressed.loss, found.compressed.confidence):
        assert np.isnan(values).tolist() == (~rest).tolist()
    np.testing.assert_array_equal(found.kl[rest], clean.kl[rest])
    assert found.original.confidence[2] == clean.original.confidence[2]


def test_classes_that_both_models_mask_are_not_there() -> None:
    a, b = some(40, 10)
    labels = np.random.default_rng(1).integers(2, 10, 40)
    without = scored(a[:, 2:], b[:, 2:], labels - 2)
    a[:, :2] = b[:, :2] = -np.inf
    found = scored(a, b, labels)
    assert found.usable.all()
    for name in ("kl", "kl_reverse", "js", "cross_entropy", "same_top5"):
        np.testing.assert_allclose(getattr(found, name), getattr(without, name), rtol=1e-12)
    for name in ("entropy", "loss", "confidence", "in_top5"):
        np.testing.assert_allclose(
            getattr(found.compressed, name), getattr(without.compressed, name), rtol=1e-12
        )
    assert (found.original.predicted == without.original.predicted + 2).all()


def test_a_class_that_one_model_masks_is_no_number() -> None:
    a, b = some(3, 10)
    b[1, 4] = -np.inf
    found = scored(a, b)
    assert found.usable.tolist() == [True, False, True]
    assert np.isfinite(found.kl[[0, 2]]).all()


def test_logits_against_probabilities() -> None:
    a, b = some(30, 7)
    found = scored(a, special.softmax(b, axis=1), kinds=("logits", "probabilities"))
    np.testing.assert_allclose(found.kl, scored(a, b).kl, rtol=1e-9)


@pytest.mark.parametrize("elements", [1, 30, 1000])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, elements: int) -> None:
    a, b = some(50, 10)
    a[7, 1], b[9, 2] = np.nan, np.inf
    labels, places = np.arange(20) % 10, np.arange(3, 43, 2)
    whole = scored(a, b, labels, places=places)
    monkeypatch.setattr(scoring, "_BLOCK_ELEMENTS", elements)
    parts = scored(a, b, labels, places=places)
    for name in ("kl", "kl_reverse", "js", "cross_entropy", "same_top5", "usable"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for name in ("confidence", "entropy", "loss", "predicted", "in_top5"):
        np.testing.assert_array_equal(getattr(parts.original, name), getattr(whole.original, name))
    np.testing.assert_array_equal(whole.kl, scored(a[places], b[places]).kl)


def test_wide_rows_take_little_memory() -> None:
    import tracemalloc

    a = np.random.default_rng(0).normal(0, 3, (64, 128_000)).astype(np.float32)
    tracemalloc.start()
    score_rows(a, a, LOGITS, np.arange(64))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64e6


def test_no_rows_at_all() -> None:
    found = scored(*some(3, 10), np.zeros(0, int), places=np.zeros(0, int))
    assert len(found.kl) == len(found.usable) == 0
