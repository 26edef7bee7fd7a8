"""A Parquet file read a few rows of one column at a time, so that memory does not grow with it.

Of the footer only the schema and the sizes of row groups are looked at: what pyarrow offers about
single columns in a group (their sizes, the number of nulls) aborts the process where the footer is
damaged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from compaudit.data.columns import Layout, Piece, UnevenError, unnest
from compaudit.data.runs import lengths_differ
from compaudit.errors import RequestError

__all__ = ["Column", "ParquetSource"]

_PIECE_BYTES = 1 << 24
_MOST_ROWS = 1 << 16

# Where lists have any length, the first tell of the others, but not for sure.
_PROBED_ROWS = 16
_MOST_SEQUENCES = 1 << 10

# One row of a few bytes can stand for gigabytes of equal numbers.
_LARGE_BYTES = 1 << 28
_LARGEST_RATIO = 200


class ParquetSource:
    """The row groups of one file.

    Attributes:
        schema: the Arrow schema.
        starts: the first row of each group, and how many rows there are.

    Raises:
        RequestError: it is broken, or encrypted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[int, Any] = {}
        try:
            file = self._opened(1)
            metadata = file.metadata
            self.schema = file.schema_arrow
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
            rows = [group.num_rows for group in groups]
            self._encoded_bytes: list[int] = [group.total_byte_size for group in groups]
        except Exception as error:
            raise self._broken("its footer", error) from error
        self.starts: list[int] = [0, *accumulate(rows)]
        if min(rows, default=0) < 0 or self.starts[-1] != metadata.num_rows:
            raise self.refused("says two different numbers of rows", "broken-data")

    def require_credible(self, column: str, row_bytes: int) -> None:
        """Raise RequestError for rows of so many bytes each, out of next to nothing."""
        packed, unpacked = self.path.stat().st_size, row_bytes * self.starts[-1]
        if row_bytes > _LARGE_BYTES and unpacked > _LARGEST_RATIO * packed:
            raise self.refused(
                f"would unpack its {packed:,} bytes to {unpacked:,} for the column {column!r}",
                "suspicious-data",
                "if that is right, save it without compression, or in another format",
            )

    def encoded_row_bytes(self, group: int) -> int:
        """Bytes of a row of a group, on average, all columns together and as they are encoded."""
        rows = self.starts[group + 1] - self.starts[group]
        return self._encoded_bytes[group] // max(1, rows)

    def stream(self, group: int, column: str, rows: int) -> Iterator[Any]:
        """A column of a group, in Arrow arrays of at most so many rows. Raises RequestError."""
        try:
            batches = self._opened(rows).iter_batches(
                rows, row_groups=[group], columns=[column], use_threads=False
            )
            for batch in batches:
                # A column "a" may come with another, "a.b".
                yield batch.column(column)
        except Exception as error:  # what pyarrow raises on broken files is an open list
            what = f"the column {column!r} of row group {group}"
            raise self._broken(what, error) from error

    def release(self) -> None:
        """Close the file; it is opened again when it is needed."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def refused(self, what: str, code: str, hint: str = "write the file again") -> RequestError:
        """A refusal of this file."""
        return RequestError(f"{self.path} {what}", hint=hint, code=code, stage="data")

    def _opened(self, rows: int) -> Any:
        """The file, for all that is read so many rows at a time.

        That number belongs to a reader of pyarrow's: the last stream that was begun sets it for all
        that are under way.
        """
        if rows not in self._files:
            self._files[rows] = pq.ParquetFile(
                self.path, memory_map=True, page_checksum_verification=True
            )
        return self._files[rows]

    def _broken(self, place: str, error: Exception) -> RequestError:
        what = (str(error) or type(error).__name__).partition("\n")[0]
        return self.refused(f"cannot be read: {place}: {what}", "broken-data")


class Column:
    """One column of a file, read forwards; the last two pieces are kept.

    Args:
        source: the file.
        name: of the column.
        layout: of its rows.
        samples: use only so many rows.

    Raises:
        RequestError: rows that are too large for what they are packed into.
    """

    def __init__(self, source: ParquetSource, name: str, layout: Layout, samples: int) -> None:
        self.name = name
        self.layout = layout
        self._source = source
        self._samples = samples
        self._rows_of: dict[int, int] = {}
        self.release()
        if None not in layout.sizes:
            source.require_credible(name, layout.row_bytes)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """These rows, at least one, in memory of their own.

        Raises:
            RequestError: the file is broken there, a row is null or holds one, or their shapes
                differ.
        """
        parts = []
        row = start
        while row < stop:
            piece = self._piece_with(row)
            parts.append(piece.take(row, min(stop, piece.stop)))
            row = piece.stop
        equal = [part for part in parts if part is not None]
        if len(equal) < len(parts) or len({part.shape[1:] for part in equal}) > 1:
            raise lengths_differ(self._source.path, self.name, start, stop)
        return np.concatenate(equal)

    def pieces(self) -> Iterator[Piece]:
        """All rows that are used, in order, kept by nobody."""
        for group in range(len(self._source.starts) - 1):
            yield from self._pieces_of(group)

    def release(self) -> None:
        """Let go of what was read."""
        self._kept: deque[Piece] = deque(maxlen=2)
        self._stream: Iterator[Piece] = iter(())
        self._ahead = range(0)

    def _piece_with(self, row: int) -> Piece:
        for piece in self._kept:
            if piece.start <= row < piece.stop:
                return piece
        if row not in self._ahead:
            group = int(np.searchsorted(self._source.starts, row, side="right")) - 1
            self._ahead = range(row, self._source.starts[group + 1])
            self._stream = self._pieces_of(group)
        try:
            for piece in self._stream:
                self._kept.append(piece)
                self._ahead = range(piece.stop, self._ahead.stop)
                if row < piece.stop:
                    return piece
        except RequestError:
            self._ahead = range(0)  # the stream has ended; whoever asks again is told again
            raise
        raise AssertionError("a group that ends early is refused")

    def _pieces_of(self, group: int) -> Iterator[Piece]:
        start, end = self._source.starts[group : group + 2]
        end = min(end, self._samples)
        if start >= end:
            return
        for array in self._source.stream(group, self.name, self._rows_at_a_time(group)):
            piece = self._unnested(array.slice(0, end - start), start)
            yield piece
            start = piece.stop
            if start == end:
                return
        raise self._source.refused(f"has fewer rows in group {group} than it says", "broken-data")

    def _rows_at_a_time(self, group: int) -> int:
        """So many rows of a group make a piece."""
        if None not in self.layout.sizes:
            return _rows_that_fit(self.layout.row_bytes, _MOST_ROWS)
        if group not in self._rows_of:
            self._rows_of[group] = self._probed_rows(group)
        return self._rows_of[group]

    def _probed_rows(self, group: int) -> int:
        first = next(self._source.stream(group, self.name, _PROBED_ROWS), None)
        probed = 0 if first is None else first.nbytes // max(1, len(first))
        row_bytes = max(probed, self._source.encoded_row_bytes(group))
        return _rows_that_fit(row_bytes, _MOST_SEQUENCES)

    def _unnested(self, array: Any, start: int) -> Piece:
        try:
            return unnest(array, self.layout, start)
        except UnevenError as error:
            raise self._source.refused(
                f"holds {error} in row {start + error.row} of the column {self.name!r}",
                "uneven-data",
                "every sample is an array of numbers: leave such rows out, or fill or pad them, "
                "when you save the data",
            ) from error


def _rows_that_fit(row_bytes: int, most: int) -> int:
    """A power of two, so that few sizes occur, each of which keeps a file open."""
    rows = min(max(1, _PIECE_BYTES // max(1, row_bytes)), most)
    return 1 << (rows.bit_length() - 1)
