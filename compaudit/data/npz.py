"""Samples in a NumPy ``.npz`` file: one array per input, samples along the first axis."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.errors import RequestError

__all__ = ["NpzDataset", "is_npz"]


def is_npz(path: Path) -> bool:
    """Whether the file is a zip archive of ``.npy`` members."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


class NpzDataset:
    """The arrays of one file. Headers are checked against the archive before anything is read.

    Raises:
        RequestError: object arrays, sizes that lie, arrays of different lengths, no samples.
    """

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        self._path = Path(request.uri)
        shapes = self._headers()
        self._loaded: dict[str, NDArray[Any]] = {}
        lengths = {shape[0] if shape else 0 for _, shape in shapes.values()}
        if len(lengths) != 1:
            listed = ", ".join(f"{name!r} {shape}" for name, (_, shape) in shapes.items())
            raise self._error(
                f"holds arrays of different lengths: {listed}",
                "the first dimension of every array counts the samples",
                "data-lengths-differ",
            )
        (length,) = lengths
        if length == 0:
            raise self._error("holds no samples", "an audit needs at least one", "no-samples")
        self.samples = min(length, request.limit or length)
        self.arrays = tuple(
            ArrayInfo(name, dtype.name, shape[1:]) for name, (dtype, shape) in shapes.items()
        )

    def batch(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Every array for these samples."""
        return {array.name: self._array(array.name)[start:stop] for array in self.arrays}

    def digest(self) -> str:
        """SHA-256 over the names, types, shapes and values that are used."""
        total = hashlib.sha256()
        for array in sorted(self.arrays, key=lambda array: array.name):
            values = np.ascontiguousarray(self._array(array.name)[: self.samples])
            total.update(f"{array.name} {values.dtype.str} {values.shape}".encode())
            total.update(values.tobytes())
        return total.hexdigest()

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._loaded:
            try:
                with np.load(self._path, allow_pickle=False) as archive:
                    self._loaded[name] = archive[name]
            except (OSError, ValueError, zipfile.BadZipFile) as error:
                raise self._error(
                    f"cannot be read: {error}", "save it again with numpy.savez", "broken-data"
                ) from error
        return self._loaded[name]

    def _headers(self) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
        headers = {}
        with zipfile.ZipFile(self._path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                try:
                    with archive.open(member) as stream:
                        dtype, shape, header_bytes = _read_header(stream)
                except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
                    raise self._error(
                        f"has a broken array {name!r}: {error}",
                        "save it again with numpy.savez",
                        "broken-data",
                    ) from error
                if dtype.hasobject:
                    raise self._error(
                        f"holds Python objects in {name!r}, which only running code can read",
                        "save plain arrays of numbers",
                        "object-array",
                    )
                if dtype.itemsize * int(np.prod(shape, dtype=object)) != (
                    member.file_size - header_bytes
                ):
                    raise self._error(
                        f"says {name!r} is {dtype} {shape}, and that is not what it holds",
                        "save it again with numpy.savez",
                        "broken-data",
                    )
                headers[name] = (dtype, shape)
        return headers

    def _error(self, what: str, hint: str, code: str) -> RequestError:
        return RequestError(f"{self._path} {what}", hint=hint, code=code, stage="data")


def _read_header(stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Type, shape and header length of one ``.npy`` member; the values are not read."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    return dtype, shape, stream.tell()
