"""Samples that come only once, in order, written to a folder that any process reads at any place.

A sample of an array is one row of raw numbers, or several where it is a sequence, whose ends are
then kept beside. Memory does not grow with the data, neither in the writer nor in a reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest, Dataset, element_type
from compaudit.data.rows import RowReader, RowWriter, gone
from compaudit.errors import RequestError

__all__ = ["BatchError", "SpoolDataset", "SpoolWriter", "Values", "samples_in"]

Values = NDArray[Any] | Sequence[NDArray[Any]]
"""One array of a batch: the first dimension counts samples; or sequences of different lengths."""

_INDEX = "index.json"
_COUNT = "samples"
_ENDS = np.dtype(np.int64)


class BatchError(Exception):
    """A batch that does not continue those before it, in words that follow its name."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class _Array(msgspec.Struct, frozen=True):
    """What is kept of one array.

    Attributes:
        row: the shape of one row.
        sequence: whether a sample is a sequence of rows, not one row.
        length: of every sequence; None where they differ.
    """

    name: str
    dtype: str
    row: tuple[int, ...]
    sequence: bool
    length: int | None = None

    @property
    def info(self) -> ArrayInfo:
        shape = (self.length, *self.row) if self.sequence else self.row
        return ArrayInfo(self.name, self.dtype, shape)


class _Index(msgspec.Struct, frozen=True):
    samples: int
    arrays: tuple[_Array, ...]
    digest: str


class SpoolWriter:
    """Takes batches in and writes them. A context manager; leaving it without an error finishes.

    Args:
        folder: where to write; it is made.

    Attributes:
        samples: how many were written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.samples = 0
        self._folder = folder
        self._columns: dict[str, _Column] = {}
        self._count = (folder / _COUNT).open("wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._count.close()
        for column in self._columns.values():
            column.close()
        if error is None:
            self._finish()

    def append(self, batch: Mapping[str, Values]) -> None:
        """Take in one batch, which has at least one sample.

        Raises:
            BatchError: its arrays have other names, types or shapes than those before.
            OSError: there is no room for it.
        """
        if not self._columns:
            self._columns = {
                name: _Column(self._folder / str(place), name, values)
                for place, (name, values) in enumerate(batch.items())
            }
        if batch.keys() != self._columns.keys():
            raise BatchError(
                f"holds {_listed(batch)}, and those before hold {_listed(self._columns)}",
                "every batch holds the same arrays",
            )
        for name, values in batch.items():
            self._columns[name].require(values)
        for name, values in batch.items():
            self._columns[name].append(values)
        self.samples += len(next(iter(batch.values())))
        self._count.seek(0)
        self._count.write(self.samples.to_bytes(8, "little"))

    def _finish(self) -> None:
        columns = sorted(self._columns.values(), key=lambda column: column.array.name)
        total = hashlib.sha256()
        for column in columns:
            total.update(msgspec.json.encode(column.array) + column.digest())
        arrays = tuple(column.array for column in self._columns.values())
        index = _Index(self.samples, arrays, total.hexdigest())
        (self._folder / _INDEX).write_bytes(msgspec.json.encode(index))


def samples_in(folder: Path) -> int:
    """How many samples a writer, which may be dead by now, has written."""
    try:
        return int.from_bytes((folder / _COUNT).read_bytes()[:8], "little")
    except OSError:
        return 0


class SpoolDataset(Dataset):
    """What a `SpoolWriter` has written.

    Raises:
        RequestError: it is gone.
    """

    kind = "function"

    def __init__(self, request: DataRequest) -> None:
        assert request.spool is not None
        folder = Path(request.spool)
        try:
            index = msgspec.json.decode((folder / _INDEX).read_bytes(), type=_Index)
        except OSError as error:
            raise gone(error) from error
        self.broken = {}
        self.samples = min(index.samples, request.limit or index.samples)
        self.arrays = tuple(array.info for array in index.arrays)
        self._digest = index.digest
        self._arrays = {array.name: array for array in index.arrays}
        self._rows, self._ends = {}, {}
        for place, array in enumerate(index.arrays):
            dtype = element_type(array.dtype)
            assert dtype is not None, "such arrays are not written"
            self._rows[array.name] = RowReader(folder / str(place), dtype, array.row)
            self._ends[array.name] = RowReader(folder / f"{place}.ends", _ENDS, ())

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The arrays of these samples.

        Raises:
            RequestError: sequences among them differ in length; `uniform` tells where.
        """
        stop = min(stop, self.samples)
        return {
            array.name: self._read(array, start, stop)
            for array in self._arrays.values()
            if names is None or array.name in names
        }

    def digest(self) -> str:
        """SHA-256 over the names, types, shapes and values."""
        return self._digest

    def uniform(self, start: int, stop: int) -> int:
        """The end, at most `stop`, of the samples whose sequences are as long as the first's."""
        stop = min(stop, self.samples)
        for array in self._arrays.values():
            if array.sequence and array.length is None and start < stop:
                lengths = np.diff(self._bounds(array.name, start, stop))
                same = lengths == lengths[0]
                stop = stop if same.all() else start + int(np.argmin(same))
        return stop

    def _read(self, array: _Array, start: int, stop: int) -> NDArray[Any]:
        rows = self._rows[array.name]
        if not array.sequence:
            return rows.read(start, stop)
        if array.length is not None:
            values = rows.read(start * array.length, stop * array.length)
            return values.reshape(stop - start, array.length, *array.row)
        bounds = self._bounds(array.name, start, stop)
        lengths = set(np.diff(bounds).tolist())
        if len(lengths) > 1:
            raise RequestError(
                f"the sequences {array.name!r} of the samples {start} to {stop - 1} have different "
                "lengths, and one inference takes them all",
                hint="pad them to one length, or take one at a time with --batch-size 1",
                code="lengths-differ",
                stage="data",
            )
        values = rows.read(int(bounds[0]), int(bounds[-1]))
        return values.reshape(stop - start, *lengths or (0,), *array.row)

    def _bounds(self, name: str, start: int, stop: int) -> NDArray[np.int64]:
        """Where the sequences of these samples begin, and where the last one ends."""
        first = self._ends[name].read(start - 1, start) if start else np.zeros(1, _ENDS)
        return np.concatenate((first, self._ends[name].read(start, stop)))


class _Column:
    """One array while it is written."""

    def __init__(self, path: Path, name: str, values: Values) -> None:
        first = values if isinstance(values, np.ndarray) else values[0]
        sample = first.shape[1:] if isinstance(values, np.ndarray) else first.shape
        self.array = _Array(name, first.dtype.name, sample[1:], bool(sample))
        self._rows = RowWriter(path, first.dtype, sample[1:])
        self._ends = RowWriter(path.with_suffix(".ends"), _ENDS, ())
        self._end = 0

    def require(self, values: Values) -> None:
        """Raises BatchError for another type or shape than before."""
        for sample in [values[:1]] if isinstance(values, np.ndarray) else values:
            shape = sample.shape[1:] if isinstance(values, np.ndarray) else sample.shape
            if sample.dtype.name != self.array.dtype:
                raise BatchError(
                    f"has {sample.dtype.name} in {self.array.name!r}, and those before have "
                    f"{self.array.dtype}",
                    "every batch holds arrays of the same types",
                )
            if bool(shape) != self.array.sequence or shape[1:] != self.array.row:
                raise BatchError(
                    f"has samples of shape {shape} in {self.array.name!r}, and those before have "
                    f"{_shape(self.array.info)}",
                    "samples have one shape; only their first dimension may vary, as the length "
                    "of a sequence does",
                )

    def append(self, values: Values) -> None:
        if not self.array.sequence:
            self._rows.append(np.asarray(values))
            return
        lengths = [len(sample) for sample in values]
        if isinstance(values, np.ndarray):
            self._rows.append(values.reshape(-1, *self.array.row))
        else:
            for sample in values:
                self._rows.append(sample)
        self._note(lengths)

    def _note(self, lengths: list[int]) -> None:
        known = {self.array.length} if self._end or self._ends.rows else set()
        same = known | set(lengths)
        length = next(iter(same)) if len(same) == 1 else None
        self.array = msgspec.structs.replace(self.array, length=length)
        ends = self._end + np.cumsum(lengths, dtype=_ENDS)
        self._ends.append(ends)
        self._end = int(ends[-1])

    def digest(self) -> bytes:
        return self._rows.digest() + self._ends.digest()

    def close(self) -> None:
        self._rows.close()
        self._ends.close()


def _listed(names: Collection[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _shape(array: ArrayInfo) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in array.shape)})"
