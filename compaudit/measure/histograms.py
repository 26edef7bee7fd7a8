"""How often does each stored code occur, or each half-word of wide codes? Counted in one pass.

Two bytes are counted together: the counts of either byte are sums of the joint ones, and counting
is what costs. Tensors of a few thousand elements are kept instead, and counted at the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram", "Kept", "Narrow", "Scratch", "Wide", "codes_of", "histogram", "take_slots"]

Codes = NDArray[Any]
"""Unsigned integers, one an element; of elements wider than 64 bits, the elements themselves."""

Counts = NDArray[np.int64]

_SLICE = 1 << 17
_ENOUGH = 1 << 16
_HALF_WORDS = 1 << 16
_KEPT_ELEMENTS = 1 << 13
_PROBED = 5 << 14  # fills more than 2^16 of the slots where all are distinct
_SLOT_BITS = 18
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio (Knuth 1998, 6.4)


class Scratch:
    """Memory for the positions to count at, which a thread uses again and again."""

    def __init__(self) -> None:
        self.places = np.empty(_SLICE, np.intp)


def codes_of(values: NDArray[Any]) -> Codes:
    """Values as unsigned integers of their width; −0 and 0 are two codes, as they are stored."""
    contiguous = np.ascontiguousarray(values)
    size = contiguous.dtype.itemsize
    return contiguous.view(np.dtype(f"u{size}")) if size <= 8 else contiguous


class Histogram(ABC):
    """Counts of codes, taken in by pieces in any order; `seen` is how many."""

    seen: int = 0

    @abstractmethod
    def add(self, codes: Codes, scratch: Scratch) -> None:
        """Take in some codes."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Take in what another has counted."""


class Narrow(Histogram):
    """Types of at most 16 bits: counts of every code."""

    def __init__(self, codes: int) -> None:
        self.counts: Counts = np.zeros(codes, np.int64)

    def add(self, codes: Codes, scratch: Scratch) -> None:
        """Take in some codes."""
        del scratch
        self.counts += np.bincount(codes, minlength=len(self.counts))
        self.seen += len(codes)

    def merge(self, other: Self) -> None:
        """Take in the counts of another."""
        self.counts += other.counts
        self.seen += other.seen


class Wide(Histogram):
    """Wider types: counts of each of their half-words of 16 bits, the lowest first.

    The first codes also go through a hash table: as many values as it has slots taken certainly
    are distinct, which for dense weights is all that need be known about them.
    """

    def __init__(self, half_words: int) -> None:
        self._counts: Counts = np.zeros((half_words, _HALF_WORDS), np.int64)
        self._slots = np.zeros(1 << _SLOT_BITS, np.bool_)
        self._waiting: Codes | None = None
        self._filled = 0

    def add(self, codes: Codes, scratch: Scratch) -> None:
        """Take in some codes."""
        if self.seen < _PROBED and codes.dtype.kind == "u":
            take_slots(self._slots, codes[: _PROBED - self.seen])
        self.seen += len(codes)
        # A count costs as much as all half-words there are: few codes wait until they are many.
        if len(codes) >= _ENOUGH:
            self._count(codes, scratch)
            return
        if self._waiting is None:
            self._waiting = np.empty(_ENOUGH, codes.dtype)
        room = len(self._waiting) - self._filled
        first, rest = codes[:room], codes[room:]
        self._waiting[self._filled : self._filled + len(first)] = first
        self._filled += len(first)
        if self._filled == len(self._waiting):
            self._count_waiting(scratch)
            self._waiting[: len(rest)] = rest
            self._filled = len(rest)

    def merge(self, other: Self) -> None:
        """Take in the counts of another."""
        self._counts += other.counts
        self._slots |= other._slots
        self.seen += other.seen

    @property
    def counts(self) -> Counts:
        """How often each half-word occurs: [half-words of an element, 65536]."""
        if self._filled:
            self._count_waiting(Scratch())
        return self._counts

    def _count_waiting(self, scratch: Scratch) -> None:
        assert self._waiting is not None
        self._count(self._waiting[: self._filled], scratch)
        self._filled = 0

    def _count(self, codes: Codes, scratch: Scratch) -> None:
        words = codes.view(np.uint16).reshape(len(codes), -1)
        for start in range(0, len(words), _SLICE):
            part = words[start : start + _SLICE]
            places = scratch.places[: len(part)]
            for half, counts in enumerate(self._counts):
                np.copyto(places, part[:, half])
                counts += np.bincount(places, minlength=_HALF_WORDS)

    @property
    def distinct_at_least(self) -> int:
        """A lower bound of the number of distinct values; 0 beyond 64 bits."""
        return int(np.count_nonzero(self._slots))

    def planes(self) -> Counts:
        """The counts of every byte of the elements, the lowest first: [bytes, 256]."""
        joint = self.counts.reshape(-1, 256, 256)  # [half-word, high byte, low byte]
        return np.stack([joint.sum(axis=1), joint.sum(axis=2)], axis=1).reshape(-1, 256)


def take_slots(slots: NDArray[np.bool_], codes: Codes) -> None:
    """Mark where unsigned codes of 32 or 64 bits belong in a hash table of 2^18 slots."""
    bits = 8 * codes.dtype.itemsize
    factor = codes.dtype.type(_MULTIPLIER >> (64 - bits) | 1)
    slots[(codes * factor) >> codes.dtype.type(bits - _SLOT_BITS)] = True


class Kept(Histogram):
    """A small tensor of more than 8 bits: its codes."""

    def __init__(self) -> None:
        self._parts: list[Codes] = []

    def add(self, codes: Codes, scratch: Scratch) -> None:
        """Take in some codes."""
        del scratch
        self._parts.append(codes.copy())
        self.seen += len(codes)

    def merge(self, other: Self) -> None:
        """Take in the codes of another."""
        self._parts += other._parts
        self.seen += other.seen

    def codes(self) -> Codes:
        """All of them, in no particular order."""
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)

    def planes(self) -> Counts:
        """The counts of every byte of the elements, the lowest first: [bytes, 256]."""
        octets = self.codes().view(np.uint8).reshape(self.seen, -1)
        places = octets + np.arange(octets.shape[1]) * 256
        return np.bincount(places.reshape(-1), minlength=256 * octets.shape[1]).reshape(-1, 256)


def histogram(bits: int, elements: int) -> Histogram:
    """An empty histogram for about so many elements of a type of so many bits."""
    if bits <= 8:
        return Narrow(1 << 8)
    if elements <= _KEPT_ELEMENTS:
        return Kept()
    return Narrow(_HALF_WORDS) if bits <= 16 else Wide(bits // 16)
