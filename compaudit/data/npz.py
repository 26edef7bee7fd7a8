"""Samples in a NumPy ``.npz`` file: one array per input, samples along the first axis."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.errors import RequestError

__all__ = ["NpzDataset", "is_npz"]

# A zip of a few kilobytes can unpack to gigabytes. Arrays of equal numbers do shrink that much, so
# it takes both: a lot of data, out of next to nothing.
_LARGE_BYTES = 1 << 28
_LARGEST_RATIO = 200

_SAVE_AGAIN = "save it again with numpy.savez"


def is_npz(path: Path) -> bool:
    """Whether the file is a zip archive of ``.npy`` members, or the broken rest of one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except OSError:
        return False
    except Exception:  # whatever zipfile meets in a broken directory
        with path.open("rb") as file:
            return path.suffix == ".npz" and file.read(2) == b"PK"
    return bool(names) and all(name.endswith(".npy") for name in names)


@dataclass(frozen=True, slots=True)
class _Header:
    """What one member says of itself."""

    member: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class NpzDataset:
    """The arrays of one file. Headers are checked against the archive before anything is read.

    Raises:
        RequestError: object arrays, sizes that lie or explode, arrays of different lengths, no
            samples.
    """

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        self._path = Path(request.uri)
        self._headers = self._read_headers()
        self._loaded: dict[str, NDArray[Any]] = {}
        lengths = {header.shape[0] if header.shape else 0 for header in self._headers.values()}
        if len(lengths) != 1:
            listed = ", ".join(f"{name!r} {head.shape}" for name, head in self._headers.items())
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
            ArrayInfo(name, header.dtype.name, header.shape[1:])
            for name, header in self._headers.items()
        )

    def batch(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Every array for these samples."""
        stop = min(stop, self.samples)
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
                with (
                    zipfile.ZipFile(self._path) as archive,
                    archive.open(self._headers[name].member) as stream,
                ):
                    self._loaded[name] = npy.read_array(stream, allow_pickle=False)
            except Exception as error:
                raise self._broken(name, error) from error
        return self._loaded[name]

    def _read_headers(self) -> dict[str, _Header]:
        try:
            with zipfile.ZipFile(self._path) as archive:
                members = archive.infolist()
                self._refuse_bomb(sum(member.file_size for member in members))
                return {
                    member.filename.removesuffix(".npy"): self._header(archive, member)
                    for member in members
                }
        except RequestError:
            raise
        except Exception as error:
            raise self._error(f"cannot be read: {error}", _SAVE_AGAIN, "broken-data") from error

    def _header(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Header:
        name = member.filename.removesuffix(".npy")
        try:
            with archive.open(member) as stream:
                dtype, shape, header_bytes = _read_header(stream)
        except Exception as error:
            raise self._broken(name, error) from error
        if dtype.hasobject:
            raise self._error(
                f"holds Python objects in {name!r}, which only running code can read",
                "save plain arrays of numbers",
                "object-array",
            )
        stored = member.file_size - header_bytes
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if dtype.itemsize == 0 or min(shape, default=0) < 0 or size != stored:
            raise self._error(
                f"says {name!r} is {dtype} {shape}, and that is not what it holds",
                _SAVE_AGAIN,
                "broken-data",
            )
        return _Header(member, dtype, shape)

    def _refuse_bomb(self, unpacked: int) -> None:
        packed = self._path.stat().st_size
        if unpacked > _LARGE_BYTES and unpacked > _LARGEST_RATIO * packed:
            raise self._error(
                f"would unpack its {packed:,} bytes to {unpacked:,}",
                "if that is right, save it again with numpy.savez, which does not compress",
                "suspicious-data",
            )

    def _broken(self, name: str, error: Exception) -> RequestError:
        """What zipfile, its decompressors and NumPy raise on broken files is an open list."""
        what = str(error) or type(error).__name__
        return self._error(f"has a broken array {name!r}: {what}", _SAVE_AGAIN, "broken-data")

    def _error(self, what: str, hint: str, code: str) -> RequestError:
        return RequestError(f"{self._path} {what}", hint=hint, code=code, stage="data")


def _read_header(stream: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Type, shape and header length of one ``.npy`` member; the values are not read."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    return dtype, shape, stream.tell()
