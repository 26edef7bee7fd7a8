"""Strided views of blocks of bytes, and their values in chunks.

A state dict, a ``.pt2`` archive and a live module all store tensors as views of storages, and two
tensors may be views of one. Everything here is NumPy; a view is checked against its block before a
byte is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import bits_of

__all__ = ["CHUNK", "Strided", "contiguous_strides", "masked", "numpy_type", "unpacked"]

CHUNK = 4 * 2**20
"""Elements that a reader yields at a time, at most."""

_MOST_REPEATED = 2**26
_Chunks = Iterator[NDArray[Any]]


@cache
def numpy_type(dtype: str) -> np.dtype[Any]:
    """The NumPy type that holds a stored element. Booleans are bytes: they may hold more than 1."""
    import ml_dtypes

    extended: dict[str, Any] = {
        "bool": np.uint8,
        "bfloat16": ml_dtypes.bfloat16,
        "complex32": np.uint32,
        "float8e4m3fn": ml_dtypes.float8_e4m3fn,
        "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
        "float8e5m2": ml_dtypes.float8_e5m2,
        "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
        "float8e8m0": ml_dtypes.float8_e8m0fnu,
        "float6e2m3": ml_dtypes.float6_e2m3fn,
        "float6e3m2": ml_dtypes.float6_e3m2fn,
        "float4e2m1": ml_dtypes.float4_e2m1fn,
    }
    found: np.dtype[Any] = np.dtype(extended.get(dtype, dtype))
    return found


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a row-major tensor."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


@dataclass(frozen=True, slots=True)
class Strided:
    """A view of a block of bytes.

    Attributes:
        block: what tells two blocks apart.
        block_bytes: the size of the block.
        read: the block as bytes; called only when values are read.
        dtype: element type of whole bytes.
        shape, strides, offset: the view; strides and offset in elements.
    """

    block: Hashable
    block_bytes: int
    read: Callable[[], NDArray[np.uint8]] = field(compare=False, repr=False)
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def item_bytes(self) -> int:
        """Bytes of one element."""
        return bits_of(self.dtype) // 8

    @property
    def elements(self) -> int:
        """Elements that the shape describes."""
        return math.prod(self.shape)

    @property
    def start(self) -> int:
        """First byte in the block."""
        return self.offset * self.item_bytes

    @property
    def end(self) -> int:
        """One past the last byte in the block."""
        if not self.elements:
            return self.start
        reach = sum((n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True))
        return self.start + (reach + 1) * self.item_bytes

    @property
    def fits(self) -> bool:
        """Whether the view is well formed and lies inside its block."""
        if len(self.shape) != len(self.strides) or self.offset < 0:
            return False
        if min((*self.shape, *self.strides), default=0) < 0:
            return False
        return self.elements == 0 or self.end <= self.block_bytes

    @property
    def is_absurd(self) -> bool:
        """Whether a few stored bytes claim to be very many elements."""
        stored = self.block_bytes // self.item_bytes
        return self.elements > max(_MOST_REPEATED, 16 * stored)

    @property
    def is_fill(self) -> bool:
        """Whether one stored element stands for several."""
        return self.elements > 1 and self.end - self.start == self.item_bytes

    @property
    def is_injective(self) -> bool:
        """Whether no two elements share bytes (a sufficient test)."""
        reach = 0
        for stride, n in sorted(zip(self.strides, self.shape, strict=True)):
            if n > 1 and stride <= reach:
                return False
            reach += (n - 1) * stride
        return True

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        rows = zip(self.shape, self.strides, contiguous_strides(self.shape), strict=True)
        return all(n == 1 or stride == expected for n, stride, expected in rows)

    def values(self) -> _Chunks:
        """The elements in row-major order, a chunk at a time; one element for a fill."""
        if not self.elements:
            return
        raw = self.read()[self.start : self.end]
        kind = numpy_type(self.dtype)
        if self.is_contiguous or self.is_fill:
            step = CHUNK * self.item_bytes
            for begin in range(0, len(raw), step):
                yield _typed(raw[begin : begin + step], kind)
            return
        strides = tuple(stride * self.item_bytes for stride in self.strides)
        yield from _pieces(
            np.lib.stride_tricks.as_strided(_typed(raw, kind), self.shape, strides, writeable=False)
        )


def _typed(raw: NDArray[np.uint8], kind: np.dtype[Any]) -> NDArray[Any]:
    if raw.ctypes.data % kind.alignment:
        raw = raw.copy()
    return raw.view(kind)


def _pieces(array: NDArray[Any]) -> _Chunks:
    if array.size <= CHUNK:
        yield array.reshape(-1)
        return
    rows = CHUNK // (array.size // len(array))
    if rows == 0:
        for row in array:
            yield from _pieces(row)
        return
    for begin in range(0, len(array), rows):
        yield array[begin : begin + rows].reshape(-1)


def masked(values: Callable[[], _Chunks], mask: Callable[[], _Chunks]) -> Callable[[], _Chunks]:
    """A reader of the products of two tensors of one shape: weights and their pruning mask."""

    def read() -> _Chunks:
        kept: NDArray[Any] = np.empty(0, np.uint8)
        masks = mask()
        for chunk in values():
            position = 0
            while position < len(chunk):
                if not len(kept):
                    kept = next(masks)
                n = min(len(kept), len(chunk) - position)
                part = chunk[position : position + n]
                with np.errstate(all="ignore"):  # a mask may hold anything
                    product = part * kept[:n].astype(part.dtype)
                yield product
                kept = kept[n:]
                position += n

    return read


def unpacked(
    read: Callable[[], NDArray[np.uint8]], bits: int, elements: int
) -> Callable[[], _Chunks]:
    """A reader of elements of 1 to 7 bits, stored one after the other, lowest bits first."""

    def values() -> _Chunks:
        raw = read()
        weights = (1 << np.arange(bits)).astype(np.uint8)
        left = elements
        step = CHUNK * bits // 8
        for begin in range(0, len(raw), step):
            singles = np.unpackbits(raw[begin : begin + step], bitorder="little")
            codes = singles[: len(singles) // bits * bits].reshape(-1, bits) @ weights
            yield codes[:left]
            left -= len(codes)

    return values
