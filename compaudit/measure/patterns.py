"""How the zeros of a matrix lie: in whole rows, columns and blocks, and in N of every M.

One pass over slabs of rows. What is not zero becomes a bit, sixteen neighbours a word, and the
words that occur tell every pattern of up to sixteen at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_COLUMNS", "Layout", "Mask", "Patterns", "chance", "slabs"]

Mask = NDArray[np.bool_]
Words = NDArray[np.unsignedinteger[Any]]

MOST_COLUMNS = 1 << 18
"""Of a matrix that is looked at; a slab of so many takes 16 MB, twice."""

_SLAB = 64  # rows: the largest block, and a multiple of all others
_SLAB_ELEMENTS = 1 << 20
_LENGTHS = (4, 8, 16, 32)
_SQUARES = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Layout:
    """A weight as a matrix of rows by columns; a column is a place of a kernel in a channel.

    Attributes:
        rows: output channels; of [in, out] matrices the inputs.
        channels: input channels; of [in, out] matrices the outputs.
        kernel: elements of a convolution's kernel; 1 elsewhere.
    """

    rows: int
    channels: int
    kernel: int

    @property
    def columns(self) -> int:
        """Elements of a row."""
        return self.channels * self.kernel


class Patterns:
    """What has been seen of one matrix, slab by slab from the top.

    Attributes:
        zero_rows: rows that are all zero.
        in_blocks: for each size of block, zeros that lie in blocks that are all zero. Blocks at the
            edges may be cut off.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.zero_rows = 0
        self.in_blocks: dict[tuple[int, int], int] = {}
        self._any = np.zeros(layout.columns, np.bool_)
        self._along_rows = np.zeros(1 << 16, np.bool_)
        self._across = np.zeros(1 << 16, np.bool_)

    @property
    def slab_rows(self) -> int:
        """Rows to give at a time (fewer at the end)."""
        return _SLAB * max(1, _SLAB_ELEMENTS // (_SLAB * self._layout.columns))

    @property
    def zero_channels(self) -> int:
        """Column channels that are all zero."""
        return int(np.count_nonzero(~self._any.reshape(-1, self._layout.kernel).any(axis=1)))

    def most_nonzeros(self, group: int) -> int:
        """The most that are not zero in any `group` neighbours, along the better of two axes.

        Along the row, and along the channels of a kernel's place or down the column. An axis
        shorter than a group has none.
        """
        layout = self._layout
        down = layout.rows if layout.kernel == 1 else layout.channels
        lengths = ((layout.columns, self._along_rows), (down, self._across))
        return min((_most(words, group) for size, words in lengths if size >= group), default=group)

    def add(self, nonzero: Mask) -> None:
        """Take in the next slab: [rows, columns], true where it is not zero."""
        rows, columns = nonzero.shape
        self._any |= nonzero.any(axis=0)
        self.zero_rows += rows - int(np.count_nonzero(nonzero.any(axis=1)))
        padded = np.zeros((-(-rows // _SLAB) * _SLAB, -(-columns // _SLAB) * _SLAB), np.bool_)
        padded[:rows, :columns] = nonzero
        along = np.packbits(padded, axis=1, bitorder="little")  # [rows, columns / 8]
        down = np.ascontiguousarray(np.packbits(padded, axis=0, bitorder="little").T)
        self._along_rows[along.view("<u2")] = True
        self._across[self._words_across(nonzero, down)] = True
        for length in _LENGTHS:
            self._count((1, length), _fields(along, length) == 0, rows, columns)
            self._count((length, 1), (_fields(down, length) == 0).T, rows, columns)
        for size in _SQUARES:
            merged = np.bitwise_or.reduce(along.reshape(-1, size, along.shape[1]), axis=1)
            self._count((size, size), _fields(merged, size) == 0, rows, columns)
        if (kernel := self._layout.kernel) > 1:
            kept: Mask = np.logical_or.reduce(nonzero.reshape(rows, -1, kernel), axis=2)
            self._count((1, kernel), np.logical_not(kept), rows, columns)

    def _words_across(self, nonzero: Mask, down: NDArray[np.uint8]) -> Words:
        """Sixteen neighbours down a column, or along the channels of a convolution, as words.

        `down` is [columns, rows / 8].
        """
        kernel = self._layout.kernel
        if kernel == 1:
            return down.view("<u2")
        channels = nonzero.reshape(len(nonzero), -1, kernel).transpose(0, 2, 1)
        packed = np.packbits(channels, axis=2, bitorder="little")
        if packed.shape[2] % 2:
            packed = np.pad(packed, ((0, 0), (0, 0), (0, 1)))
        return np.ascontiguousarray(packed).view("<u2")

    def _count(self, block: tuple[int, int], zero: Mask, rows: int, columns: int) -> None:
        """Add the elements of all zero blocks; those at the edges may be cut off."""
        (down, lower), (across, right) = divmod(rows, block[0]), divmod(columns, block[1])
        inside = block[0] * block[1] * int(np.count_nonzero(zero[:down, :across]))
        if right:
            inside += block[0] * right * int(np.count_nonzero(zero[:down, across]))
        if lower:
            inside += lower * block[1] * int(np.count_nonzero(zero[down, :across]))
        if lower and right:
            inside += lower * right * int(zero[down, across])
        self.in_blocks[block] = self.in_blocks.get(block, 0) + inside


def _fields(octets: NDArray[np.uint8], bits: int) -> Words:
    """Rows of bytes as numbers of 4, 8, 16, 32 or 64 bits."""
    if bits == 4:
        halves = np.empty((*octets.shape, 2), np.uint8)
        halves[..., 0], halves[..., 1] = octets & 15, octets >> 4
        return halves.reshape(len(octets), -1)
    return octets.view(f"<u{bits // 8}")


def _most(occurring: Mask, group: int) -> int:
    words = np.flatnonzero(occurring)
    return int(_popcounts(group)[words].max(initial=0))


@cache
def _popcounts(group: int) -> NDArray[np.uint8]:
    """For each word of sixteen the largest number of bits set in a group of it."""
    words = np.arange(1 << 16, dtype=np.uint16)
    parts = [words >> shift & (1 << group) - 1 for shift in range(0, 16, group)]
    counts: NDArray[np.uint8] = np.max([np.bitwise_count(part) for part in parts], axis=0)
    return counts


def slabs(pieces: Iterator[Mask], layout: Layout, rows: int) -> Iterator[Mask]:
    """Flat pieces of a matrix, cut anew into so many rows at a time."""
    size = rows * layout.columns
    slab, filled = np.empty(size, np.bool_), 0
    for piece in pieces:
        position = 0
        while position < len(piece):
            length = min(size - filled, len(piece) - position)
            slab[filled : filled + length] = piece[position : position + length]
            filled, position = filled + length, position + length
            if filled == size:
                yield slab.reshape(rows, -1)
                filled = 0
    if filled:
        yield slab[:filled].reshape(-1, layout.columns)


def chance(group: int, most: int, density: float) -> float:
    """The probability that a group of independent elements has more than `most` that are not 0."""
    return sum(
        math.comb(group, n) * density**n * (1 - density) ** (group - n)
        for n in range(most + 1, group + 1)
    )
