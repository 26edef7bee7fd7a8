"""Zip archives that PyTorch writes: checked before anything reads them, members found in place.

PyTorch stores tensors uncompressed, so an archive whose members claim more bytes than the file has
was not written by it, and is refused before a byte of it is unpacked.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Source

__all__ = ["Archive", "Member", "broken", "member_names", "open_archive", "unsafe"]

_MOST_MEMBERS = 1_000_000
_UNREADABLE = (
    zipfile.BadZipFile, EOFError, OSError, ValueError, struct.error, NotImplementedError
)  # fmt: skip
_Kind = TypeVar("_Kind")


def broken(source: Source, what: str, code: str = "broken-model") -> RequestError:
    """The error for a file that does not hold what it should."""
    return RequestError(
        f"{source.spec} {what}",
        hint="export or download the model again",
        code=code,
        model=source.spec,
        stage="open",
    )


def unsafe(source: Source, what: str) -> RequestError:
    """The error for a file that claims what no honest one does."""
    return RequestError(
        f"{source.spec} {what}",
        hint="PyTorch does not write such a file: do not use it, or save the model again",
        code="unsafe-archive",
        model=source.spec,
        stage="open",
    )


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member's bytes are in the file."""

    offset: int
    size: int


@dataclass(frozen=True)
class Archive:
    """A checked archive. `members` are named without the folder that PyTorch puts them in."""

    source: Source
    path: Path
    members: Mapping[str, Member]

    @cached_property
    def map(self) -> NDArray[np.uint8]:
        """The whole file, mapped."""
        return np.memmap(self.path, dtype=np.uint8, mode="r")

    def block(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a member, mapped."""
        member = self.members[name]
        return self.map[member.offset : member.offset + member.size]

    def decode(self, name: str, kind: type[_Kind]) -> _Kind:
        """A member's JSON as a typed value. Raises RequestError where it is something else."""
        member = self.members.get(name)
        if member is None:
            raise broken(self.source, f"has no {name}", "unsupported-archive")
        try:
            return msgspec.json.decode(self.block(name).tobytes(), type=kind)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise broken(
                self.source, f"has a {name} of another layout: {error}", "unsupported-archive"
            ) from error


def member_names(path: Path) -> frozenset[str]:
    """Full member names; empty where the file is no zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except _UNREADABLE:
        return frozenset()


def open_archive(source: Source, path: Path, *, compressed: bool = False) -> Archive:
    """Check an archive and find its members.

    Args:
        source: what errors name.
        path: the file.
        compressed: whether members may be compressed (the code in TorchScript archives is).

    Raises:
        RequestError: it is no archive (``broken-model``), or one that unpacks to more than it
            holds, repeats names or overlaps (``unsafe-archive``).
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            _check(source, infos, size, compressed)
            with path.open("rb") as stream:
                members = {
                    info.filename.partition("/")[2] or info.filename: Member(
                        _data_offset(source, stream, info, size), info.file_size
                    )
                    for info in infos
                }
    except _UNREADABLE as error:
        raise broken(source, f"is a broken zip archive: {error}") from error
    return Archive(source, path, members)


def _check(source: Source, infos: list[zipfile.ZipInfo], size: int, compressed: bool) -> None:
    if len(infos) > _MOST_MEMBERS:
        raise unsafe(source, f"has {len(infos)} members")
    names = {info.filename for info in infos}
    if len(names) != len(infos):
        raise unsafe(source, "names a member twice")
    if len({name.partition("/")[0] for name in names if "/" in name}) > 1:
        raise unsafe(source, "has members in several top folders")
    packed = [info for info in infos if info.compress_type != zipfile.ZIP_STORED]
    if packed and not compressed:
        raise unsafe(source, f"compresses {packed[0].filename}")
    claimed = sum(info.file_size for info in infos if info not in packed)
    if claimed > size:
        raise unsafe(source, f"of {size} bytes claims to hold {claimed}")
    unpacked = sum(info.file_size for info in packed)
    if unpacked > 16 * size + (64 << 20):
        raise unsafe(source, f"of {size} bytes unpacks to {unpacked}")
    for info in infos:
        if info.flag_bits & 0x1:
            raise unsafe(source, f"encrypts {info.filename}")


def _data_offset(source: Source, stream: Any, info: zipfile.ZipInfo, size: int) -> int:
    stream.seek(info.header_offset)
    header = stream.read(30)
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise unsafe(source, f"has no header where {info.filename} should be")
    name_bytes, extra_bytes = struct.unpack("<HH", header[26:30])
    offset = int(info.header_offset) + 30 + int(name_bytes) + int(extra_bytes)
    if offset + info.compress_size > size:
        raise unsafe(source, f"ends before {info.filename} does")
    return offset
