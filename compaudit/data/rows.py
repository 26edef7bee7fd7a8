"""Rows of raw numbers, appended to files and read at any place.

They are cut into files of at most a gigabyte, for a worker may not write larger ones.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError

__all__ = ["RowReader", "RowWriter", "gone"]

_FILE_BYTES = 1 << 30


class RowWriter:
    """Appends rows of one type and shape to files that hold equally many each.

    Args:
        path: what the files are called; each has its number behind it.
        dtype: of the numbers.
        row: the shape of one row.

    Attributes:
        rows: how many were written.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], row: tuple[int, ...]) -> None:
        self.rows = 0
        self._path = path
        self._per_file = _rows_per_file(dtype, row)
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows, the first dimension. Raises OSError where there is no room."""
        done = 0
        while done < len(rows):
            number, place = divmod(self.rows, self._per_file)
            if place == 0:
                self.close()
                self._file = _file(self._path, number).open("wb", buffering=0)
            part = rows[done : done + self._per_file - place]
            self._write(np.ascontiguousarray(part).reshape(-1).view(np.uint8))
            done += len(part)
            self.rows += len(part)

    def _write(self, values: NDArray[np.uint8]) -> None:
        self._hash.update(values.data)
        view = memoryview(values.data)
        while view:
            assert self._file is not None
            view = view[self._file.write(view) :]

    def digest(self) -> bytes:
        """SHA-256 of all that was written."""
        return self._hash.digest()

    def close(self) -> None:
        """Close the file that is being written."""
        if self._file is not None:
            self._file.close()


class RowReader:
    """Reads what a `RowWriter` has written; takes what that took."""

    def __init__(self, path: Path, dtype: np.dtype[Any], row: tuple[int, ...]) -> None:
        self._path = path
        self._dtype = dtype
        self._row = row
        self._bytes = dtype.itemsize * math.prod(row)
        self._per_file = _rows_per_file(dtype, row)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """These rows, in memory of their own. Raises RequestError where they are gone."""
        rows = np.empty((max(0, stop - start), *self._row), self._dtype)
        view = memoryview(rows.reshape(-1).view(np.uint8).data)
        while view:
            number, place = divmod(start, self._per_file)
            count = min(stop - start, self._per_file - place)
            try:
                with _file(self._path, number).open("rb") as file:
                    file.seek(place * self._bytes)
                    read = file.readinto(view[: count * self._bytes])
            except OSError as error:
                raise gone(error) from error
            if not read or read % self._bytes:
                raise gone(EOFError("a file of it was cut"))
            view = view[read:]
            start += read // self._bytes
        return rows


def _rows_per_file(dtype: np.dtype[Any], row: tuple[int, ...]) -> int:
    return max(1, _FILE_BYTES // max(1, dtype.itemsize * math.prod(row)))


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def gone(error: Exception) -> RequestError:
    """What was written cannot be read any more."""
    return RequestError(
        f"the samples that were set aside in a temporary folder are gone: {error}",
        hint="something removed them while the audit ran; run it again",
        code="missing-data",
        stage="data",
    )
