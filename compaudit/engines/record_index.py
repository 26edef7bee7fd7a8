"""The index of stored outputs: JSON that says what lies where, with checksums.

Nothing in it is code, and what was cut short or changed is noticed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

__all__ = ["Place", "Record", "check_record", "read_index", "write_index"]

_INDEX = "index"

_Size = Annotated[int, msgspec.Meta(ge=0)]


class Place(msgspec.Struct, frozen=True):
    """Where an array lies. `dtype` is NumPy's short form, byte order included."""

    name: str
    dtype: str
    shape: tuple[_Size, ...]
    offset: _Size

    @property
    def size(self) -> int:
        """The bytes of its values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Record(msgspec.Struct, frozen=True):
    """A range of samples.

    Attributes:
        start, stop: the samples.
        offset, end: the bytes that belong to it.
        crc: CRC-32 of these.
        outputs, scores: its arrays; each has a row for every sample that could be read.
        broken: the others, by index, and why.
    """

    start: _Size
    stop: _Size
    offset: _Size
    end: _Size
    crc: int
    outputs: tuple[Place, ...]
    scores: tuple[Place, ...]
    broken: dict[int, str]

    @property
    def rows(self) -> int:
        """How many samples could be read."""
        return self.stop - self.start - len(self.broken)


class _Sealed(msgspec.Struct, frozen=True):
    """The index, and its own checksum."""

    crc: int
    records: msgspec.Raw


def write_index(folder: Path, records: Sequence[Record]) -> None:
    """Write the records in the order of their samples. Raises OSError."""
    encoded = msgspec.json.encode(sorted(records, key=lambda record: record.start))
    sealed = _Sealed(zlib.crc32(encoded), msgspec.Raw(encoded))
    (folder / _INDEX).write_bytes(msgspec.json.encode(sealed))


def read_index(folder: Path) -> list[Record]:
    """The records that were written. Raises OSError, ValueError or MsgspecError."""
    sealed = msgspec.json.decode((folder / _INDEX).read_bytes(), type=_Sealed)
    if zlib.crc32(sealed.records) != sealed.crc:
        raise ValueError("the index has changed")
    return msgspec.json.decode(sealed.records, type=list[Record])


def check_record(record: Record, size: int) -> None:
    """Refuse what cannot be read safely from a file of so many bytes. Raises ValueError."""
    if record.stop <= record.start or not record.offset <= record.end <= size:
        raise ValueError("a record lies outside of the file")
    if any(not record.start <= index < record.stop for index in record.broken):
        raise ValueError("a broken sample lies outside of its record")
    for place in (*record.outputs, *record.scores):
        if np.dtype(place.dtype).kind not in "biufc":
            raise ValueError("an array holds no numbers")
        if place.shape[:1] != (record.rows,):
            raise ValueError("an array has not a row for every sample")
        if not record.offset <= place.offset <= record.end - place.size:
            raise ValueError("an array lies outside of its record")
