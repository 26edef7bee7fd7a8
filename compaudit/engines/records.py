"""One model's outputs on the disk: written range by range while they come, mapped when read again.

A folder holds ``data``, the numbers one after the other, and ``index``, which says what lies where.
"""

from __future__ import annotations

import bisect
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.engines.inference import Part
from compaudit.engines.record_index import Place, Record, check_record, read_index, write_index
from compaudit.errors import MeasurementError

__all__ = ["TOO_LARGE", "BrokenRecordsError", "Reader", "Writer"]

TOO_LARGE = "they are too large"

_DATA = "data"
_ALIGNMENT = 64
_CHUNK_BYTES = 1 << 22


class BrokenRecordsError(Exception):
    """What the folder holds is not what was written."""


class Writer:
    """Stores parts as they come, in any order, from any thread.

    It never raises for what the disk does: `problem` says why nothing more is stored.

    Args:
        folder: an empty one.
        samples: how many are to come, to see early that they are too much.
        most_bytes: what they may take; None for any.

    Attributes:
        problem: why the records are not complete; empty while they are.
    """

    def __init__(self, folder: Path, samples: int, most_bytes: int | None = None) -> None:
        self._folder = folder
        self._samples = samples
        self._most_bytes = most_bytes
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._offset = 0
        self._file: IO[bytes] | None = None
        self.problem = ""
        try:
            self._file = (folder / _DATA).open("xb")
        except OSError as error:
            self._fail(error)

    def write(self, start: int, stop: int, part: Part) -> None:
        """Store what a model gave for these samples."""
        with self._lock:
            if self.problem or self._is_too_much(stop - start, part):
                return
            try:
                self._records.append(self._append(start, stop, part))
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Write the index, unless there was a problem."""
        with self._lock:
            try:
                if self._file is not None:
                    self._file.close()
                if not self.problem:
                    write_index(self._folder, self._records)
            except OSError as error:
                self._fail(error)

    def _is_too_much(self, samples: int, part: Part) -> bool:
        if self._most_bytes is None:
            return False
        own = sum(array.nbytes for array in part.outputs.values())
        expected = own * self._samples // samples
        if max(self._offset + own, expected) > self._most_bytes:
            self.problem = TOO_LARGE
        return bool(self.problem)

    def _append(self, start: int, stop: int, part: Part) -> Record:
        begin, self._crc = self._offset, 0
        outputs, scores = self._arrays(part.outputs), self._arrays(part.scores)
        end = self._offset
        return Record(start, stop, begin, end, self._crc, outputs, scores, part.broken)

    def _arrays(self, arrays: Mapping[str, NDArray[Any]]) -> tuple[Place, ...]:
        places = []
        for name, array in arrays.items():
            places.append(Place(name, array.dtype.str, array.shape, self._offset))
            self._put(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            self._put(bytes(-self._offset % _ALIGNMENT))
        return tuple(places)

    def _put(self, values: bytes | memoryview) -> None:
        assert self._file is not None, "otherwise there is a problem"
        self._file.write(values)
        self._crc = zlib.crc32(values, self._crc)
        self._offset += len(values)

    def _fail(self, error: OSError) -> None:
        self.problem = self.problem or error.strerror or type(error).__name__


class Reader:
    """What a `Writer` has stored, mapped. Any number of threads may read.

    Attributes:
        sample_bytes: of the outputs for one of the first samples.

    Raises:
        BrokenRecordsError: files are missing, cut short or changed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._records = read_index(folder)
            size = (folder / _DATA).stat().st_size
            # An empty file cannot be mapped.
            self._data = np.memmap(folder / _DATA, np.uint8, "r") if size else np.empty(0, np.uint8)
            self._check()
        except (OSError, ValueError, TypeError, msgspec.MsgspecError) as error:
            what = error.strerror if isinstance(error, OSError) else None
            raise BrokenRecordsError(what or str(error)) from error
        self._starts = [record.start for record in self._records]
        sizes = (
            -(-sum(place.size for place in record.outputs) // record.rows)
            for record in self._records
            if record.rows
        )
        self.sample_bytes = next(sizes, 0)

    def covers(self, start: int, stop: int) -> bool:
        """Whether every sample of the range is there, or known to be broken."""
        for record in self._records:
            if record.start <= start < record.stop:
                start = record.stop
        return start >= stop

    def read(self, start: int, stop: int) -> Part:
        """The outputs of these samples, which have equal shapes; read-only.

        Raises:
            MeasurementError: an output has another shape from sample to sample.
        """
        first = bisect.bisect_right(self._starts, start) - 1
        last = bisect.bisect_left(self._starts, stop)
        parts = [self._clipped(record, start, stop) for record in self._records[first:last]]
        broken = {index: reason for part in parts for index, reason in part.broken.items()}
        filled = [part for part in parts if part.outputs]
        if not filled:
            return Part({}, broken)
        return Part(
            {
                name: _joined(name, [part.outputs[name] for part in filled])
                for name in filled[0].outputs
            },
            broken,
            {
                name: _joined(name, [part.scores[name] for part in filled])
                for name in filled[0].scores
            },
        )

    def _clipped(self, record: Record, start: int, stop: int) -> Part:
        """The rows of one record that lie in the range."""
        start, stop = max(start, record.start), min(stop, record.stop)
        before = sum(index < start for index in record.broken)
        broken = {i: reason for i, reason in record.broken.items() if start <= i < stop}
        begin = start - record.start - before
        rows = slice(begin, begin + stop - start - len(broken))
        if rows.start == rows.stop:
            return Part({}, broken)
        return Part(self._mapped(record.outputs, rows), broken, self._mapped(record.scores, rows))

    def _mapped(self, arrays: tuple[Place, ...], rows: slice) -> Outputs:
        return {array.name: self._array(array)[rows] for array in arrays}

    def _array(self, array: Place) -> NDArray[Any]:
        values = self._data[array.offset : array.offset + array.size]
        return np.asarray(values).view(np.dtype(array.dtype)).reshape(array.shape)

    def _check(self) -> None:
        """Whether everything is there as it was written. Raises ValueError."""
        for record in self._records:
            check_record(record, len(self._data))
            if self._crc(record) != record.crc:
                raise ValueError("a checksum is wrong")
        if max((record.end for record in self._records), default=0) != len(self._data):
            raise ValueError("the file has another size")

    def _crc(self, record: Record) -> int:
        total = 0
        for start in range(record.offset, record.end, _CHUNK_BYTES):
            chunk = self._data[start : min(start + _CHUNK_BYTES, record.end)]
            total = zlib.crc32(chunk.data, total)
        return total


def _joined(name: str, parts: list[NDArray[Any]]) -> NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    try:
        return np.concatenate(parts)
    except ValueError as error:
        raise MeasurementError(
            f"the stored output {name!r} has another shape from sample to sample",
            hint="compaudit compares outputs that have one shape for samples of one shape",
            code="output-shape-varies",
            stage="evaluate",
        ) from error
