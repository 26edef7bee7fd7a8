"""Which elements of a large tensor its entropy is judged by.

A run from every block of elements, at places that a fixed seed decides. The blocks are counted from
the tensor's beginning, so the sample does not depend on how a reader cuts its chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor

__all__ = ["SAMPLED_ABOVE_BYTES", "Sample", "sampled"]

SAMPLED_ABOVE_BYTES = 64_000_000
_BLOCK = 1 << 18
_LARGEST_SHARE = 64
_LEAST_ELEMENTS = 1 << 20
_SEED = 20171023  # any number; stated, so that two runs draw the same sample


class Sample:
    """The sample of one tensor, asked for piece by piece from the beginning on."""

    def __init__(self, tensor: Tensor) -> None:
        self._whole = tensor.bytes <= SAMPLED_ABOVE_BYTES
        self._elements = tensor.stored_elements
        wanted = max(_LEAST_ELEMENTS, self._elements // _LARGEST_SHARE)
        self._share = min(1.0, wanted / max(1, self._elements))
        self._random = None if self._whole else np.random.default_rng(_SEED)
        self._drawn = 0
        self._runs: list[tuple[int, int]] = []

    def of(self, start: int, length: int) -> list[slice]:
        """The parts of this piece that belong to the sample.

        Args:
            start: the piece's position in the tensor; pieces are asked for in order.
            length: its elements.
        """
        if self._whole:
            return [slice(0, length)]
        end = start + length
        while self._drawn < end:
            self._draw()
        self._runs = [(first, last) for first, last in self._runs if last > start]
        parts = ((max(first, start), min(last, end)) for first, last in self._runs)
        return [slice(first - start, last - start) for first, last in parts if first < last]

    def _draw(self) -> None:
        """The run of the next block."""
        assert self._random is not None
        begin = self._drawn
        size = min(_BLOCK, self._elements - begin) if begin < self._elements else _BLOCK
        wanted = max(1, int(size * self._share))
        first = begin + int(self._random.integers(0, size - wanted + 1))
        self._runs.append((first, first + wanted))
        self._drawn = begin + size


def sampled(tensor: Tensor) -> Iterator[NDArray[Any]]:
    """The sample of a tensor, read in order; all of it where it is not large."""
    assert tensor.values is not None
    sample, start = Sample(tensor), 0
    for chunk in tensor.values():
        for part in sample.of(start, len(chunk)):
            yield chunk[part]
        start += len(chunk)
