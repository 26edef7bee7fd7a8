"""Samples in a JSON Lines file: one object a line, with numbers, or lists of them, by name."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest
from compaudit.data.file_dataset import FileDataset, SampleDigest, empty_batch
from compaudit.data.line_format import LineError, LineFormat, LineReader
from compaudit.data.runs import RunBuilder, Runs, Shapes, lengths_differ
from compaudit.data.scans import scan_once
from compaudit.errors import RequestError

__all__ = ["SUFFIXES", "JsonLinesDataset", "is_jsonl"]

SUFFIXES = (".jsonl", ".ndjson")

_MARK = b"\xef\xbb\xbf"
"""Some editors begin UTF-8 with it."""

_SNIFFED_BYTES = 1 << 12
_LONGEST_BYTES = 1 << 28
_AT_A_TIME = 1 << 10


def is_jsonl(path: Path) -> bool:
    """Whether the file is called so, or begins with an object."""
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES)
    return path.suffix in SUFFIXES or start.removeprefix(_MARK).lstrip().startswith(b"{")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Scan:
    """What looking at every line has told: how they look, and where each begins."""

    format: LineFormat
    starts: array[int]
    runs: Runs


class _Checker:
    """Looks at one line after the other. `format` is that of all lines so far."""

    def __init__(self, line_format: LineFormat) -> None:
        self.format = line_format
        self._reader = line_format.reader()

    def shapes_of(self, line: bytes) -> Shapes:
        """The shapes of what a line holds. Raises LineError."""
        try:
            return self._reader.shapes(self._reader.read(line))
        except LineError:
            wider = self.format.widened(line)
            if wider == self.format:
                raise
        self.format, self._reader = wider, wider.reader()
        return self._reader.shapes(self._reader.read(line))


class JsonLinesDataset(FileDataset):
    """The lines of one file; a key is an array, and sequences may differ in length.

    Every line is looked at once, so that a broken one is found before anything is measured. Where
    lines begin is kept, at 8 bytes each; they are parsed again when they are asked for. Blank lines
    are skipped. Keys without numbers are left out.

    Raises:
        RequestError: a line is broken or unlike the first, there are no numbers, or no lines.
    """

    kind = "jsonl"

    def __init__(self, request: DataRequest) -> None:
        assert request.uri is not None
        self.path = Path(request.uri)
        self.broken = {}
        self._file: IO[bytes] | None = None
        self._readers: dict[frozenset[str], LineReader] = {}
        self._limit = request.limit
        self._scan = scan_once(self.path, request.limit, self._scanned)
        self.samples = len(self._scan.starts)
        self.left_out = self._scan.format.others
        self.runs = self._scan.runs
        self.sequences = frozenset(name for name, shape in self.runs.first.items() if shape)
        self.arrays = tuple(
            ArrayInfo(name, numbers.dtype.name, self.runs.sizes[name])
            for name, numbers in self._scan.format.numbers.items()
        )

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The arrays of these samples.

        Raises:
            RequestError: their sequences differ in length, or the file has changed.
        """
        stop = min(stop, self.samples)
        if start >= stop:
            return empty_batch(self.arrays, names)
        known = self._scan.format.numbers.keys()
        wanted = frozenset(known if names is None else known & set(names))
        reader = self._reader(wanted)
        lines, shapes = self._read(reader, start, stop)
        for name in wanted:
            if len({shape[name] for shape in shapes}) != 1:
                raise lengths_differ(self.path, name, start, stop)
        return {
            name: values.reshape(len(lines), *shapes[0][name])
            for name, values in reader.values(lines).items()
        }

    def hash_into(self, digest: SampleDigest) -> None:
        """Add every sample to a digest."""
        reader = self._reader(frozenset(self._scan.format.numbers))
        for start in range(0, self.samples, _AT_A_TIME):
            lines, shapes = self._read(reader, start, min(start + _AT_A_TIME, self.samples))
            for name, values in reader.values(lines).items():
                sizes = np.array([shape[name] for shape in shapes], np.int64)
                digest.add(name, sizes, values)

    def release(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _scanned(self) -> _Scan:
        """All lines up to the limit, looked at."""
        starts, runs = array("q"), RunBuilder()
        checker: _Checker | None = None
        for number, start, line in self._lines():
            try:
                if checker is None:
                    checker = _Checker(self._first_format(line))
                runs.add(checker.shapes_of(line))
            except LineError as error:
                raise self._refused(f"{error}", number) from error
            starts.append(start)
            if len(starts) == self._limit:
                break
        if checker is None:
            raise self._error("holds no samples", "no-samples", "an audit needs at least one")
        return _Scan(checker.format, starts, runs.finish())

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Every line that is not blank: its number, where it begins, and its bytes."""
        start = 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(_LONGEST_BYTES), b""), 1):
                    if len(line) == _LONGEST_BYTES:
                        raise self._refused(f"is longer than {_LONGEST_BYTES:,} bytes", number)
                    mark = len(_MARK) if number == 1 and line.startswith(_MARK) else 0
                    if line[mark:].strip():
                        yield number, start + mark, line[mark:]
                    start += len(line)
        except OSError as error:
            raise self._unreadable(error) from error

    def _first_format(self, line: bytes) -> LineFormat:
        line_format = LineFormat.of(line)
        if not line_format.numbers:
            listed = ", ".join(f"{name!r} is {what}" for name, what in line_format.others.items())
            raise self._error(
                f"has no key with numbers: {listed or 'the first line is empty'}",
                "no-arrays",
                "every line is an object such as "
                '{"input_ids": [101, 2054, 102], "attention_mask": [1, 1, 1]}',
            )
        return line_format

    def _reader(self, names: frozenset[str]) -> LineReader:
        if names not in self._readers:
            self._readers[names] = self._scan.format.reader(names)
        return self._readers[names]

    def _read(
        self, reader: LineReader, start: int, stop: int
    ) -> tuple[list[dict[str, Any]], list[Shapes]]:
        """The numbers of these lines, and their shapes."""
        lines: list[dict[str, Any]] = []
        try:
            if self._file is None:
                self._file = self.path.open("rb")
            for index in range(start, stop):
                self._file.seek(self._scan.starts[index])
                lines.append(reader.read(self._file.readline(_LONGEST_BYTES)))
            return lines, [reader.shapes(line) for line in lines]
        except OSError as error:
            raise self._unreadable(error) from error
        except LineError as error:
            raise self._error(
                f"has changed since it was opened: the line of sample {start + len(lines)} {error}",
                "data-changed",
                "run the audit again",
            ) from error

    def _unreadable(self, error: OSError) -> RequestError:
        return self._error(f"cannot be read: {error}", "broken-data", "check --data")

    def _refused(self, what: str, number: int) -> RequestError:
        return self._error(
            f"is no JSON Lines file of samples: line {number} {what}",
            "broken-data",
            "every line is one object with the keys of the first, and numbers or lists of numbers",
        )

    def _error(self, what: str, code: str, hint: str) -> RequestError:
        return RequestError(f"{self.path} {what}", hint=hint, code=code, stage="data")
