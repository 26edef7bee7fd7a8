"""All at once gives what each of them gives by itself, and what SciPy says."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from compaudit.theory import information
from compaudit.theory.divergences import NEAR, divergences_from_log


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return scipy.special.log_softmax(logits, axis=-1)


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 40),
    classes=st.integers(1, 700),
    spread=st.sampled_from([1e-3, 1.0, 8.0, 300.0]),
    change=st.sampled_from([0.0, 1e-7, 1e-3, 0.1, NEAR, 1.0, 30.0]),
)
def test_equals_each_by_itself(
    seed: int, rows: int, classes: int, spread: float, change: float
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(scale=spread, size=(rows, classes))
    lq, lp = (
        log_softmax(logits),
        log_softmax(logits + random.normal(scale=change, size=logits.shape)),
    )
    found = divergences_from_log(lq, lp)
    # A log-softmax is rounded: its row sums to one within some 1e-16 of its largest logarithm.
    slack = 1e-15 * max(1.0, float(np.abs(logits).max(initial=0.0)))
    for values, expected in zip(
        found,
        (
            information.kl_from_log(lq, lp),
            information.kl_from_log(lp, lq),
            information.js_from_log(lp, lq),
            information.cross_entropy_from_log(lq, lp),
        ),
        strict=True,
    ):
        np.testing.assert_allclose(values, expected, rtol=1e-11, atol=slack)


def test_scipy_agrees() -> None:
    random = np.random.default_rng(1)
    q, p = (scipy.special.softmax(random.normal(size=(50, 100)), axis=1) for _ in range(2))
    found = divergences_from_log(np.log(q), np.log(p))
    np.testing.assert_allclose(found.kl, scipy.stats.entropy(q, p, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.kl_reverse, scipy.stats.entropy(p, q, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.js, jensenshannon(p, q, axis=1) ** 2, rtol=1e-12)
    np.testing.assert_allclose(found.cross_entropy, -(q * np.log(p)).sum(axis=1), rtol=1e-12)


def test_small_differences_keep_their_digits() -> None:
    # To second order in d, KL(q‖p) is half the variance of d under q; here d = ±1e-8 at q = ½.
    lq = np.log([[0.5, 0.5]])
    lp = log_softmax(np.array([[2e-8, 0.0]]))
    found = divergences_from_log(lq, lp)
    assert found.kl[0] == pytest.approx(0.5e-16, rel=1e-6)
    assert found.kl_reverse[0] == pytest.approx(0.5e-16, rel=1e-6)
    assert found.js[0] == pytest.approx(0.125e-16, rel=1e-6)


def test_marbles_of_the_design() -> None:
    # q = (.8, .1, .1), p = (.2, .2, .6): H(q) = 0.639, H_p(q) = 1.500.
    found = divergences_from_log(np.log([[0.8, 0.1, 0.1]]), np.log([[0.2, 0.2, 0.6]]))
    assert found.cross_entropy[0] == pytest.approx(1.500, abs=5e-4)
    assert found.kl[0] == pytest.approx(1.500 - 0.639, abs=1e-3)


def test_classes_that_one_model_rules_out() -> None:
    inf = np.inf
    lq = np.array([[np.log(0.5), np.log(0.5), -inf], [0.0, -inf, -inf], [0.0, -inf, -inf]])
    lp = np.array(
        [[np.log(0.5), np.log(0.5), -inf], [-inf, 0.0, -inf], [np.log(0.5), np.log(0.5), -inf]]
    )
    found = divergences_from_log(lq, lp)
    assert found.kl.tolist() == [0.0, inf, pytest.approx(np.log(2))]
    assert found.kl_reverse.tolist() == [0.0, inf, inf]
    assert found.js.tolist() == [
        0.0,
        pytest.approx(np.log(2)),
        # ½ [KL((1, 0) ‖ (¾, ¼)) + KL((½, ½) ‖ (¾, ¼))]
        pytest.approx(0.5 * (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2))),
    ]
    assert found.cross_entropy.tolist() == [pytest.approx(np.log(2)), inf, pytest.approx(np.log(2))]


def test_a_class_whose_probability_underflows_is_still_possible() -> None:
    found = divergences_from_log(np.array([[0.0, -800.0]]), np.array([[0.0, -np.inf]]))
    assert found.kl[0] == np.inf


def test_nan_stays_in_its_row() -> None:
    found = divergences_from_log(
        np.array([[np.nan, 0.0], [np.log(0.5)] * 2]), np.log([[0.5, 0.5], [0.25, 0.75]])
    )
    for values in found:
        assert np.isnan(values[0])
        assert np.isfinite(values[1])


@pytest.mark.parametrize("shapes", [((2, 3), (2, 4)), ((3,), (3,)), ((2, 0), (2, 0))])
def test_shapes_that_do_not_fit(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="must be"):
        divergences_from_log(*(np.zeros(shape) for shape in shapes))
