"""How many bits a lossless coder of independent symbols needs. Bits, not nats: these are stored.

The Krichevsky–Trofimov estimator is the code length of an adaptive coder that starts knowing
nothing but the alphabet, so it prices small samples and large alphabets honestly, where the plug-in
entropy of the counts would call a thousand distinct values in a thousand elements nearly free of
surprises.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["kt_code_length", "kt_code_lengths", "plug_in_entropies", "plug_in_entropy"]

_FEW = 512


def kt_code_length(counts: ArrayLike, alphabet: int) -> float:
    """Return the bits that the Krichevsky–Trofimov code spends on symbols with these counts.

    It is −log₂ of Γ(K/2)/Γ(N + K/2) · ∏ Γ(nᵢ + ½)/Γ(½), with N symbols in all from an alphabet of
    K.

    Args:
        counts: how often each symbol occurs; symbols that do not occur may be left out.
        alphabet: K, the number of symbols that the decoder must expect.

    Raises:
        ValueError: a negative count, or more symbols than the alphabet has.

    Source: Krichevsky and Trofimov 1981, "The performance of universal encoding", IEEE Transactions
    on Information Theory 27:199.
    """
    return float(kt_code_lengths(np.atleast_2d(np.asarray(counts)), alphabet)[0])


def kt_code_lengths(counts: ArrayLike, alphabet: int) -> NDArray[np.float64]:
    """`kt_code_length` of every row of counts."""
    rows = _counts(counts)
    if rows.shape[-1] > alphabet:
        occurring = int(np.count_nonzero(rows, axis=-1).max(initial=0))
        if occurring > alphabet:
            raise ValueError(f"{occurring} symbols do not fit an alphabet of {alphabet}")
    nats = -_log_gamma_ratio(rows).sum(axis=-1)
    for place, total in enumerate(rows.sum(axis=-1).tolist()):
        nats[place] += math.lgamma(total + alphabet / 2) - math.lgamma(alphabet / 2)
    # One symbol in an alphabet of one: the difference of equal terms may round below zero.
    return np.asarray(np.maximum(nats / math.log(2), 0.0))


def plug_in_entropy(counts: ArrayLike) -> float:
    """Return the Shannon entropy of the relative frequencies, in bits for each symbol.

    Args:
        counts: how often each symbol occurs; zeros are allowed. No symbols at all give 0.

    Raises:
        ValueError: a negative count.

    Source: Shannon 1948, "A mathematical theory of communication", section 6.
    """
    return float(plug_in_entropies(np.atleast_2d(np.asarray(counts)))[0])


def plug_in_entropies(counts: ArrayLike) -> NDArray[np.float64]:
    """`plug_in_entropy` of every row of counts."""
    rows = _counts(counts)
    shares = rows / np.maximum(rows.sum(axis=-1, keepdims=True), 1)
    bits = -np.sum(shares * np.log2(np.where(shares > 0, shares, 1)), axis=-1)
    return np.asarray(np.maximum(bits, 0.0))


@cache
def _small_ratios() -> NDArray[np.float64]:
    """Ln Γ(n + ½)/Γ(½) for n from 0: the sum of ln(k − ½) over k from 1 to n."""
    return np.array([math.lgamma(n + 0.5) - math.lgamma(0.5) for n in range(_FEW)])


def _log_gamma_ratio(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ln Γ(n + ½)/Γ(½) of whole numbers; scipy.special would take 0.2 s to import for it.

    Above the table by Stirling's series, whose next term is below 1e-20 there.
    """
    small = _small_ratios()[np.minimum(counts, _FEW - 1).astype(np.intp)]
    if counts.max(initial=0) < _FEW:
        return small
    x = np.maximum(counts, _FEW) + 0.5
    tail = (1 / 12 - (1 / 360 - 1 / (1260 * x * x)) / (x * x)) / x
    large = (x - 0.5) * np.log(x) - x + tail + (math.log(2 * math.pi) / 2 - math.lgamma(0.5))
    return np.where(counts < _FEW, small, large)


def _counts(counts: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(counts, dtype=np.float64)
    if (array < 0).any():
        raise ValueError("a count is negative")
    return array
