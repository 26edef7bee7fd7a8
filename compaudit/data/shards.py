"""A folder of data files: shards of one data set, in the order of their names."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest, Dataset
from compaudit.data.file_dataset import FileDataset, SampleDigest, empty_batch
from compaudit.data.files import FileKind, kind_of, kind_of_suffix, unknown_data, unreadable
from compaudit.data.npy import NpyFolder
from compaudit.data.runs import Runs, lengths_differ
from compaudit.errors import RequestError

__all__ = ["ShardedDataset", "holds_data_files", "open_folder"]

_HIDDEN = (".", "_")
"""What begins so is no data: Spark writes ``_SUCCESS`` and ``_metadata`` beside it."""

_KEPT = 2
"""So many shards may hold open files and values at a time."""


def holds_data_files(folder: Path) -> bool:
    """Whether a file in the folder is called as data files are. Raises RequestError."""
    return bool(_data_files(folder))


def open_folder(request: DataRequest) -> Dataset:
    """The data files of a folder as one data set.

    Each ``.npy`` file is an array; files of all other kinds are shards, which hold the same arrays.

    Raises:
        RequestError: files of several kinds, or that are not what they are called, are broken or do
            not continue one another.
    """
    assert request.uri is not None
    folder = Path(request.uri)
    files = _data_files(folder)
    if not files:
        raise unknown_data(folder, "holds no file of samples")
    kinds = {path.name: _checked_kind(path) for path in files}
    first = next(iter(kinds.items()))
    for name, kind in kinds.items():
        if kind != first[1]:
            raise RequestError(
                f"{folder} holds files of different kinds: {first[0]} is {first[1].name}, and "
                f"{name} is {kind.name}",
                hint="name one file with --data, or move those that do not belong elsewhere",
                code="mixed-data",
                stage="data",
            )
    if first[1].name == "npy":
        return NpyFolder(request, files)
    return ShardedDataset(request, files, first[1])


class ShardedDataset(Dataset):
    """Shards, one behind the other. All are checked when they are opened, and two are held open.

    Args:
        request: its `uri` is the folder.
        files: the shards, in order. Empty ones are skipped, and those beyond the limit.
        kind: of all of them.

    Raises:
        RequestError: a shard is broken or holds other arrays, or not one holds a sample.
    """

    def __init__(self, request: DataRequest, files: Sequence[Path], kind: FileKind) -> None:
        assert request.uri is not None
        self._folder = Path(request.uri)
        self.kind = f"{kind.name} shards"
        self.broken = {}
        self._shards = _opened(files, kind, request.limit)
        if not self._shards:
            raise RequestError(
                f"{request.uri} holds no samples",
                hint="an audit needs at least one",
                code="no-samples",
                stage="data",
            )
        self._recent: deque[FileDataset] = deque()
        self._starts = [0, *accumulate(shard.samples for shard in self._shards)]
        self.samples = self._starts[-1]
        first = self._shards[0]
        self.left_out = first.left_out
        runs = [shard.runs for shard in self._shards if shard.runs is not None]
        self._runs = Runs.joined(runs, self._starts[:-1]) if runs else None
        self.arrays = tuple(
            array
            if self._runs is None or array.name not in self._runs.sizes
            else msgspec.structs.replace(array, shape=self._runs.sizes[array.name])
            for array in first.arrays
        )

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The arrays of these samples, in memory of their own.

        Raises:
            RequestError: a shard is broken there, or sizes differ.
        """
        stop = min(stop, self.samples)
        if start >= stop:
            return empty_batch(self.arrays, names)
        parts = []
        for place in range(self._place_of(start), self._place_of(stop - 1) + 1):
            begin, end = self._starts[place : place + 2]
            shard = self._entered(place)
            parts.append(shard.batch(max(start, begin) - begin, min(stop, end) - begin, names))
        for name in parts[0]:
            if len({part[name].shape[1:] for part in parts}) > 1:
                raise lengths_differ(self._folder, name, start, stop)
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def uniform(self, start: int, stop: int) -> int:
        """The end, at most `stop`, of the samples from `start` on that have equal shapes."""
        return stop if self._runs is None else self._runs.end(start, stop)

    def digest(self) -> str:
        """SHA-256 over the names, types, shapes and values, however they are cut into shards."""
        digest = SampleDigest(self.arrays)
        for place in range(len(self._shards)):
            self._entered(place).hash_into(digest)
        return digest.hexdigest()

    def name_of(self, index: int) -> str:
        """The shard and the place in it: ``shard-003.npz:17``."""
        place = self._place_of(index)
        return f"{self._shards[place].path.name}:{index - self._starts[place]}"

    def _place_of(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1

    def _entered(self, place: int) -> FileDataset:
        """A shard, while those that were entered before the last let go of what they hold."""
        shard = self._shards[place]
        if shard not in self._recent:
            self._recent.append(shard)
            if len(self._recent) > _KEPT:
                self._recent.popleft().release()
        return shard


def _data_files(folder: Path) -> list[Path]:
    """The files that are called as data files are, sorted by name."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if kind_of_suffix(path) and not path.name.startswith(_HIDDEN) and not path.is_dir()
        )
    except OSError as error:
        raise unreadable(folder, error) from error


def _checked_kind(path: Path) -> FileKind:
    """The kind of a file that is called as data files are. Raises RequestError if it is none."""
    if not path.is_file():
        raise unknown_data(path, "is called as data is, and is no file or a link to none")
    kind = kind_of(path)
    if kind is None:
        raise unknown_data(path, f"is no {path.suffix} file, although it is called so")
    return kind


def _opened(files: Sequence[Path], kind: FileKind, limit: int | None) -> list[FileDataset]:
    """The shards that hold the samples up to the limit, closed again."""
    shards: list[FileDataset] = []
    samples = 0
    for path in files:
        if samples == limit:
            break
        rest = None if limit is None else limit - samples
        try:
            shard = kind.open(DataRequest(uri=str(path), limit=rest))
        except RequestError as error:
            if error.code == "no-samples":
                continue  # Spark writes empty ones for empty partitions
            raise
        if shards:
            _require_continued(shards[0], shard)
        shard.release()
        shards.append(shard)
        samples += shard.samples
    return shards


def _require_continued(first: FileDataset, shard: FileDataset) -> None:
    """Raise RequestError where a shard has other arrays than the first."""
    have, want = _by_name(shard), _by_name(first)
    for name in sorted(want.keys() | have.keys()):
        one, other = want.get(name), have.get(name)
        varies = name in first.sequences & shard.sequences
        if one is None or other is None or not _agree(one, other, varies):
            raise RequestError(
                f"{shard.path} does not continue {first.path.name}: {name!r} is "
                f"{_described(one)} there and {_described(other)} here",
                hint="shards of one data set hold the same arrays, of one type and shape",
                code="shards-differ",
                stage="data",
            )


def _agree(one: ArrayInfo, other: ArrayInfo, varies: bool) -> bool:
    same_shape = len(one.shape) == len(other.shape) if varies else one.shape == other.shape
    return one.dtype == other.dtype and same_shape


def _by_name(dataset: Dataset) -> Mapping[str, ArrayInfo]:
    return {array.name: array for array in dataset.arrays}


def _described(array: ArrayInfo | None) -> str:
    if array is None:
        return "no array of numbers"
    sizes = ", ".join("?" if size is None else str(size) for size in array.shape)
    return f"{array.dtype} ({sizes})"
