"""All divergences of two distributions at once, in nats: for large vocabularies, row after row.

`compaudit.theory.information` has each by itself, and says why none is written as it is defined.
Here they share their exponentials, which are most of the work: with d = log p − log q,

    KL(q‖p) = Σ (p − q − q·d),   KL(p‖q) = Σ (q − p + p·d),
    JS(p, q) = ½ Σ (p·(log p − log m) + q·(log q − log m)),   m = ½(p + q)

where |d| ≥ 1/8. Nearer together the differences would lose digits, and series in d take their
place: eᵈ − 1 − d for either KL, and x·tanh x − log cosh x with x = ½d for JS. The relative error
is below 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compaudit.theory.information import BLOCK_ELEMENTS, LN_2

__all__ = ["Divergences", "divergences_from_log"]

FloatArray = NDArray[np.float64]

NEAR: Final = 1 / 8
_TINY: Final = float(np.finfo(np.float64).tiny)

# eᵈ − 1 − d = d² · Σ dⁿ / (n + 2)!, highest power first: the first one left out is below 1e-14.
_EXCESS: Final = tuple(1 / float(np.prod(np.arange(1, n + 3))) for n in range(8, -1, -1))

# x·tanh x − log cosh x = x² · Σ over powers of x² (NIST Handbook 4.33.3 and its integral).
_JENSEN: Final = (31 / 1575, -17 / 360, 1 / 9, -1 / 4, 1 / 2)


class Divergences(NamedTuple):
    """One number for each row; `compaudit.theory.information` says what each is."""

    kl: FloatArray
    kl_reverse: FloatArray
    js: FloatArray
    cross_entropy: FloatArray


def divergences_from_log(lq: ArrayLike, lp: ArrayLike) -> Divergences:
    """Return KL(q‖p), KL(p‖q), JS(p, q) and H_p(q) from log q and log p.

    Args:
        lq: log-probabilities of the original in nats, shape (rows, K); −∞ is a class of
            probability zero.
        lp: log-probabilities of the compressed in nats, same shape.

    Returns:
        Nats, shape (rows,) each. A KL is infinite where one has a class that the other rules out;
        a NaN in a row gives NaN.

    Raises:
        ValueError: shapes differ, or are not (rows, K) with K ≥ 1.
    """
    log_q, log_p = (np.asarray(log, dtype=np.float64) for log in (lq, lp))
    if log_q.shape != log_p.shape or log_q.ndim != 2 or log_q.shape[1] == 0:
        raise ValueError(f"lq and lp must be (rows, K) alike: {log_q.shape} and {log_p.shape}")
    rows, classes = log_q.shape
    found = Divergences(*(np.empty(rows) for _ in Divergences._fields))
    # Temporaries stay in the processor's cache.
    step = max(1, BLOCK_ELEMENTS // classes)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for start in range(0, rows, step):
            here = slice(start, start + step)
            for whole, values in zip(found, _of_block(log_q[here], log_p[here]), strict=True):
                whole[here] = values
    return found


def _of_block(log_q: FloatArray, log_p: FloatArray) -> tuple[FloatArray, ...]:
    q, p = np.exp(log_q), np.exp(log_p)
    d = log_p - log_q
    # With a class that one of them rules out, or a NaN, zeros meet infinities below.
    finite = bool(np.isfinite(d).all())
    times = np.multiply if finite else _times
    near = np.abs(d) < NEAR
    if near.all():
        terms = _near(q, p, d)
    else:
        terms = _apart(q, p, d, log_q, log_p, times)
        if near.any():
            inner = np.where(near, d, 0.0)
            pairs = zip(_near(q, p, inner), terms, strict=True)
            terms = tuple(np.where(near, close, far) for close, far in pairs)
    kl, reverse, js = terms
    cross = times(q, log_p)
    if not finite:
        _decide(log_q, log_p, kl, reverse, js, cross)
    return _sum(kl), _sum(reverse), np.minimum(_sum(js), LN_2), _sum(-cross)


def _near(q: FloatArray, p: FloatArray, d: FloatArray) -> tuple[FloatArray, ...]:
    """The terms of both KL and of JS where |d| < `NEAR`."""
    return q * _excess(d), p * _excess(-d), 0.5 * (p + q) * _jensen(0.5 * d)


def _apart(
    q: FloatArray,
    p: FloatArray,
    d: FloatArray,
    log_q: FloatArray,
    log_p: FloatArray,
    times: Callable[[FloatArray, FloatArray], FloatArray],
) -> tuple[FloatArray, ...]:
    """The same elsewhere."""
    difference = p - q
    # Where both underflow there is nothing to add.
    log_m = np.log(np.maximum(0.5 * (p + q), _TINY))
    js = 0.5 * (times(p, log_p - log_m) + times(q, log_q - log_m))
    return difference - times(q, d), times(p, d) - difference, js


def _decide(
    log_q: FloatArray,
    log_p: FloatArray,
    kl: FloatArray,
    reverse: FloatArray,
    js: FloatArray,
    cross: FloatArray,
) -> None:
    """Infinite terms and NaN, in place.

    By the logarithms: a probability that is zero may be one that underflowed.
    """
    without_p, without_q = log_p == -np.inf, log_q == -np.inf
    kl[without_p & ~without_q] = np.inf
    cross[without_p & ~without_q] = -np.inf
    reverse[without_q & ~without_p] = np.inf
    unknown = np.isnan(log_q) | np.isnan(log_p)
    for terms in (kl, reverse, js, cross):
        terms[unknown] = np.nan


def _times(weight: FloatArray, values: FloatArray) -> FloatArray:
    """The product, which is zero where the weight is: 0·log 0 = 0."""
    return np.where(weight == 0, 0.0, weight * values)


def _excess(d: FloatArray) -> FloatArray:
    """Return eᵈ − 1 − d for |d| < `NEAR`."""
    return _polynomial(_EXCESS, d) * d * d


def _jensen(x: FloatArray) -> FloatArray:
    """Return x·tanh x − log cosh x for |x| < `NEAR` / 2."""
    square = x * x
    return _polynomial(_JENSEN, square) * square


def _polynomial(coefficients: tuple[float, ...], x: FloatArray) -> FloatArray:
    """Horner's scheme, highest power first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value


def _sum(terms: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(terms.sum(axis=-1), 0.0), dtype=np.float64) + 0.0  # no −0.0
