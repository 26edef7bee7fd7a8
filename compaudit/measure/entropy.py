"""How small could a lossless coder make the stored values? MEASURING §2.

For each tensor the smaller of two codes of independent symbols: its values as symbols, with a table
of the distinct ones (narrow types; pruned, clustered or shared weights), or its byte planes (dense
floats).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from compaudit.measure.distinct import count_distinct
from compaudit.measure.histograms import Counts, Histogram, Kept, Narrow, Wide, codes_of
from compaudit.measure.sample import SAMPLED_ABOVE_BYTES, sampled
from compaudit.models.base import Tensor
from compaudit.theory.coding import (
    kt_code_length,
    kt_code_lengths,
    plug_in_entropies,
    plug_in_entropy,
)

__all__ = ["CodedSize", "coded_size"]

_NARROW_BITS = 16
# Above so many distinct values a table of them costs more than byte planes ever do.
_MOST_DISTINCT = 1 << 16


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


def coded_size(tensor: Tensor, counts: Histogram) -> CodedSize:
    """The coded size of one tensor.

    A tensor above 64 MB is judged by a sample of at least a million elements, drawn as whole runs
    from places that a fixed seed decides.

    Args:
        tensor: read again where its values are few.
        counts: of all its codes, or of its sample.
    """
    seen = counts.seen
    if seen == 0:
        return CodedSize(0, 0.0, 1.0)
    bits, entropy = _cheapest(tensor, counts)
    stored = tensor.bytes * 8
    share = 1.0
    if tensor.bytes > SAMPLED_ABOVE_BYTES:
        share = min(1.0, seen / tensor.stored_elements)
    # A sparse tensor's indices are not among its values; they are taken as they are stored.
    indices = max(0.0, stored - seen / share * tensor.bits)
    # No coder makes it larger than it is: it can store the bytes as they are.
    return CodedSize(math.ceil(min(bits / share + indices, stored) / 8), entropy, share)


def _cheapest(tensor: Tensor, counts: Histogram) -> tuple[float, float]:
    """Bits of the cheaper code, and its plug-in entropy for each element."""
    bits = tensor.bits
    match counts:
        case Narrow():
            return _as_symbols(counts.counts, bits)
        case Kept() if bits <= _NARROW_BITS:
            return _as_symbols(_counts_of(counts), bits)
        case Kept() | Wide():
            planes = counts.planes()
        case _:
            raise TypeError(f"no code for {type(counts).__name__}")
    bytewise = float(kt_code_lengths(planes, 256).sum()), float(plug_in_entropies(planes).sum())
    distinct = _distinct(tensor, counts, bytewise[0])
    return bytewise if distinct is None else min(bytewise, _as_symbols(distinct, bits))


def _as_symbols(counts: Counts, bits: int) -> tuple[float, float]:
    occurring = counts[counts > 0]
    table = len(occurring) * bits
    return kt_code_length(occurring, len(occurring)) + table, plug_in_entropy(occurring)


def _distinct(tensor: Tensor, counts: Kept | Wide, most_bits: float) -> Counts | None:
    """Counts of the distinct values; None where their table alone costs more than `most_bits`."""
    if tensor.bits > 64:
        return None
    most = min(_MOST_DISTINCT, int(most_bits / tensor.bits))
    if isinstance(counts, Kept):
        found = _counts_of(counts)
        return found if len(found) <= most else None
    return count_distinct(lambda: map(codes_of, sampled(tensor)), counts, most)


def _counts_of(kept: Kept) -> Counts:
    return np.asarray(np.unique(kept.codes(), return_counts=True)[1], np.int64)
