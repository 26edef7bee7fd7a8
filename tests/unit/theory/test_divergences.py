"""All at once gives what each of them gives by itself, and what SciPy and mpmath say."""

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from compaudit.theory import divergences, information
from compaudit.theory.divergences import NEAR, PairedRows, RowComparer


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return scipy.special.log_softmax(logits, axis=-1)


def compared(x: np.ndarray, y: np.ndarray) -> PairedRows:
    """The rows of two arrays, the largest logarithm of each zero."""
    x, y = (logs - logs.max(axis=-1, keepdims=True, initial=-np.inf) for logs in (x, y))
    return RowComparer(*x.shape).compare(x, y)


def by_themselves(lq: np.ndarray, lp: np.ndarray) -> tuple[np.ndarray, ...]:
    return (
        information.kl_from_log(lq, lp),
        information.kl_from_log(lp, lq),
        information.js_from_log(lp, lq),
        information.cross_entropy_from_log(lq, lp),
        information.entropy_from_log(lq),
        information.entropy_from_log(lp),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 40),
    classes=st.integers(1, 700),
    spread=st.sampled_from([1e-3, 1.0, 8.0, 300.0]),
    change=st.sampled_from([0.0, 1e-7, 1e-3, 0.05, 0.1, NEAR, 0.3, 1.0, 30.0]),
)
def test_equals_each_by_itself(
    seed: int, rows: int, classes: int, spread: float, change: float
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(scale=spread, size=(rows, classes))
    changed = logits + random.normal(scale=change, size=logits.shape)
    lq, lp = log_softmax(logits), log_softmax(changed)
    found = compared(logits, changed)
    # A log-softmax is rounded: its row sums to one within some 1e-16 of its largest logarithm.
    slack = 1e-15 * max(1.0, float(np.abs(logits).max(initial=0.0)))
    for values, expected in zip(found[:6], by_themselves(lq, lp), strict=True):
        np.testing.assert_allclose(values, expected, rtol=1e-11, atol=slack)


@pytest.mark.parametrize("change", [0.03, 0.2, 1.0])
def test_more_columns_than_are_taken_at_a_time(change: float) -> None:
    random = np.random.default_rng(2)
    logits = random.normal(scale=4.0, size=(3, 20_000))
    logits[:, :9_000] += 3.0  # so that the columns of a chunk are not those of the next
    changed = logits + random.normal(scale=change, size=logits.shape)
    found = compared(logits, changed)
    expected = by_themselves(log_softmax(logits), log_softmax(changed))
    for values, one in zip(found[:6], expected, strict=True):
        np.testing.assert_allclose(values, one, rtol=1e-11)


@pytest.mark.parametrize("change", [1e-9, 1e-5, 1e-2, 0.11, 0.14, 0.4, 0.6, 3.0])
def test_twelve_digits(change: float) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(scale=3.0, size=(1, 50)).astype(np.float32).astype(np.float64)
    changed = logits + random.normal(scale=change, size=logits.shape)
    found = compared(logits, changed)
    with mpmath.workdps(60):
        q, p = ([mpmath.exp(mpmath.mpf(v)) for v in rows[0].tolist()] for rows in (logits, changed))
        q, p = [v / sum(q) for v in q], [v / sum(p) for v in p]
        m = [(a + b) / 2 for a, b in zip(q, p, strict=True)]

        def kl(first: list[mpmath.mpf], second: list[mpmath.mpf]) -> mpmath.mpf:
            return sum(a * mpmath.log(a / b) for a, b in zip(first, second, strict=True))

        expected = kl(q, p), kl(p, q), (kl(q, m) + kl(p, m)) / 2
    for values, exact in zip(found[:3], expected, strict=True):
        # The logits are rounded to 1e-16 of themselves before anything is made of them.
        assert values[0] == pytest.approx(float(exact), rel=max(1e-12, 1e-15 / change))


def test_what_is_left_out_of_the_series() -> None:
    """At the end of its range every series still has thirteen digits."""
    short, long = divergences._SHORT, divergences._LONG
    for series, end in ((short, NEAR), (long, divergences._MIDDLE)):
        d, z = mpmath.mpf(end), end * end
        even, odd, jensen = (
            float(np.polyval(coefficients, z))
            for coefficients in (series.even, series.odd, series.jensen)
        )
        with mpmath.workdps(40):
            excess = mpmath.exp(d) - 1 - d
            half = d / 2
            spread = half * mpmath.tanh(half) - mpmath.log(mpmath.cosh(half))
        assert z * (even + end * odd) == pytest.approx(float(excess), rel=1e-13)
        assert z * jensen == pytest.approx(float(spread), rel=1e-13)


def test_the_totals_make_log_probabilities() -> None:
    logits = np.random.default_rng(4).normal(scale=3.0, size=(5, 40))
    x = logits - logits.max(axis=1, keepdims=True)
    found = RowComparer(5, 40).compare(x, x)
    np.testing.assert_allclose(x - found.total_q[:, None], log_softmax(logits), rtol=1e-13)
    assert not found.kl.any()
    assert not found.js.any()


def test_scipy_agrees() -> None:
    random = np.random.default_rng(1)
    q, p = (scipy.special.softmax(random.normal(size=(50, 100)), axis=1) for _ in range(2))
    found = compared(np.log(q), np.log(p))
    np.testing.assert_allclose(found.kl, scipy.stats.entropy(q, p, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.kl_reverse, scipy.stats.entropy(p, q, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.js, jensenshannon(p, q, axis=1) ** 2, rtol=1e-12)
    np.testing.assert_allclose(found.cross_entropy, -(q * np.log(p)).sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.entropy_q, scipy.stats.entropy(q, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.entropy_p, scipy.stats.entropy(p, axis=1), rtol=1e-12)


def test_small_differences_keep_their_digits() -> None:
    # To second order in d, KL(q‖p) is half the variance of d under q; here d = ±1e-8 at q = ½.
    found = compared(np.array([[0.0, 0.0]]), np.array([[2e-8, 0.0]]))
    assert found.kl[0] == pytest.approx(0.5e-16, rel=1e-6)
    assert found.kl_reverse[0] == pytest.approx(0.5e-16, rel=1e-6)
    assert found.js[0] == pytest.approx(0.125e-16, rel=1e-6)


def test_marbles_of_the_design() -> None:
    # q = (.8, .1, .1), p = (.2, .2, .6): H(q) = 0.639, H_p(q) = 1.500.
    found = compared(np.log([[0.8, 0.1, 0.1]]), np.log([[0.2, 0.2, 0.6]]))
    assert found.cross_entropy[0] == pytest.approx(1.500, abs=5e-4)
    assert found.entropy_q[0] == pytest.approx(0.639, abs=5e-4)
    assert found.kl[0] == pytest.approx(1.500 - 0.639, abs=1e-3)


def test_classes_whose_probability_underflows() -> None:
    # e⁻⁸⁰⁰ is below the smallest float64; the logarithm of the other is not.
    found = compared(np.array([[0.0, -800.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [0.0, -2e4]]))
    ln_2 = np.log(2)
    assert found.kl.tolist() == pytest.approx([ln_2, 1e4 - ln_2])
    assert found.kl_reverse.tolist() == pytest.approx([400 - ln_2, ln_2])
    # Half of (1, 0) and of (½, ½), each against (¾, ¼).
    js = 0.5 * (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2))
    assert found.js.tolist() == pytest.approx([js, js])


def test_nothing_in_common() -> None:
    found = compared(np.array([[0.0, -1e5]]), np.array([[-1e5, 0.0]]))
    assert found.js.tolist() == pytest.approx([np.log(2)])
    assert found.js[0] <= information.LN_2


def test_scratch_of_an_earlier_block_is_not_seen() -> None:
    random = np.random.default_rng(5)
    x, y = (-np.abs(random.normal(size=(6, 30))) for _ in range(2))
    x[:, 0] = y[:, 1] = 0.0
    comparer = RowComparer(6, 30)
    comparer.compare(y * 50, x)
    for whole, alone in zip(comparer.compare(x[:4], y[:4]), compared(x[:4], y[:4]), strict=True):
        np.testing.assert_allclose(whole, alone, rtol=1e-12)
