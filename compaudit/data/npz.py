"""Samples in a NumPy ``.npz`` file: one array per input, samples along the first axis."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from compaudit.data.arrays import ArrayDataset, WholeArray
from compaudit.data.base import DataRequest
from compaudit.data.npy import Header, checksum, map_values, read_header
from compaudit.errors import RequestError

__all__ = ["NpzDataset", "is_npz"]

# A zip of a few kilobytes can unpack to gigabytes. Arrays of equal numbers do shrink that much (a
# mask of ones a thousandfold), so it takes both: a lot of data, out of next to nothing. What stays
# below the first harms no machine that runs models, whatever it was packed to.
_LARGE_BYTES = 1 << 28
_LARGEST_RATIO = 200

_SAVE_AGAIN = "save it again with numpy.savez"

_LOCAL_HEADER = struct.Struct("<26xHH")
"""Before a member's bytes stand so many, then its name and what else it has to say, this long."""


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
class _Member:
    """One array of the archive, and what it says of itself."""

    entry: zipfile.ZipInfo
    header: Header


class NpzDataset(ArrayDataset):
    """The arrays of one file. Headers are checked against the archive before anything is read.

    Arrays that are stored as they are (`numpy.savez`) are mapped; deflated ones are unpacked.

    Raises:
        RequestError: object arrays, sizes that lie or explode, arrays of different lengths, no
            samples.
    """

    kind = "npz"

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        self.path = Path(request.uri)
        self._members = self._read_members()
        whole = {
            name: WholeArray(member.header.dtype.name, member.header.shape)
            for name, member in self._members.items()
        }
        super().__init__(self.path, whole, request.limit)

    def read(self, name: str) -> NDArray[Any]:
        """The whole array, checked against its checksum. Raises RequestError."""
        member = self._members[name]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member.entry) as stream:
                if member.entry.compress_type != zipfile.ZIP_STORED:
                    values: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
                    return values
            return self._mapped(member)
        except Exception as error:
            raise self._broken(name, error) from error

    def _mapped(self, member: _Member) -> NDArray[Any]:
        """The values of a member that is stored as it is."""
        entry = member.entry
        with self.path.open("rb") as file:
            file.seek(entry.header_offset)
            lengths = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        start = entry.header_offset + _LOCAL_HEADER.size + sum(lengths)
        if checksum(self.path, start, entry.file_size) != entry.CRC:
            raise zipfile.BadZipFile("its checksum is another")
        return map_values(self.path, member.header, start)

    def _read_members(self) -> dict[str, _Member]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                entries = archive.infolist()
                self._refuse_bomb(sum(entry.file_size for entry in entries))
                return {
                    entry.filename.removesuffix(".npy"): self._member(archive, entry)
                    for entry in entries
                }
        except RequestError:
            raise
        except Exception as error:
            raise self._error(f"cannot be read: {error}", _SAVE_AGAIN, "broken-data") from error

    def _member(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> _Member:
        name = entry.filename.removesuffix(".npy")
        try:
            with archive.open(entry) as stream:
                header = read_header(stream)
        except Exception as error:
            raise self._broken(name, error) from error
        if header.dtype.hasobject:
            raise self._error(
                f"holds Python objects in {name!r}, which only running code can read",
                "save plain arrays of numbers",
                "object-array",
            )
        if not header.is_sound or header.size + header.value_bytes != entry.file_size:
            raise self._error(
                f"says {name!r} is {header.dtype} {header.shape}, and that is not what it holds",
                _SAVE_AGAIN,
                "broken-data",
            )
        return _Member(entry, header)

    def _refuse_bomb(self, unpacked: int) -> None:
        packed = self.path.stat().st_size
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
        return RequestError(f"{self.path} {what}", hint=hint, code=code, stage="data")
