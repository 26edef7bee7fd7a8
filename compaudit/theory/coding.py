"""How many bits a lossless coder of independent symbols needs. Bits, not nats: these are stored.

The Krichevsky–Trofimov estimator is the code length of an adaptive coder that starts knowing
nothing but the alphabet, so it prices small samples and large alphabets honestly, where the plug-in
entropy of the counts would call a thousand distinct values in a thousand elements nearly free of
surprises.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["kt_code_length", "plug_in_entropy"]


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
    occurring = _occurring(counts)
    if len(occurring) > alphabet:
        raise ValueError(f"{len(occurring)} symbols do not fit an alphabet of {alphabet}")
    if len(occurring) == 0:
        return 0.0
    total = float(occurring.sum())
    nats = math.lgamma(total + alphabet / 2) - math.lgamma(alphabet / 2)
    # Few different counts occur, however many symbols do.
    for count, symbols in zip(*np.unique(occurring, return_counts=True), strict=True):
        nats -= float(symbols) * (math.lgamma(float(count) + 0.5) - math.lgamma(0.5))
    # One symbol in an alphabet of one: the difference of equal terms may round below zero.
    return max(0.0, nats / math.log(2))


def plug_in_entropy(counts: ArrayLike) -> float:
    """Return the Shannon entropy of the relative frequencies, in bits for each symbol.

    Args:
        counts: how often each symbol occurs; zeros are allowed. No symbols at all give 0.

    Raises:
        ValueError: a negative count.

    Source: Shannon 1948, "A mathematical theory of communication", section 6.
    """
    occurring = _occurring(counts)
    if len(occurring) == 0:
        return 0.0
    shares = occurring / occurring.sum()
    return max(0.0, float(-np.sum(shares * np.log2(shares))))


def _occurring(counts: ArrayLike) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    array = np.asarray(counts, dtype=np.float64).ravel()
    if np.any(array < 0):
        raise ValueError("a count is negative")
    return array[array > 0]
