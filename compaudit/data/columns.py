"""Columns of Arrow tables as arrays. Lists become dimensions; nulls are refused.

Imported only where pyarrow is known to be there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["Layout", "Piece", "UnevenError", "layout_of", "unnest"]


class UnevenError(Exception):
    """A row that is no array. `row` counts from the first of the piece."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(what)
        self.row = row


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a column become arrays.

    Attributes:
        dtype: of the values.
        sizes: one for each dimension; None where every list has its own.
    """

    dtype: np.dtype[Any]
    sizes: tuple[int | None, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, where all sizes are known."""
        return self.dtype.itemsize * math.prod(size or 0 for size in self.sizes)


def layout_of(kind: Any) -> Layout | None:
    """The layout of a column of this Arrow type; None where it holds no numbers."""
    if isinstance(kind, pa.FixedShapeTensorType):
        if kind.permutation not in (None, sorted(kind.permutation or ())):
            return None
        inner = layout_of(kind.value_type)
        return inner and Layout(inner.dtype, tuple(kind.shape))
    if pa.types.is_dictionary(kind):
        kind = kind.value_type  # what pandas calls a category
    sizes: list[int | None] = []
    while _is_list(kind):
        sizes.append(kind.list_size if pa.types.is_fixed_size_list(kind) else None)
        kind = kind.value_type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Layout(np.dtype(kind.to_pandas_dtype()), tuple(sizes))
    return None


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one column.

    Attributes:
        start: the first row.
        shapes: of every row: (rows, dimensions).
        ends: where the values of each row begin, and where those of the last end.
        values: of all rows, one behind the other.
    """

    start: int
    shapes: NDArray[np.int64]
    ends: NDArray[np.int64]
    values: NDArray[Any]

    @property
    def stop(self) -> int:
        """The row behind the last."""
        return self.start + len(self.shapes)

    def take(self, start: int, stop: int) -> NDArray[Any] | None:
        """The rows from `start` to `stop` as one array; None where their shapes differ."""
        shapes = self.shapes[start - self.start : stop - self.start]
        if (shapes != shapes[:1]).any():
            return None
        begin, end = self.ends[[start - self.start, stop - self.start]]
        return self.values[begin:end].reshape(len(shapes), *shapes[0].tolist())


def unnest(array: Any, layout: Layout, start: int) -> Piece:
    """The rows of an Arrow array.

    Args:
        array: of the type that the layout was made for.
        layout: of the column.
        start: the first row.

    Raises:
        UnevenError: a row is null or holds one, or lists of different lengths.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    rows = len(array)
    counts = np.ones(rows, np.int64)
    """How many elements of the present level each row has."""
    _refuse_null(array, counts)
    shapes = np.empty((rows, len(layout.sizes)), np.int64)
    if isinstance(array, pa.ExtensionArray):
        shapes[:] = array.type.shape
        array = array.storage.flatten()
        counts = np.prod(shapes, axis=1)
        _refuse_null(array, counts)
    level = 0
    while _is_list(array.type):
        shapes[:, level] = _sizes(array, counts, layout.sizes[level])
        counts = counts * shapes[:, level]
        array = array.flatten()
        _refuse_null(array, counts)
        level += 1
    values = array.to_numpy(zero_copy_only=False)
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    return Piece(start, shapes, ends, values)


def _sizes(array: Any, counts: NDArray[np.int64], fixed: int | None) -> NDArray[np.int64]:
    """How long the lists of each row are; 0 where it has none."""
    if fixed is not None:
        return np.full(len(counts), fixed)
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    firsts = np.cumsum(counts) - counts
    sizes = np.zeros(len(counts), np.int64)
    sizes[counts > 0] = lengths[firsts[counts > 0]]
    uneven = np.repeat(sizes, counts) != lengths
    if uneven.any():
        raise UnevenError(
            _row_of(int(np.argmax(uneven)), counts), "lists of different lengths in one sample"
        )
    return sizes


def _refuse_null(array: Any, counts: NDArray[np.int64]) -> None:
    if array.null_count:
        place = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise UnevenError(_row_of(place, counts), "null")


def _row_of(element: int, counts: NDArray[np.int64]) -> int:
    return int(np.searchsorted(np.cumsum(counts), element, side="right"))


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
