"""Entropy, cross-entropy, Kullback-Leibler and Jensen-Shannon divergence, in nats.

Every function works in float64 along the last axis, which holds the classes, and returns one number
for each row: input of shape (..., K) gives shape (...). ``q`` is the truth or the original model,
``p`` the model or the compressed one.

There are two families. The plain names take probabilities: they are checked, and rows accepted
within the tolerance are rescaled to sum to exactly one. The ``_from_log`` names take
log-probabilities, which do not underflow: use them, with `log_probabilities`, wherever logits are
known. They check shapes only; a NaN in a row gives NaN for that row.

**Why the divergences are not written as they are defined.** Σ q (log q − log p) adds positive and
negative terms of the size of the difference d = log p − log q, while the sum is of the size of d²:
two models whose logits differ by 1e-6 lose all but a few digits, and the result can be negative.
Both Σp and Σq are one, so adding Σ (p − q) = 0 changes nothing and makes every term positive:

    KL(q‖p) = Σ q·(eᵈ − 1 − d),   and   eᵈ ≥ 1 + d

(the Bregman form, as in `scipy.special.kl_div`). For m = ½(p + q) and x = ½|log p − log q| the two
halves of the Jensen-Shannon divergence combine, term by term, into

    JS(p, q) = Σ m·(x·tanh x − log cosh x),   0 ≤ x·tanh x − log cosh x ≤ ln 2

which is symmetric in floating point too. A row whose sum misses one by ε
moves either of them by no more than O(ε²) and ε times itself.

Sources: Shannon 1948; Kullback and Leibler 1951; Lin 1991 (Jensen-Shannon).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compaudit.theory import special

FloatArray = NDArray[np.float64]

LN_2: Final = float(np.log(2.0))
SUM_TOLERANCE: Final = 1e-3
SUM_TOLERANCE_FLOAT16: Final = 1e-2
BLOCK_ELEMENTS: Final = 8192


def entropy(p: ArrayLike) -> FloatArray:
    """Return H(p) = −Σ p log p.

    Args:
        p: probabilities, shape (..., K).

    Returns:
        Nats, shape (...), between 0 and ln K. A fair coin has 0.693, a fair die 1.792.

    Raises:
        ValueError: a probability is negative or NaN, or a row does not sum to one within
            `SUM_TOLERANCE` (`SUM_TOLERANCE_FLOAT16` for float16).

    Source: Shannon 1948, section 6.
    """
    return _nonnegative(np.sum(special.entr(_probabilities(p, "p")), axis=-1))


def cross_entropy(q: ArrayLike, p: ArrayLike) -> FloatArray:
    """Return H_p(q) = −Σ q log p, with 0·log 0 = 0.

    Args:
        q: probabilities of the truth (labels or the original model), shape (..., K).
        p: probabilities of the model, same shape.

    Returns:
        Nats, shape (...); infinite where some q > 0 has p = 0.

    Raises:
        ValueError: shapes differ, or `entropy`'s conditions fail for q or p.

    Source: Goodfellow, Bengio, Courville 2016, "Deep Learning", equation 3.51.
    """
    truth, model = _probability_pair(q, p)
    return _nonnegative(-np.sum(special.xlogy(truth, model), axis=-1))


def kl_divergence(q: ArrayLike, p: ArrayLike) -> FloatArray:
    """Return D_KL(q‖p) = H_p(q) − H(q), how far the compressed p is from the original q.

    Args:
        q: probabilities of the original, shape (..., K).
        p: probabilities of the compressed, same shape.

    Returns:
        Nats, shape (...), never negative; infinite where some q > 0 has p = 0.

    Raises:
        ValueError: shapes differ, or `entropy`'s conditions fail for q or p.

    Source: Kullback and Leibler 1951, equation 2.4.
    """
    original, compressed = _probability_pair(q, p)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = (compressed - original) / original
        log_ratio = np.where(
            np.abs(relative) < 0.5, np.log1p(relative), np.log(compressed) - np.log(original)
        )
    return _kl_sum(original, compressed, log_ratio)


def js_divergence(p: ArrayLike, q: ArrayLike) -> FloatArray:
    """Return JSD(p‖q) = ½ KL(p‖m) + ½ KL(q‖m) with m = ½(p + q).

    Args:
        p: probabilities, shape (..., K).
        q: probabilities, same shape.

    Returns:
        Nats, shape (...), symmetric, between 0 and ln 2. Its square root is a metric.

    Raises:
        ValueError: shapes differ, or `entropy`'s conditions fail for p or q.

    Source: Lin 1991, "Divergence measures based on the Shannon entropy", section IV.
    """
    first, second = _probability_pair(p, q, names=("p", "q"))
    with np.errstate(divide="ignore", invalid="ignore"):
        half_log_ratio = np.arctanh(np.abs(first - second) / (first + second))
    return _js_sum(0.5 * (first + second), half_log_ratio)


def log_probabilities(logits: ArrayLike) -> FloatArray:
    """Return the log-softmax of logits, computed in float64 whatever the input type.

    Args:
        logits: real numbers, shape (..., K). A class may be masked by −∞; a row of nothing but −∞,
            or with +∞ or NaN, has no distribution and becomes NaN.

    Returns:
        Log-probabilities in nats, shape (..., K).

    Raises:
        ValueError: there is no class axis, or it is empty.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(special.log_softmax(_rows(logits, "logits"), axis=-1), dtype=np.float64)


def log_from_probabilities(p: ArrayLike, floor: float | None = None) -> tuple[FloatArray, int]:
    """Return (log p, how many exact zeros were floored).

    A float32 softmax underflows to exact zeros, and a zero that is only an underflow would make a
    divergence infinite. Zeros are taken as the smallest number the input type can hold; how many
    is part of the result, because every one of them is a guess. Rows are not rescaled.

    Args:
        p: probabilities, shape (..., K), in the type the model produced: it sets the floor.
        floor: another floor; by default the smallest subnormal of the type of p (float16 6.0e-8,
            float32 1.4e-45, float64 and everything else 4.9e-324).

    Returns:
        Log-probabilities in nats, float64, shape (..., K), and the number of floored elements.

    Raises:
        ValueError: `entropy`'s conditions fail for p, or the floor is not in (0, 1].
    """
    raw = np.asarray(p)
    if floor is None:
        floor = _smallest_subnormal(raw.dtype)
    if not 0 < floor <= 1:
        raise ValueError(f"floor must be above 0 and at most 1, got {floor}")
    values = _checked_probabilities(raw, "p")[0]
    zeros = values == 0
    return np.log(np.where(zeros, floor, values)), int(np.count_nonzero(zeros))


def entropy_from_log(lp: ArrayLike) -> FloatArray:
    """Return H(p) = −Σ p log p from log p.

    Args:
        lp: log-probabilities in nats, shape (..., K); −∞ is a class of probability zero.

    Returns:
        Nats, shape (...).

    Raises:
        ValueError: there is no class axis, or it is empty.

    Source: Shannon 1948, section 6.
    """
    return _by_blocks(_entropy_sum, _rows(lp, "lp"))


def cross_entropy_from_log(lq: ArrayLike, lp: ArrayLike) -> FloatArray:
    """Return H_p(q) = −Σ q log p from log q and log p.

    Args:
        lq: log-probabilities of the truth in nats, shape (..., K).
        lp: log-probabilities of the model in nats, same shape.

    Returns:
        Nats, shape (...); infinite where a class with lq > −∞ has lp = −∞.

    Raises:
        ValueError: shapes differ, there is no class axis, or it is empty.

    Source: Goodfellow, Bengio, Courville 2016, "Deep Learning", equation 3.51.
    """
    return _by_blocks(_cross_entropy_sum, *_log_pair(lq, lp, ("lq", "lp")))


def kl_from_log(lq: ArrayLike, lp: ArrayLike) -> FloatArray:
    """Return D_KL(q‖p) from log q and log p.

    Args:
        lq: log-probabilities of the original in nats, shape (..., K).
        lp: log-probabilities of the compressed in nats, same shape.

    Returns:
        Nats, shape (...), never negative; infinite where a class with lq > −∞ has lp = −∞.

    Raises:
        ValueError: shapes differ, there is no class axis, or it is empty.

    Source: Kullback and Leibler 1951, equation 2.4, in the Bregman form of the module's text.
    """
    return _by_blocks(_kl_sum_of_logs, *_log_pair(lq, lp, ("lq", "lp")))


def js_from_log(lp: ArrayLike, lq: ArrayLike) -> FloatArray:
    """Return JSD(p‖q) from log p and log q.

    Args:
        lp: log-probabilities in nats, shape (..., K).
        lq: log-probabilities in nats, same shape.

    Returns:
        Nats, shape (...), symmetric, between 0 and ln 2.

    Raises:
        ValueError: shapes differ, there is no class axis, or it is empty.

    Source: Lin 1991, section IV, in the form of the module's text.
    """
    return _by_blocks(_js_sum_of_logs, *_log_pair(lp, lq, ("lp", "lq")))


def negative_log_likelihood(lp: ArrayLike, labels: ArrayLike) -> FloatArray:
    """Return −log p[label], the cross-entropy against integer labels.

    Args:
        lp: log-probabilities in nats, shape (..., K).
        labels: class numbers 0 … K−1 of an integer type, shape (...).

    Returns:
        Nats, shape (...); infinite where the label's class has probability zero.

    Raises:
        ValueError: labels are not integers, have another shape than the rows, or lie outside
            0 … K−1; there is no class axis, or it is empty.

    Source: `cross_entropy` with q one-hot.
    """
    log_p = _rows(lp, "lp")
    classes = np.asarray(labels)
    if not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {classes.dtype}")
    if classes.shape != log_p.shape[:-1]:
        raise ValueError(f"labels have shape {classes.shape}, the rows {log_p.shape[:-1]}")
    if classes.size and (classes.min() < 0 or classes.max() >= log_p.shape[-1]):
        raise ValueError(f"labels must lie in 0 … {log_p.shape[-1] - 1}")
    index = classes[..., np.newaxis].astype(np.intp)
    return _nonnegative(-np.take_along_axis(log_p, index, axis=-1)[..., 0])


def _by_blocks(formula: Callable[..., FloatArray], *arrays: FloatArray) -> FloatArray:
    """Apply a formula of rows to a few rows at a time.

    Temporaries then stay in the processor's cache (about twice as fast for a thousand classes), and
    need no memory to speak of for a language model's vocabulary.
    """
    *leading, classes = arrays[0].shape
    flat = [array.reshape(-1, classes) for array in arrays]
    result = np.empty(len(flat[0]), dtype=np.float64)
    step = max(1, BLOCK_ELEMENTS // classes)
    for start in range(0, len(result), step):
        rows = slice(start, start + step)
        result[rows] = formula(*(array[rows] for array in flat))
    return result.reshape(leading)


def _entropy_sum(log_p: FloatArray) -> FloatArray:
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        return _nonnegative(-np.sum(np.where(p == 0, 0.0, p * log_p), axis=-1))


def _cross_entropy_sum(log_q: FloatArray, log_p: FloatArray) -> FloatArray:
    q = np.exp(log_q)
    with np.errstate(invalid="ignore"):
        terms = np.where(q == 0, 0.0, q * log_p)
    # Decided in the log domain: q may be positive and still underflow.
    terms[(log_p == -np.inf) & (log_q > -np.inf)] = -np.inf
    terms[np.isnan(log_p)] = np.nan
    return _nonnegative(-np.sum(terms, axis=-1))


def _kl_sum_of_logs(log_q: FloatArray, log_p: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        log_ratio = log_p - log_q
    return _kl_sum(np.exp(log_q), np.exp(log_p), log_ratio)


def _js_sum_of_logs(log_p: FloatArray, log_q: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        half_log_ratio = 0.5 * np.abs(log_p - log_q)
    return _js_sum(0.5 * (np.exp(log_p) + np.exp(log_q)), half_log_ratio)


def _kl_sum(q: FloatArray, p: FloatArray, log_ratio: FloatArray) -> FloatArray:
    """Sum q·(eᵈ − 1 − d) = p − q − q·d over the classes, d = log p − log q."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = q * _exponential_excess(log_ratio)
        far = p - q - np.where(q == 0, 0.0, q * log_ratio)
    terms = np.where(log_ratio <= 1, near, far)
    # As in the cross-entropy: q may be positive and still underflow.
    terms[log_ratio == -np.inf] = np.inf
    return _nonnegative(np.sum(terms, axis=-1))


def _exponential_excess(d: FloatArray) -> FloatArray:
    """Return eᵈ − 1 − d ≥ 0 with a relative error below 1e-13."""
    # Where the difference would lose digits, Taylor's series: beyond 1/128 it loses at most two.
    series = 0.5 * d * d * (1.0 + d / 3.0 * (1.0 + d / 4.0 * (1.0 + d / 5.0 * (1.0 + d / 6.0))))
    return np.where(np.abs(d) < 1 / 128, series, np.expm1(d) - d)


def _js_sum(m: FloatArray, x: FloatArray) -> FloatArray:
    """Sum m·(x·tanh x − log cosh x) over the classes, x = ½|log p − log q|."""
    with np.errstate(invalid="ignore"):
        x = np.minimum(x, 400.0)  # e⁻⁸⁰⁰ is zero: infinity without 0·∞
        u = np.expm1(-2.0 * x)
        e, t = 1.0 + u, -u / (2.0 + u)  # t = tanh x
        near = x < 1
        logarithm = np.log1p(np.where(near, -t * t, e))
        divergence = np.where(
            near, x * t + 0.5 * logarithm, LN_2 - logarithm - 2.0 * x * e / (1.0 + e)
        )
        terms = np.where(m == 0, 0.0, m * divergence)
    return np.minimum(_nonnegative(np.sum(terms, axis=-1)), LN_2)


def _nonnegative(values: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(values, 0.0), dtype=np.float64) + 0.0  # + 0.0: no −0.0


def _rows(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} needs a last axis of at least one class, got {array.shape}")
    return array


def _same_shape(first: FloatArray, second: FloatArray, names: tuple[str, str]) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} differ in shape: {first.shape} and {second.shape}"
        )


def _log_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str]
) -> tuple[FloatArray, FloatArray]:
    pair = (_rows(first, names[0]), _rows(second, names[1]))
    _same_shape(*pair, names)
    return pair


def _probability_pair(
    first: ArrayLike, second: ArrayLike, names: tuple[str, str] = ("q", "p")
) -> tuple[FloatArray, FloatArray]:
    pair = (_probabilities(first, names[0]), _probabilities(second, names[1]))
    _same_shape(*pair, names)
    return pair


def _probabilities(values: ArrayLike, name: str) -> FloatArray:
    probabilities, totals = _checked_probabilities(values, name)
    return probabilities / totals


def _checked_probabilities(values: ArrayLike, name: str) -> tuple[FloatArray, FloatArray]:
    raw = np.asarray(values)
    array = _rows(raw, name)
    if not np.all(array >= 0):
        raise ValueError(f"{name} holds a negative probability or NaN")
    totals = np.sum(array, axis=-1, keepdims=True)
    tolerance = SUM_TOLERANCE_FLOAT16 if raw.dtype == np.float16 else SUM_TOLERANCE
    if not np.all(np.abs(totals - 1.0) <= tolerance):
        worst = totals.flat[np.argmax(np.abs(totals - 1.0))]
        raise ValueError(f"{name} must sum to one along the last axis, a row sums to {worst:.6g}")
    return array, totals


def _smallest_subnormal(dtype: np.dtype[np.generic]) -> float:
    # Types wider than float64 are computed in float64, where their subnormals are zero.
    if dtype == np.float16:
        return float(np.finfo(np.float16).smallest_subnormal)
    if dtype == np.float32:
        return float(np.finfo(np.float32).smallest_subnormal)
    return float(np.finfo(np.float64).smallest_subnormal)
