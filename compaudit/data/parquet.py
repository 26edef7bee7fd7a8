"""Samples in a Parquet file: one column per array, one row a sample."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.file_dataset import FileDataset, SampleDigest, empty_batch
from compaudit.data.runs import RunBuilder, Runs
from compaudit.data.scans import scan_once
from compaudit.errors import RequestError

__all__ = ["ParquetDataset", "is_parquet"]

_MAGIC = (b"PAR1", b"PARE")
"""The latter where the footer is encrypted."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def is_parquet(path: Path) -> bool:
    """Whether the file begins as Parquet does, or is called so and empty."""
    with path.open("rb") as file:
        start = file.read(4)
    return start in _MAGIC or (path.suffix == ".parquet" and _MAGIC[0].startswith(start))


class ParquetDataset(FileDataset):
    """The columns of numbers in one file; lists in a column become dimensions.

    Other columns are left out, and pandas' index. Rows are read as they are asked for, a few
    megabytes at a time. Numbers, and lists whose type leaves their length open, are also looked at
    in the beginning, for nulls and lengths; nulls in lists of fixed size are met later.

    Raises:
        RequestError: pyarrow is missing, the file is broken, nulls, no numbers, or no rows.
    """

    kind = "parquet"

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        self.path = Path(request.uri)
        _require_pyarrow(self.path)
        from compaudit.data.columns import layout_of
        from compaudit.data.parquet_file import Column, ParquetSource

        self.broken = {}
        self._source = ParquetSource(self.path)
        rows = self._source.starts[-1]
        self.samples = min(rows, request.limit or rows)
        fields = [field for field in self._source.schema if not _PANDAS_INDEX.fullmatch(field.name)]
        layouts = {field.name: layout_of(field.type) for field in fields}
        self.left_out = {
            field.name: str(field.type) for field in fields if layouts[field.name] is None
        }
        self._columns = {
            name: Column(self._source, name, layout, self.samples)
            for name, layout in layouts.items()
            if layout is not None
        }
        self._require_samples(len(layouts) < len(fields))
        self.sequences = frozenset(
            name for name, column in self._columns.items() if None in column.layout.sizes
        )
        self.runs = scan_once(self.path, request.limit, self._find_runs)
        sizes = self.runs.sizes
        self.arrays = tuple(
            ArrayInfo(name, column.layout.dtype.name, sizes.get(name, column.layout.sizes))
            for name, column in self._columns.items()
        )

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The arrays of these samples, in memory of their own.

        Raises:
            RequestError: the file is broken there, a row holds a null, or sizes differ.
        """
        stop = min(stop, self.samples)
        if start >= stop:
            return empty_batch(self.arrays, names)
        return {
            name: column.read(start, stop)
            for name, column in self._columns.items()
            if names is None or name in names
        }

    def hash_into(self, digest: SampleDigest) -> None:
        """Add every sample to a digest."""
        for name, column in self._columns.items():
            for piece in column.pieces():
                digest.add(name, piece.shapes, piece.values)

    def release(self) -> None:
        """Close the file and let go of what was read."""
        for column in self._columns.values():
            column.release()
        self._source.release()

    def _require_samples(self, doubled: bool) -> None:
        if doubled:
            raise self._source.refused("has two columns of one name", "broken-data")
        if not self._columns:
            listed = ", ".join(f"{name!r} is {what}" for name, what in self.left_out.items())
            raise self._source.refused(
                f"has no column of numbers: {listed or 'it has no columns'}",
                "no-arrays",
                "save what the model takes as columns of numbers, or of lists of numbers",
            )
        if self.samples == 0:
            raise self._source.refused(
                "holds no samples", "no-samples", "an audit needs at least one"
            )

    def _find_runs(self) -> Runs:
        """Where the lengths of lists change. Numbers are looked at too, for nulls."""
        parts = []
        for name, column in self._columns.items():
            if column.layout.sizes and name not in self.sequences:
                continue
            builder = RunBuilder()
            for piece in column.pieces():
                changes = np.flatnonzero((piece.shapes[1:] != piece.shapes[:-1]).any(axis=1)) + 1
                starts = [0, *changes.tolist()]
                for start, end in zip(starts, [*starts[1:], len(piece.shapes)], strict=True):
                    builder.add({name: tuple(piece.shapes[start].tolist())}, end - start)
            parts.append(builder.finish())
        return Runs.beside(parts)


def _require_pyarrow(path: Path) -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise RequestError(
            f"{path} is a Parquet file, and pyarrow, which reads it, is not installed",
            hint="pip install 'compaudit[data]'",
            code="runtime-missing",
            stage="data",
        ) from error
