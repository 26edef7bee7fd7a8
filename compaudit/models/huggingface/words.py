"""Codes of a few bits inside integers, and readers that unpack them a few rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.torch.strided import CHUNK

__all__ = ["by_rows", "split_nibbles", "unpack_words", "words_of"]


def words_of(values: int, bits: int, width: int, *, crossing: bool = True) -> int:
    """Integers of `width` bits that so many codes fill.

    A code may lie across two of them where `crossing`; else it begins in a new one.
    """
    return -(-values * bits // width) if crossing else -(-values // (width // bits))


def unpack_words(
    words: NDArray[np.integer[Any]], bits: int, *, crossing: bool = True
) -> NDArray[np.uint8]:
    """Codes packed along the last axis of integers, lowest bits first.

    Args:
        words: [..., w], of any integer type.
        bits: of one code, 1 to 8.
        crossing: whether a code may lie across two integers, as GPTQ's 3 bits do.

    Returns:
        [..., n], n at least as many as were packed: the rest of the last integers comes with them.
    """
    width = words.dtype.itemsize * 8
    words = words.view(f"u{words.dtype.itemsize}")
    step = math.gcd(bits, width)
    period, count = (bits // step, width // step) if crossing else (1, width // bits)
    missing = -words.shape[-1] % period
    if missing:
        words = np.pad(words, [(0, 0)] * (words.ndim - 1) + [(0, missing)])
    groups = words.reshape(*words.shape[:-1], -1, period)
    codes = np.empty((*groups.shape[:-1], count), np.uint8)
    mask = (1 << bits) - 1
    for place in range(count):
        word, offset = divmod(place * bits, width)
        found = groups[..., word] >> offset
        if offset + bits > width:
            found |= groups[..., word + 1] << (width - offset)
        np.bitwise_and(found, mask, out=codes[..., place], casting="unsafe")
    return codes.reshape(*words.shape[:-1], -1)


def split_nibbles(data: NDArray[np.uint8], *, high_first: bool = False) -> NDArray[np.uint8]:
    """The two 4-bit codes of every byte, along the last axis."""
    codes = np.empty((*data.shape, 2), np.uint8)
    codes[..., int(high_first)] = data & 0x0F
    codes[..., int(not high_first)] = data >> 4
    return codes.reshape(*data.shape[:-1], -1)


def by_rows(
    rows: int,
    columns: int,
    codes: Callable[[int, int], NDArray[Any]],
    *,
    together: int = 1,
) -> Callable[[], Iterator[NDArray[Any]]]:
    """A reader of a [rows, columns] matrix of codes, flat and in order.

    `codes` gives the rows from the first up to, not including, the second number; chunks begin at
    multiples of `together` rows, which can only be unpacked at once.
    """
    step = max(together, CHUNK // max(columns, 1) // together * together)

    def values() -> Iterator[NDArray[Any]]:
        if columns:
            for first in range(0, rows, step):
                yield codes(first, min(first + step, rows)).reshape(-1)

    return values
