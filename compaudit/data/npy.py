"""Arrays in NumPy's ``.npy`` format: a file of its own, or the stored member of an archive.

The header is checked before anything is read, and the values are mapped, not loaded: pages come and
go with the samples that are looked at, and processes that read one file share them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from compaudit.data.arrays import ArrayDataset, WholeArray
from compaudit.data.base import DataRequest
from compaudit.errors import RequestError

__all__ = ["Header", "NpyDataset", "NpyFolder", "is_npy", "map_values", "read_header"]

_MAGIC = b"\x93NUMPY"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """What an array says of itself. `size` counts the bytes before its values."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    size: int

    @property
    def value_bytes(self) -> int:
        """Bytes that its values take."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def is_sound(self) -> bool:
        """Whether there can be such an array."""
        return self.dtype.itemsize > 0 and min(self.shape, default=0) >= 0


def read_header(stream: IO[bytes]) -> Header:
    """Type and shape of an array; its values are not read.

    Raises:
        ValueError: this is no header. What NumPy raises on a broken one is an open list.
    """
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return Header(dtype, shape, fortran, stream.tell())


def map_values(path: Path, header: Header, start: int) -> NDArray[Any]:
    """The values, mapped.

    Args:
        path: the file they stand in.
        header: of the array.
        start: where in the file its header begins.
    """
    if header.value_bytes == 0:
        return np.empty(header.shape, header.dtype)
    order = "F" if header.fortran else "C"
    offset = start + header.size
    return np.memmap(path, header.dtype, "r", offset, header.shape, order)  # type: ignore[call-overload,no-any-return]


def checksum(path: Path, start: int, size: int) -> int:
    """CRC-32 of a part of a file, in constant memory."""
    total = 0
    for chunk in _chunks(path, start, size):
        total = zlib.crc32(chunk, total)
    return total


def _chunks(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while size > 0 and (chunk := file.read(min(size, _CHUNK_BYTES))):
            size -= len(chunk)
            yield chunk


def is_npy(path: Path) -> bool:
    """Whether the file begins as such arrays do, or is called one and empty."""
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    return start == _MAGIC or (path.suffix == ".npy" and _MAGIC.startswith(start))


class NpyDataset(ArrayDataset):
    """One array, called as its file is.

    Raises:
        RequestError: no array of numbers, or of another size than it says, or without samples.
    """

    kind = "npy"

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        path = Path(request.uri)
        self._header = _checked_header(path)
        super().__init__(path, {path.stem: _whole(self._header)}, request.limit)

    def read(self, name: str) -> NDArray[Any]:
        """The array, mapped."""
        return map_values(self.path, self._header, 0)


class NpyFolder(ArrayDataset):
    """The arrays in the ``.npy`` files of one folder, side by side; each called as its file is.

    Args:
        request: its `uri` is the folder.
        paths: the files.

    Raises:
        RequestError: one of them is broken, or they differ in length.
    """

    kind = "npy"

    def __init__(self, request: DataRequest, paths: Sequence[Path]) -> None:
        assert request.uri is not None
        self._paths = {path.stem: path for path in paths}
        self._headers = {name: _checked_header(path) for name, path in self._paths.items()}
        whole = {name: _whole(header) for name, header in self._headers.items()}
        super().__init__(Path(request.uri), whole, request.limit)

    def read(self, name: str) -> NDArray[Any]:
        """One of the arrays, mapped."""
        return map_values(self._paths[name], self._headers[name], 0)


def _whole(header: Header) -> WholeArray:
    return WholeArray(header.dtype.name, header.shape)


def _checked_header(path: Path) -> Header:
    """What the array in a file says of itself, if that is what the file holds."""
    try:
        with path.open("rb") as file:
            header = read_header(file)
    except Exception as error:
        what = str(error) or type(error).__name__
        raise _refused(path, f"cannot be read: {what}", "broken-data") from error
    if header.dtype.hasobject:
        what = "holds Python objects, which only running code can read"
        raise _refused(path, what, "object-array", "save a plain array of numbers")
    if not header.is_sound or header.size + header.value_bytes != path.stat().st_size:
        what = f"says it is {header.dtype} {header.shape}, and that is not what it holds"
        raise _refused(path, what, "broken-data")
    return header


def _refused(
    path: Path, what: str, code: str, hint: str = "save it again with numpy.save"
) -> RequestError:
    return RequestError(f"{path} {what}", hint=hint, code=code, stage="data")
