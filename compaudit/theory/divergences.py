"""All divergences of pairs of rows at once, in nats, for vocabularies of many thousand classes.

`compaudit.theory.information` has each by itself, and says why none is written as it is defined.
Here they share one exponential for each number. With x and y the logarithms of both distributions
up to a constant, q = eˣ/Σeˣ, p = eʸ/Σeʸ and d = log p − log q,

    KL(q‖p) = Σ q·(eᵈ − 1 − d),   KL(p‖q) = Σ p·(e⁻ᵈ − 1 + d),
    JS(p, q) = Σ m·(h·tanh h − log cosh h),   m = ½(p + q), h = ½d

in which every term is positive. Where d is small they are power series in d², otherwise

    q·(eᵈ − 1 − d) = p − q − q·d,   p·(e⁻ᵈ − 1 + d) = q − p + p·d,
    m·(h·tanh h − log cosh h) = m·(log 2 − log(1 + e^−|d|)) − ½|d|·min(p, q).

In a block of rows most of the d are mostly of one kind; the formula of that kind is taken for all
of them, in place and in arrays that stay in the processor's cache, and the few others are added one
by one.

Most rows need none of this: sums as they are defined are off by some 1e-16, which is nothing beside
a divergence of 1e-5. They cost a third, and are tried first:

    KL(q‖p) = −Σ q·d,   KL(p‖q) = Σ p·d,   JS(p, q) = ½ (Σ p·d − Σ (p + q)·log(m/q))

Where they are taken the relative error is below 1e-9, else below 1e-12.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compaudit.theory.information import LN_2

__all__ = ["NEAR", "PairedRows", "RowComparer"]

FloatArray = NDArray[np.float64]

NEAR: Final = 1 / 8
"""Below, the differences of the third and fourth line would lose digits."""
_MIDDLE: Final = 1 / 2

_PLAIN: Final = 2e-6
"""From this KL on, and from a quarter of it for JS, the plain sums have nine digits."""

_LONGEST: Final = 2**13
"""Of longer products the sums of the parts are added: beyond 10,000 BLAS would wake threads."""

_COLUMNS: Final = 2**13
"""So many classes at a time: 64 KiB an array, and some nine are at work."""

# tanh h = h − h³/3 + …: its coefficients (NIST Handbook 4.33.3).
_TANH: Final = (
    1,
    -1 / 3,
    2 / 15,
    -17 / 315,
    62 / 2835,
    -1382 / 155_925,
    21_844 / 6_081_075,
    -929_569 / 638_512_875,
    6_404_582 / 10_854_718_875,
)


@dataclass(frozen=True, slots=True)
class _Series:
    """Power series in z = d², highest power first.

    eᵈ − 1 − d = z·(even(z) + d·odd(z)), and h·tanh h − log cosh h = z·jensen(z): log cosh is the
    integral of tanh.
    """

    even: tuple[float, ...]
    odd: tuple[float, ...]
    jensen: tuple[float, ...]

    @classmethod
    def of(cls, exponential: int, jensen: int) -> _Series:
        """So many terms of either."""
        return cls(
            tuple(1 / factorial(2 * n + 2) for n in reversed(range(exponential))),
            tuple(1 / factorial(2 * n + 3) for n in reversed(range(exponential))),
            tuple(_TANH[n] * (1 - 1 / (2 * n + 2)) / 4 ** (n + 1) for n in reversed(range(jensen))),
        )


# What is left out is below 1e-13 of the sum.
_SHORT: Final = _Series.of(4, 5)
_LONG: Final = _Series.of(6, 9)


class PairedRows(NamedTuple):
    """One number for each row, in nats.

    Attributes:
        kl: KL(q‖p), of the compressed model p from the original q.
        kl_reverse: KL(p‖q).
        js: JS(p, q).
        cross_entropy: H_p(q).
        entropy_q, entropy_p: of either distribution.
        total_q, total_p: log Σeˣ and log Σeʸ, what is to be subtracted for log-probabilities.
    """

    kl: FloatArray
    kl_reverse: FloatArray
    js: FloatArray
    cross_entropy: FloatArray
    entropy_q: FloatArray
    entropy_p: FloatArray
    total_q: FloatArray
    total_p: FloatArray


class RowComparer:
    """Compares rows of one width, block by block, without ever asking for memory again.

    Args:
        rows: how many a block has at most.
        classes: the width.
    """

    def __init__(self, rows: int, classes: int) -> None:
        self._whole = tuple(np.empty(rows * classes) for _ in range(4))
        self._part = tuple(np.empty(rows * min(classes, _COLUMNS)) for _ in range(4))

    def compare(self, x: FloatArray, y: FloatArray) -> PairedRows:
        """All figures of a block.

        Args:
            x: logarithms of the original's distribution up to a constant, such as logits; shape
                (rows, K), finite, the largest of a row zero.
            y: the same of the compressed model.
        """
        q, p, d, ratio = (whole[: x.size].reshape(x.shape) for whole in self._whole)
        np.exp(x, out=q)
        np.exp(y, out=p)
        sum_q, sum_p = q.sum(axis=-1), p.sum(axis=-1)
        total_q, total_p = np.log(sum_q), np.log(sum_p)
        np.subtract(y, x, out=d)
        # Of a quotient near one, for the difference of two logarithms loses digits.
        shift = np.log(sum_p / sum_q)
        # Every term is positive.
        entropy_q = total_q - _dot(q, x) / sum_q
        entropy_p = total_p - _dot(p, y) / sum_p
        figures = _plain((q, p, d), (sum_q, sum_p, shift), ratio)
        enough = figures >= _PLAIN * np.array([[1.0], [1.0], [0.25]])
        close = np.flatnonzero(~enough.all(axis=0))
        if len(close):
            for place, row in enumerate(close):  # which stands there or further down
                np.divide(q[row], sum_q[row], out=q[place])
                np.divide(p[row], sum_p[row], out=p[place])
                np.subtract(d[row], shift[row], out=d[place])
            count = len(close)
            figures[:, close] = self._by_terms(q[:count], p[:count], d[:count])
        kl, kl_reverse, js = figures
        return PairedRows(
            kl=kl,
            kl_reverse=kl_reverse,
            js=np.minimum(js, LN_2),
            cross_entropy=entropy_q + kl,
            entropy_q=entropy_q,
            entropy_p=entropy_p,
            total_q=total_q,
            total_p=total_p,
        )

    def _by_terms(self, q: FloatArray, p: FloatArray, d: FloatArray) -> FloatArray:
        """Both KL and JS, (3, rows), as sums of positive terms. Spends its arguments."""
        rows, classes = q.shape
        figures = np.zeros((3, rows))
        for start in range(0, classes, _COLUMNS):
            here = slice(start, min(start + _COLUMNS, classes))
            self._add(figures, q[:, here], p[:, here], d[:, here])
        return figures

    def _add(self, figures: FloatArray, q: FloatArray, p: FloatArray, d: FloatArray) -> None:
        """Add the terms of some columns, each row by what suits it. Spends q, p and d.

        A row's figures are the same whatever stands beside it.
        """
        z = self._part[0][: q.size].reshape(q.shape)
        np.multiply(d, d, out=z)
        share = np.count_nonzero(z >= NEAR**2, axis=-1) / max(1, q.shape[1])
        for wanted, series in (
            (share < 0.1, _SHORT),
            ((share >= 0.1) & (share < 0.7), _LONG),
            (share >= 0.7, None),
        ):
            rows = np.flatnonzero(wanted)
            if len(rows) == len(q):
                self._add_alike(figures, q, p, d, series)
            elif len(rows):
                some = np.zeros((3, len(rows)))
                self._add_alike(some, q[rows], p[rows], d[rows], series)
                figures[:, rows] += some

    def _add_alike(
        self,
        figures: FloatArray,
        q: FloatArray,
        p: FloatArray,
        d: FloatArray,
        series: _Series | None,
    ) -> None:
        """Add the terms of some columns by a series, or as differences. Spends q, p and d."""
        z, first, second, third = (part[: q.size].reshape(q.shape) for part in self._part)
        np.multiply(d, d, out=z)
        bound = _MIDDLE if series is _LONG else NEAR
        places = np.flatnonzero(z < bound**2 if series is None else z >= bound**2)
        if len(places):
            self._add_few(figures, places, d, q, p, near=series is None)
            np.multiply(d, d, out=z)
        if series is None:
            _add_apart(figures, d, q, p, (z, first, second, third))
        else:
            _add_near(figures, series, d, z, q, p, (first, second))

    def _add_few(
        self,
        figures: FloatArray,
        places: NDArray[np.intp],
        d: FloatArray,
        q: FloatArray,
        p: FloatArray,
        *,
        near: bool,
    ) -> None:
        """Add the terms at some places, and take them out of the rest."""
        rows, columns = np.divmod(places, d.shape[1])
        few = d[rows, columns], q[rows, columns], p[rows, columns]
        for values in (d, q, p):
            values[rows, columns] = 0.0
        for total, terms in zip(figures, _near(*few) if near else _apart(*few), strict=True):
            total += np.bincount(rows, terms, len(total))


def _plain(
    terms: tuple[FloatArray, FloatArray, FloatArray],
    sums: tuple[FloatArray, FloatArray, FloatArray],
    room: FloatArray,
) -> FloatArray:
    """Both KL and JS, (3, rows), as they are defined.

    Args:
        terms: q and p up to a factor, and d up to what is to be subtracted from all of a row.
        sums: the factors, and that.
        room: for the ratios.
    """
    (q, p, d), (sum_q, sum_p, shift) = terms, sums
    forward, backward = _dot(q, d) / sum_q - shift, _dot(p, d) / sum_p - shift
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # A q that underflows leaves no number, and JS to the sum of its terms.
        np.divide(p, q, out=room)
        room *= (0.5 * sum_q / sum_p)[:, None]
        room += 0.5
        np.log(room, out=room)
        jensen = 0.5 * (backward - _dot(q, room) / sum_q - _dot(p, room) / sum_p)
    return np.stack((-forward, backward, jensen))


def _add_near(
    figures: FloatArray,
    series: _Series,
    d: FloatArray,
    z: FloatArray,
    q: FloatArray,
    p: FloatArray,
    room: tuple[FloatArray, FloatArray],
) -> None:
    """Add all terms by their series. Spends d, q and p."""
    even, odd = room
    _polynomial(series.even, z, even)
    _polynomial(series.odd, z, odd)
    odd *= d
    q *= z
    p *= z
    figures[0] += _dot(q, even) + _dot(q, odd)
    figures[1] += _dot(p, even) - _dot(p, odd)
    q += p
    figures[2] += 0.5 * _dot(q, _polynomial(series.jensen, z, even))


def _add_apart(
    figures: FloatArray, d: FloatArray, q: FloatArray, p: FloatArray, room: tuple[FloatArray, ...]
) -> None:
    """Add all terms as differences. Spends d, q and p."""
    difference, terms, size, low = room
    np.subtract(p, q, out=difference)
    np.multiply(q, d, out=terms)
    np.subtract(difference, terms, out=terms)
    figures[0] += terms.sum(axis=-1)
    np.multiply(p, d, out=terms)
    terms -= difference
    figures[1] += terms.sum(axis=-1)
    np.abs(d, out=size)
    np.minimum(p, q, out=low)
    low *= size
    np.negative(size, out=size)
    np.exp(size, out=terms)
    np.log1p(terms, out=terms)
    np.subtract(LN_2, terms, out=terms)
    p += q
    p *= terms
    p -= low
    figures[2] += 0.5 * p.sum(axis=-1)


def _near(d: FloatArray, q: FloatArray, p: FloatArray) -> tuple[FloatArray, ...]:
    """The terms of both KL and of JS where |d| < `NEAR`."""
    z = d * d
    even, odd, jensen = (
        _polynomial(coefficients, z, np.empty_like(z))
        for coefficients in (_SHORT.even, _SHORT.odd, _SHORT.jensen)
    )
    odd *= d
    return q * z * (even + odd), p * z * (even - odd), 0.5 * (p + q) * z * jensen


def _apart(d: FloatArray, q: FloatArray, p: FloatArray) -> tuple[FloatArray, ...]:
    """The terms of both KL and of JS elsewhere."""
    difference, size = p - q, np.abs(d)
    jensen = (p + q) * (LN_2 - np.log1p(np.exp(-size))) - size * np.minimum(p, q)
    return difference - q * d, p * d - difference, 0.5 * jensen


def _polynomial(coefficients: tuple[float, ...], z: FloatArray, out: FloatArray) -> FloatArray:
    """Horner's scheme, highest power first."""
    first, *others, last = coefficients
    np.multiply(z, first, out=out)
    for coefficient in others:
        out += coefficient
        out *= z
    out += last
    return out


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """The sum of products of each row."""
    total: FloatArray = np.vecdot(a[:, :_LONGEST], b[:, :_LONGEST])
    for start in range(_LONGEST, a.shape[1], _LONGEST):
        total += np.vecdot(a[:, start : start + _LONGEST], b[:, start : start + _LONGEST])
    return total
