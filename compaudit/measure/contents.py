"""What do the stored values hold? Read once, in pieces, by several threads.

A thread takes a tensor, and when none is left, joins another in one that is still being read: one
tensor of gigabytes keeps every core busy, as a thousand small ones do. Memory is bounded by what
the threads have in hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit import machine
from compaudit.measure.entropy import CodedSize, coded_size
from compaudit.measure.histograms import Histogram, Scratch, codes_of, histogram
from compaudit.measure.sample import Sample
from compaudit.measure.zeros import nonzero_test
from compaudit.models.base import Tensor

__all__ = ["Contents", "contents_of"]

_PIECE = 1 << 18
_MOST_THREADS = 8
_WORTH_JOINING = 4 * _PIECE


@dataclass(frozen=True, slots=True)
class Contents:
    """What the values of one tensor hold.

    Attributes:
        values: how many values are stored; fewer than the shape says of sparse tensors and fills.
        nonzeros: elements whose dequantised value is not zero; None where they cannot be read.
        coded: what a lossless coder would need; None where they cannot be read, or nobody asked.
    """

    values: int
    nonzeros: int | None
    coded: CodedSize | None


def contents_of(tensors: Sequence[Tensor], *, entropy: bool = True) -> list[Contents]:
    """The contents of each tensor, in order.

    Args:
        tensors: those without values, and text, hold nothing that can be counted.
        entropy: whether to count codes too, which costs several times as much.

    Raises:
        RequestError: a tensor's bytes cannot be read.
    """
    readings = {
        place: _Reading(tensor, entropy)
        for place, tensor in enumerate(tensors)
        if tensor.values is not None and tensor.dtype != "string"
    }
    queue = _Queue(list(readings.values()))
    threads = min(_MOST_THREADS, machine.usable_cores())
    if threads == 1:
        queue.work()
    else:
        with ThreadPoolExecutor(threads) as pool:
            for worker in [pool.submit(queue.work) for _ in range(threads)]:
                worker.result()
    nothing = Contents(0, None, None)
    return [
        readings[place].contents if place in readings else nothing for place in range(len(tensors))
    ]


# ------------------------------------------------------------------------------ one tensor


class _Piece:
    """Some values: where they begin, and which of them belong to the sample."""

    __slots__ = ("sample", "start", "values")

    def __init__(self, values: NDArray[Any], start: int, sample: list[slice]) -> None:
        self.values, self.start, self.sample = values, start, sample


class _Reading:
    """One tensor, handed out in pieces to whoever asks; the last to leave sums up."""

    def __init__(self, tensor: Tensor, entropy: bool) -> None:
        self.contents = Contents(0, None, None)
        self._tensor, self._entropy = tensor, entropy
        self._lock = Lock()
        self._pieces: Iterator[_Piece] | None = None
        self._left = tensor.stored_elements
        self._readers = 0
        self._is_summed_up = False
        self._values = self._nonzeros = 0
        self._counts: Histogram | None = None

    @property
    def is_worth_joining(self) -> bool:
        """Whether enough is left for one more thread."""
        return self._left > _WORTH_JOINING

    def read(self, scratch: Scratch) -> None:
        """Count pieces until there are none left."""
        tensor = self._tensor
        is_nonzero = nonzero_test(tensor)
        nonzeros = 0
        counts = histogram(tensor.bits, tensor.stored_elements) if self._entropy else None
        with self._lock:
            self._readers += 1
        while (piece := self._next()) is not None:
            nonzeros += int(np.count_nonzero(is_nonzero(piece.values, piece.start)))
            if counts is not None:
                for part in piece.sample:
                    counts.add(codes_of(piece.values[part]), scratch)
        with self._lock:
            self._nonzeros += nonzeros
            if counts is not None:
                if self._counts is None:
                    self._counts = counts
                else:
                    self._counts.merge(counts)
            self._readers -= 1
            is_last = self._readers == 0 and not self._is_summed_up
            self._is_summed_up |= is_last
        if is_last:
            self._sum_up()

    def _next(self) -> _Piece | None:
        with self._lock:
            if self._pieces is None:
                self._pieces = self._cut()
            piece = next(self._pieces, None)
            if piece is None:
                self._left = 0
            else:
                self._left -= len(piece.values)
                self._values += len(piece.values)
            return piece

    def _cut(self) -> Iterator[_Piece]:
        assert self._tensor.values is not None
        sample, start = Sample(self._tensor), 0
        for chunk in self._tensor.values():
            for begin in range(0, len(chunk), _PIECE):
                values = chunk[begin : begin + _PIECE]
                parts = sample.of(start, len(values)) if self._entropy else []
                yield _Piece(values, start, parts)
                start += len(values)

    def _sum_up(self) -> None:
        tensor, nonzeros = self._tensor, self._nonzeros
        if tensor.fill and nonzeros:
            nonzeros = tensor.logical_elements
        coded = None if self._counts is None else coded_size(tensor, self._counts)
        self.contents = Contents(self._values, nonzeros, coded)


class _Queue:
    """The tensors to read, first come, first served."""

    def __init__(self, readings: Sequence[_Reading]) -> None:
        self._waiting = iter(readings)
        self._begun: list[_Reading] = []
        self._lock = Lock()

    def work(self) -> None:
        """Read until nothing is left to read."""
        scratch = Scratch()
        while (reading := self._take()) is not None:
            reading.read(scratch)

    def _take(self) -> _Reading | None:
        with self._lock:
            reading = next(self._waiting, None)
            if reading is not None:
                self._begun = [one for one in self._begun if one.is_worth_joining]
                self._begun.append(reading)
                return reading
            return next((one for one in self._begun if one.is_worth_joining), None)
