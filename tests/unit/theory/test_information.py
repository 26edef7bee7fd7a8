"""Expected numbers: the definitions in 60-digit decimals, SciPy's own divergences, hand results."""

import math
import subprocess
import sys
import warnings
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats
from scipy.spatial import distance

from compaudit.theory import information as info

Q = [0.8, 0.1, 0.1]
P = [0.2, 0.2, 0.6]


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def rows() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(7)
    return rng.dirichlet(np.ones(12), size=(5, 4)), rng.dirichlet(np.full(12, 0.3), size=(5, 4))


def exact_divergences(zq: list[float], zp: list[float]) -> tuple[float, float]:
    """KL(q‖p) and JS from logits, by their definitions, in 120-digit decimals."""
    with localcontext() as context:
        context.prec = 120
        q, p = ([Decimal(z).exp() for z in logits] for logits in (zq, zp))
        total_q, total_p = sum(q), sum(p)
        q, p = [a / total_q for a in q], [a / total_p for a in p]
        kl = sum(a * (a / b).ln() for a, b in zip(q, p, strict=True))
        js = sum(
            a * (2 * a / (a + b)).ln() + b * (2 * b / (a + b)).ln()
            for a, b in zip(q, p, strict=True)
        )
        return float(kl), float(js / 2)


# ------------------------------------------------------------------------------ worked examples


def test_coin_and_die() -> None:
    assert float(info.entropy([0.5, 0.5])) == pytest.approx(0.693, abs=5e-4)
    assert float(info.entropy([1 / 6] * 6)) == pytest.approx(1.792, abs=5e-4)


def test_marbles() -> None:
    assert float(info.entropy(Q)) == pytest.approx(0.639, abs=5e-4)
    assert float(info.cross_entropy(Q, P)) == pytest.approx(1.500, abs=5e-4)
    forth = 0.8 * math.log(4) - 0.1 * math.log(2) - 0.1 * math.log(6)
    back = -0.2 * math.log(4) + 0.2 * math.log(2) + 0.6 * math.log(6)
    assert float(info.kl_divergence(Q, P)) == pytest.approx(forth, rel=1e-14)
    assert float(info.kl_divergence(P, Q)) == pytest.approx(back, rel=1e-14)


def test_a_certain_truth_leaves_the_log_likelihood() -> None:
    lp = np.log([P, P])
    expected = [-math.log(0.6), -math.log(0.2)]
    assert info.negative_log_likelihood(lp, [2, 0]) == pytest.approx(expected, rel=1e-15)
    assert info.cross_entropy([[0, 0, 1], [1, 0, 0]], [P, P]) == pytest.approx(expected, rel=1e-15)


def test_disjoint_distributions() -> None:
    assert float(info.js_divergence([1, 0], [0, 1])) == math.log(2)
    assert float(info.kl_divergence([1, 0], [0, 1])) == math.inf
    assert float(info.cross_entropy([1, 0], [0, 1])) == math.inf


# ------------------------------------------------------------------------- independent libraries


def test_against_scipy(rows: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    q, p = rows
    lq, lp = np.log(q), np.log(p)
    h = stats.entropy(q, axis=-1)
    kl = special.rel_entr(q, p).sum(axis=-1)
    js = distance.jensenshannon(p, q, axis=-1) ** 2
    assert info.entropy(q) == pytest.approx(h, rel=1e-13)
    assert info.entropy_from_log(lq) == pytest.approx(h, rel=1e-13)
    assert info.cross_entropy(q, p) == pytest.approx(h + kl, rel=1e-13)
    assert info.cross_entropy_from_log(lq, lp) == pytest.approx(h + kl, rel=1e-13)
    assert info.kl_divergence(q, p) == pytest.approx(kl, rel=1e-13)
    assert info.kl_from_log(lq, lp) == pytest.approx(kl, rel=1e-13)
    assert info.kl_divergence(q, p) == pytest.approx(stats.entropy(q, p, axis=-1), rel=1e-13)
    assert info.js_divergence(p, q) == pytest.approx(js, rel=1e-13)
    assert info.js_from_log(lp, lq) == pytest.approx(js, rel=1e-13)


def test_shapes(rows: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    q, p = rows
    for values in (
        info.entropy(q),
        info.kl_divergence(q, p),
        info.js_divergence(q, p),
        info.entropy_from_log(np.log(q)),
        info.kl_from_log(np.log(q), np.log(p)),
        info.negative_log_likelihood(np.log(q), np.zeros((5, 4), dtype=np.int32)),
    ):
        assert values.shape == (5, 4)
        assert values.dtype == np.float64
    assert info.kl_from_log(np.log(q[0, 0]), np.log(p[0, 0])).shape == ()
    assert info.kl_from_log(np.empty((0, 3)), np.empty((0, 3))).shape == (0,)


def test_blocks_do_not_show() -> None:
    rng = np.random.default_rng(1)
    lq = info.log_probabilities(rng.normal(size=(40, 1000)))
    lp = info.log_probabilities(rng.normal(size=(40, 1000)))
    together = info.kl_from_log(lq, lp)
    alone = [float(info.kl_from_log(a, b)) for a, b in zip(lq, lp, strict=True)]
    assert together == pytest.approx(alone, rel=1e-14)
    wide = np.log(np.full((2, 20_000), 1 / 20_000))
    assert info.entropy_from_log(wide) == pytest.approx(math.log(20_000), rel=1e-12)


# ------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize(
    ("difference", "tolerance"), [(1e-8, 1e-6), (1e-6, 1e-8), (1e-3, 1e-11), (1, 1e-14)]
)
@pytest.mark.parametrize("classes", [3, 50])
def test_small_divergences_keep_their_digits(
    difference: float, tolerance: float, classes: int
) -> None:
    rng = np.random.default_rng(classes)
    zq = 2 * rng.normal(size=classes)
    zp = zq + difference * rng.normal(size=classes)
    kl, js = exact_divergences(zq.tolist(), zp.tolist())
    lq, lp = info.log_probabilities(zq), info.log_probabilities(zp)
    assert float(info.kl_from_log(lq, lp)) == pytest.approx(kl, rel=tolerance, abs=0)
    assert float(info.js_from_log(lp, lq)) == pytest.approx(js, rel=tolerance, abs=0)
    assert float(info.kl_divergence(np.exp(lq), np.exp(lp))) == pytest.approx(
        kl, rel=10 * tolerance, abs=0
    )
    assert float(info.js_divergence(np.exp(lp), np.exp(lq))) == pytest.approx(
        js, rel=10 * tolerance, abs=0
    )


def test_the_definition_itself_would_not_do() -> None:
    # The reason for the Bregman form: the plain sum has no correct digit here.
    rng = np.random.default_rng(3)
    zq = 2 * rng.normal(size=50)
    zp = zq + 1e-8 * rng.normal(size=50)
    kl, _ = exact_divergences(zq.tolist(), zp.tolist())
    lq, lp = info.log_probabilities(zq), info.log_probabilities(zp)
    assert abs(float(np.sum(np.exp(lq) * (lq - lp))) - kl) > kl


@pytest.mark.parametrize("d", [1e-12, -1e-5, 0.0078, 0.0079, -0.0625, 0.9999, 1.0001, -3.0, 40.0])
def test_two_classes_around_every_branch(d: float) -> None:
    # lq = (ln ¾, ln ¼) and p moved by d in one class: covers series, expm1 and far branches.
    zq, zp = [math.log(3), 0.0], [math.log(3), d]
    kl, js = exact_divergences(zq, zp)
    lq, lp = info.log_probabilities(zq), info.log_probabilities(zp)
    tolerance = max(1e-13, 2e-15 / abs(d))
    assert float(info.kl_from_log(lq, lp)) == pytest.approx(kl, rel=tolerance, abs=0)
    assert float(info.js_from_log(lp, lq)) == pytest.approx(js, rel=tolerance, abs=0)


@pytest.mark.parametrize("steps", [2**26, 900_719_925, 12_345_678_901])
def test_probabilities_that_differ_in_the_last_digits(steps: int) -> None:
    # q = (½, ½), p = (½ + h, ½ − h), both exact in binary: KL = −½ ln(1 − 4h²), JS = ½h² + O(h⁴)
    h = steps * 2.0**-53
    kl = info.kl_divergence([0.5, 0.5], [0.5 + h, 0.5 - h])
    js = info.js_divergence([0.5, 0.5], [0.5 + h, 0.5 - h])
    assert float(kl) == pytest.approx(-0.5 * math.log1p(-4 * h * h), rel=1e-12, abs=0)
    assert float(js) == pytest.approx(h * h / 2, rel=1e-11, abs=0)


def test_huge_logits() -> None:
    zq, zp = [1e4, 0.0, -1e4], [-1e4, 0.0, 1e4]
    lq, lp = info.log_probabilities(zq), info.log_probabilities(zp)
    assert lq.tolist() == [0.0, -1e4, -2e4]
    assert float(info.kl_from_log(lq, lp)) == pytest.approx(2e4, rel=1e-12)
    assert float(info.js_from_log(lq, lp)) == pytest.approx(math.log(2), rel=1e-12)
    assert float(info.entropy_from_log(lq)) == 0
    assert float(info.cross_entropy_from_log(lq, lp)) == pytest.approx(2e4, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8])
def test_narrow_types_are_computed_in_float64(dtype: type) -> None:
    logits: NDArray[Any] = np.array([[1, 2, 3], [-4, 0, 7]], dtype=dtype)
    wide = info.log_probabilities(logits.astype(np.float64))
    assert info.log_probabilities(logits).dtype == np.float64
    assert np.array_equal(info.log_probabilities(logits), wide)
    if dtype is not np.int8:
        narrow: NDArray[Any] = wide.astype(dtype)
        assert info.entropy_from_log(narrow).dtype == np.float64
        assert info.entropy_from_log(narrow) == pytest.approx(
            info.entropy_from_log(wide), rel=5e-3 if dtype is np.float16 else 1e-6
        )


def test_sums_that_miss_one_hardly_matter() -> None:
    # A float32 softmax sums to 1 ± 1e-6; the plain definition would answer −1e-6 here.
    log_q = np.log([0.5, 0.5])
    assert float(info.kl_from_log(log_q, log_q + 1e-6)) < 1e-12
    assert float(info.js_from_log(log_q, log_q + 1e-6)) < 1e-12


# ---------------------------------------------------------------------------- zeros, NaN, floors


def test_zero_times_log_zero_is_zero() -> None:
    half = [0.5, 0.5, 0.0]
    log_half = [math.log(0.5), math.log(0.5), -math.inf]
    assert float(info.entropy(half)) == math.log(2)
    assert float(info.entropy_from_log(log_half)) == math.log(2)
    assert float(info.cross_entropy_from_log(log_half, log_half)) == math.log(2)
    assert float(info.kl_divergence(half, half)) == 0
    assert float(info.kl_from_log(log_half, log_half)) == 0
    assert float(info.js_divergence(half, half)) == 0
    assert float(info.js_from_log(log_half, log_half)) == 0


def test_infinite_only_where_the_model_excludes_what_happens() -> None:
    half, certain = [0.5, 0.5], [1.0, 0.0]
    with np.errstate(divide="ignore"):
        log_half, log_certain = np.log(half), np.log(certain)
    assert float(info.kl_divergence(half, certain)) == math.inf
    assert float(info.kl_from_log(log_half, log_certain)) == math.inf
    assert float(info.cross_entropy_from_log(log_half, log_certain)) == math.inf
    # the other direction is finite: ln 2
    assert float(info.kl_divergence(certain, half)) == pytest.approx(math.log(2), rel=1e-15)
    assert float(info.kl_from_log(log_certain, log_half)) == pytest.approx(math.log(2), rel=1e-15)
    # ½·ln(4/3) + ½·(½·ln(2/3) + ½·ln 2) = ¾·ln(4/3)
    expected = 0.75 * math.log(4 / 3)
    assert float(info.js_divergence(certain, half)) == pytest.approx(expected, rel=1e-15)
    assert float(info.js_from_log(log_half, log_certain)) == pytest.approx(expected, rel=1e-15)


def test_a_probability_that_underflows_is_not_zero() -> None:
    log_q = [0.0, -800.0]  # e⁻⁸⁰⁰ is 0 in float64
    assert float(info.kl_from_log(log_q, [0.0, -math.inf])) == math.inf
    assert float(info.cross_entropy_from_log(log_q, [0.0, -math.inf])) == math.inf
    assert float(info.kl_from_log(log_q, [0.0, -900.0])) == 0


@pytest.mark.parametrize("poisoned", [[math.nan, 0.0], [-math.inf, math.nan]])
def test_nan_is_never_swallowed(poisoned: list[float]) -> None:
    good = np.log([0.5, 0.5])
    certain = np.array([-math.inf, 0.0])
    for other in (good, certain):
        assert math.isnan(info.kl_from_log(other, poisoned))
        assert math.isnan(info.kl_from_log(poisoned, other))
        assert math.isnan(info.js_from_log(other, poisoned))
        assert math.isnan(info.js_from_log(poisoned, other))
        assert math.isnan(info.cross_entropy_from_log(other, poisoned))
        assert math.isnan(info.cross_entropy_from_log(poisoned, other))
    assert math.isnan(info.entropy_from_log(poisoned))
    assert np.isnan(info.log_probabilities([math.nan, 0.0])).all()
    assert np.isnan(info.log_probabilities([-math.inf, -math.inf])).all()
    # only the row that has it
    pair = info.kl_from_log(np.array([good, good]), np.array([poisoned, good]))
    assert math.isnan(pair[0])
    assert pair[1] == 0


@pytest.mark.parametrize(
    ("dtype", "log_floor"),
    [  # smallest subnormals: 2⁻²⁴, 2⁻¹⁴⁹, 2⁻¹⁰⁷⁴
        (np.float16, -24 * math.log(2)),
        (np.float32, -149 * math.log(2)),
        (np.float64, -1074 * math.log(2)),
    ],
)
def test_zeros_are_floored_and_counted(dtype: type, log_floor: float) -> None:
    p: NDArray[Any] = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=dtype)
    lp, floored = info.log_from_probabilities(p)
    assert floored == 3
    assert lp.dtype == np.float64
    assert lp[1].tolist() == pytest.approx([log_floor, log_floor, 0.0], rel=1e-15)
    assert lp[0, 0] == math.log(0.5)
    assert np.isfinite(info.kl_from_log(lp[0], lp[1]))


def test_nothing_to_floor() -> None:
    lp, floored = info.log_from_probabilities([0.25, 0.75])
    assert floored == 0
    assert lp.tolist() == [math.log(0.25), math.log(0.75)]


def test_given_floor() -> None:
    lp, floored = info.log_from_probabilities([0.0, 1.0], floor=1e-12)
    assert floored == 1
    assert lp[0] == math.log(1e-12)
    with pytest.raises(ValueError, match="floor"):
        info.log_from_probabilities([0.0, 1.0], floor=0.0)


# ------------------------------------------------------------------------------------ validation


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([1.5, -0.5], "negative"),
        ([math.nan, 1.0], "NaN"),
        ([0.5, 0.6], r"sums to 1\.1"),
        ([math.inf, 0.0], "sum to one"),
        ([0.499, 0.499], "sum to one"),
        ([[0.5, 0.5], [0.2, 0.2]], r"sums to 0\.4"),
        (1.0, "last axis"),
        (np.empty((2, 0)), "last axis"),
    ],
)
def test_what_is_no_distribution_is_refused(bad: object, message: str) -> None:
    for function in (info.entropy, info.log_from_probabilities):
        with pytest.raises(ValueError, match=message):
            function(bad)  # type: ignore[arg-type]
    for pair in (info.kl_divergence, info.js_divergence, info.cross_entropy):
        with pytest.raises(ValueError, match=message):
            pair(bad, bad)  # type: ignore[arg-type]


def test_sums_within_tolerance_are_rescaled() -> None:
    assert float(info.entropy([0.4997, 0.4997])) == pytest.approx(math.log(2), rel=1e-12)
    rough = np.array([0.33, 0.33, 0.33], dtype=np.float16)  # sums to 0.9902
    assert float(info.entropy(rough)) == pytest.approx(math.log(3), rel=1e-12)
    with pytest.raises(ValueError, match="sum to one"):
        info.entropy(rough.astype(np.float32))


def test_shapes_must_agree() -> None:
    for function in (
        info.kl_divergence,
        info.js_divergence,
        info.cross_entropy,
        info.kl_from_log,
        info.js_from_log,
        info.cross_entropy_from_log,
    ):
        with pytest.raises(ValueError, match="differ in shape"):
            function([[0.5, 0.5]], [0.5, 0.5])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.0, 1.0], "integers"),
        ([0, 3], "lie in 0 … 2"),
        ([-1, 0], "lie in 0 … 2"),
        ([0], "shape"),
        ([[0], [1]], "shape"),
    ],
)
def test_labels_are_checked(labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        info.negative_log_likelihood(np.log([P, P]), labels)


def test_unsigned_labels() -> None:
    nll = info.negative_log_likelihood(np.log([P]), np.array([2], dtype=np.uint8))
    assert nll == pytest.approx([-math.log(0.6)], rel=1e-15)


# ------------------------------------------------------------------------------------ properties

logits = st.floats(min_value=-1e4, max_value=1e4, allow_subnormal=False)
pairs = st.integers(2, 8).flatmap(
    lambda k: st.tuples(*[st.lists(logits, min_size=k, max_size=k)] * 2)
)


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_bounds_and_symmetry(pair: tuple[list[float], list[float]]) -> None:
    lq, lp = (info.log_probabilities(z) for z in pair)
    kl, js = float(info.kl_from_log(lq, lp)), float(info.js_from_log(lp, lq))
    assert kl >= 0
    assert 0 <= js <= math.log(2)
    assert js == float(info.js_from_log(lq, lp))
    assert 0 <= float(info.entropy_from_log(lq)) <= math.log(len(lq)) + 1e-12
    assert float(info.kl_from_log(lq, lq)) == 0
    assert float(info.js_from_log(lq, lq)) == 0
    # Lin 1991, theorem 3: JS is at most a quarter of Jeffreys' divergence
    assert js <= 0.25 * (kl + float(info.kl_from_log(lp, lq))) * (1 + 1e-9) + 1e-300


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_cross_entropy_is_entropy_plus_divergence(pair: tuple[list[float], list[float]]) -> None:
    lq, lp = (info.log_probabilities(z) for z in pair)
    whole = float(info.cross_entropy_from_log(lq, lp))
    parts = float(info.entropy_from_log(lq)) + float(info.kl_from_log(lq, lp))
    assert whole == pytest.approx(parts, rel=1e-9, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(pairs)
def test_both_families_agree(pair: tuple[list[float], list[float]]) -> None:
    q, p = (np.exp(info.log_probabilities(z)) for z in pair)
    with np.errstate(divide="ignore"):
        lq, lp = np.log(q), np.log(p)
    for plain, log in (
        (info.entropy(q), info.entropy_from_log(lq)),
        (info.kl_divergence(q, p), info.kl_from_log(lq, lp)),
        (info.js_divergence(p, q), info.js_from_log(lp, lq)),
        (info.cross_entropy(q, p), info.cross_entropy_from_log(lq, lp)),
    ):
        assert float(plain) == pytest.approx(float(log), rel=1e-9, abs=1e-12)


def test_does_not_import_scipy_stats() -> None:
    code = (
        "import sys, compaudit.theory.information, compaudit.theory.statistics;"
        "print('scipy.stats' in sys.modules, 'scipy.optimize' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
