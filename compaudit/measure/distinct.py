"""How often does each distinct value of wide codes occur, if there are few enough to matter?

Most float weights are all different, and counting them would cost more than all else; so whether
there are few is decided by a look at some of them, and counting is left for those.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.histograms import Codes, Counts, Wide, take_slots

__all__ = ["count_distinct"]

_SLICE = 1 << 15
_LARGEST_JOINT = 1 << 20
_SLOTS = 1 << 18
_BINCOUNTED = 1 << 16


def count_distinct(read: Callable[[], Iterable[Codes]], found: Wide, most: int) -> Counts | None:
    """The counts of the distinct values, in no particular order; None where there are too many.

    Args:
        read: reads the codes, unsigned integers of 32 or 64 bits; called again for every pass.
        found: what the first pass over them counted.
        most: the number of distinct values above which nobody wants to know them.
    """
    if found.distinct_at_least > most:
        return None
    occurring = [np.flatnonzero(counts) for counts in found.counts]
    if max(map(len, occurring)) > most:
        return None
    if math.prod(map(len, occurring)) <= _LARGEST_JOINT:
        return _jointly(read(), occurring)
    if _more_than(read(), most):
        return None
    return _sorted(read(), most)


def _jointly(pieces: Iterable[Codes], occurring: list[NDArray[np.intp]]) -> Counts:
    """Counted in a table of all combinations of the half-words that occur."""
    ranks = [np.zeros(1 << 16, np.intp) for _ in occurring]
    size = 1
    for rank, words in zip(ranks, occurring, strict=True):
        rank[words] = np.arange(len(words)) * size
        size *= len(words)
    counts = np.zeros(size, np.int64)
    for part in _sliced(pieces):
        halves = part.view(np.uint16).reshape(len(part), -1)
        places = ranks[0][halves[:, 0]]
        for half in range(1, len(ranks)):
            places += ranks[half][halves[:, half]]
        if size <= _BINCOUNTED:
            counts += np.bincount(places, minlength=size)
        else:
            np.add.at(counts, places, 1)
    return counts[counts > 0]


def _more_than(pieces: Iterable[Codes], most: int) -> bool:
    """Whether there certainly are more: so many slots of a hash table are taken."""
    slots = np.zeros(_SLOTS, np.bool_)
    looked_at = 0
    for part in _sliced(pieces):
        take_slots(slots, part)
        looked_at += len(part)
        if looked_at > most and np.count_nonzero(slots) > most:
            return True
    return False


def _sorted(pieces: Iterable[Codes], most: int) -> Counts | None:
    """Counted by sorting, a slice at a time; zeros, which may be many, are left out of it."""
    known: Codes | None = None
    counts: Counts = np.zeros(0, np.int64)
    zeros = 0
    for part in _sliced(pieces, 8 * _SLICE):
        others = part[part != 0]
        zeros += len(part) - len(others)
        values, found = np.unique(others, return_counts=True)
        if known is not None:
            values, places = np.unique(np.concatenate([known, values]), return_inverse=True)
            found = np.concatenate([counts, found])
            merged = np.zeros(len(values), np.int64)
            np.add.at(merged, places, found)
            found = merged
        known, counts = values, found
        if len(known) + (zeros > 0) > most:
            return None
    return np.append(counts, zeros) if zeros else counts


def _sliced(pieces: Iterable[Codes], size: int = _SLICE) -> Iterable[Codes]:
    for codes in pieces:
        for start in range(0, len(codes), size):
            yield codes[start : start + size]
