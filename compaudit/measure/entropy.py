"""How small could a lossless coder make the stored values? MEASURING §2.

For each tensor the smaller of two codes of independent symbols: its values as symbols, with a table
of the distinct ones (narrow types; pruned, clustered or shared weights), or its byte planes (dense
floats).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.theory.coding import kt_code_length, plug_in_entropy

__all__ = ["CodedSize", "coded_size"]

_NARROW_BITS = 16
_SAMPLED_ABOVE_BYTES = 64_000_000
_SAMPLE_CHUNKS = 64
_LEAST_SAMPLE = 1_000_000
# Above so many distinct values a table of them costs more than byte planes ever do.
_MOST_DISTINCT = 1 << 16
_SLICE = 1 << 18
_SEED = 20171023  # any number; stated, so that two runs draw the same sample

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class CodedSize:
    """What a lossless coder would need for one tensor.

    Attributes:
        bytes: for the whole tensor, rounded up.
        entropy_bits: plug-in Shannon entropy of one element, by the better of the two codes.
        sampled: the share of elements it was extrapolated from; 1 for all of them.
    """

    bytes: int
    entropy_bits: float
    sampled: float


def coded_size(tensor: Tensor) -> CodedSize | None:
    """The coded size of one tensor; None where its values cannot be read.

    A tensor above 64 MB is judged by a sample of at least a million elements, drawn as whole runs
    from places that a fixed seed decides.
    """
    if tensor.values is None or tensor.dtype == "string":
        return None
    counter = _Counter(tensor.bits)
    seen = 0
    for codes in _drawn(tensor):
        counter.add(codes)
        seen += len(codes)
    if seen == 0:
        return CodedSize(0, 0.0, 1.0)
    bits, entropy = counter.cheapest()
    stored = tensor.bytes * 8
    share = 1.0
    if tensor.bytes > _SAMPLED_ABOVE_BYTES:
        share = min(1.0, seen / tensor.stored_elements)
    # A sparse tensor's indices are not among its values; they are taken as they are stored.
    indices = max(0.0, stored - seen / share * tensor.bits)
    # No coder makes it larger than it is: it can store the bytes as they are.
    return CodedSize(math.ceil(min(bits / share + indices, stored) / 8), entropy, share)


class _Counter:
    """Counts symbols both ways, chunk by chunk, in bounded memory."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._narrow = np.zeros(1 << _NARROW_BITS, dtype=np.int64) if bits <= _NARROW_BITS else None
        self._distinct: dict[str, NDArray[Any]] | None = None
        self._too_many = False
        self._planes = np.zeros((max(1, bits // 8), 256), dtype=np.int64)

    def add(self, codes: Codes) -> None:
        """Take in one chunk of raw codes."""
        if self._narrow is not None:
            self._narrow += np.bincount(codes, minlength=len(self._narrow))
            return
        for place, plane in enumerate(_planes(codes)):
            self._planes[place] += np.bincount(plane, minlength=256)
        for start in range(0, len(codes), _SLICE):
            if self._too_many:
                break
            self._count_distinct(codes[start : start + _SLICE])

    def cheapest(self) -> tuple[float, float]:
        """Bits of the cheaper code, and its plug-in entropy for each element."""
        if self._narrow is not None:
            counts = self._narrow[self._narrow > 0]
            return self._as_symbols(counts)
        planes = (
            sum(kt_code_length(plane, 256) for plane in self._planes),
            sum(plug_in_entropy(plane) for plane in self._planes),
        )
        if self._too_many or self._distinct is None:
            return planes
        return min(planes, self._as_symbols(self._distinct["counts"]))

    def _as_symbols(self, counts: NDArray[Any]) -> tuple[float, float]:
        table = len(counts) * self._bits
        return kt_code_length(counts, len(counts)) + table, plug_in_entropy(counts)

    def _count_distinct(self, codes: Codes) -> None:
        values, counts = np.unique(codes, return_counts=True)
        if self._distinct is not None:
            known = self._distinct
            values, places = np.unique(
                np.concatenate([known["values"], values]), return_inverse=True
            )
            counts = np.bincount(places, np.concatenate([known["counts"], counts])).astype(np.int64)
        self._too_many = len(values) > _MOST_DISTINCT
        self._distinct = None if self._too_many else {"values": values, "counts": counts}


def _planes(codes: Codes) -> Iterator[NDArray[np.uint8]]:
    """The bytes of every element, one plane a significance."""
    octets = codes.view(np.uint8).reshape(len(codes), -1)
    for place in range(octets.shape[1]):
        yield octets[:, place]


def _drawn(tensor: Tensor) -> Iterator[Codes]:
    """The raw codes of all chunks, or of a sample of a large tensor."""
    assert tensor.values is not None
    if tensor.bytes <= _SAMPLED_ABOVE_BYTES:
        yield from (_codes(chunk) for chunk in tensor.values())
        return
    random = np.random.default_rng(_SEED)
    share = (
        max(_LEAST_SAMPLE * 4, tensor.stored_elements // _SAMPLE_CHUNKS) / tensor.stored_elements
    )
    for chunk in tensor.values():
        wanted = max(1, int(len(chunk) * min(1.0, share)))
        start = int(random.integers(0, len(chunk) - wanted + 1))
        yield _codes(chunk[start : start + wanted])


def _codes(chunk: NDArray[Any]) -> Codes:
    """Values as unsigned integers of their width; −0 and 0 are two codes, as they are stored."""
    if chunk.dtype == np.bool_:
        return np.ascontiguousarray(chunk).view(np.uint8)
    return np.ascontiguousarray(chunk).view(np.dtype(f"u{chunk.dtype.itemsize}"))
