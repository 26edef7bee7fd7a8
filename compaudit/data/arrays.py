"""Samples in arrays that lie whole in one file: batches, the digest, and the checks they share."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo
from compaudit.data.file_dataset import FileDataset, SampleDigest
from compaudit.errors import RequestError

__all__ = ["ArrayDataset", "WholeArray"]

_DIGEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WholeArray:
    """Type and shape of an array, its first dimension included."""

    dtype: str
    shape: tuple[int, ...]


class ArrayDataset(FileDataset):
    """A `Dataset` of named arrays; the first dimension of each counts samples.

    A subclass reads the arrays, each once, when the first of its values is wanted.

    Args:
        path: the file, for errors.
        whole: type and whole shape of every array.
        limit: use only so many samples.

    Raises:
        RequestError: arrays of different lengths, or none at all.
    """

    def __init__(self, path: Path, whole: Mapping[str, WholeArray], limit: int | None) -> None:
        self.path = path
        self.broken = {}
        self._read: dict[str, NDArray[Any]] = {}
        lengths = {array.shape[0] if array.shape else 0 for array in whole.values()}
        if len(lengths) != 1:
            listed = ", ".join(f"{name!r} {array.shape}" for name, array in whole.items())
            raise RequestError(
                f"{path} holds arrays of different lengths: {listed}",
                hint="the first dimension of every array counts the samples",
                code="data-lengths-differ",
                stage="data",
            )
        (length,) = lengths
        if length == 0:
            raise RequestError(
                f"{path} holds no samples",
                hint="an audit needs at least one",
                code="no-samples",
                stage="data",
            )
        self.samples = min(length, limit or length)
        self.arrays = tuple(
            ArrayInfo(name, array.dtype, array.shape[1:]) for name, array in whole.items()
        )

    def read(self, name: str) -> NDArray[Any]:
        """The whole array of that name, mapped where possible. Raises RequestError."""
        raise NotImplementedError

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The arrays of these samples, in memory of their own."""
        stop = min(stop, self.samples)
        # A copy: mapped values may lie where no element of their type may.
        return {
            array.name: np.array(self._array(array.name)[start:stop])
            for array in self.arrays
            if names is None or array.name in names
        }

    def digest(self) -> str:
        """SHA-256 over the names, types, shapes and values that are used."""
        total = hashlib.sha256()
        for array in sorted(self.arrays, key=lambda array: array.name):
            values = self._array(array.name)[: self.samples]
            total.update(f"{array.name} {values.dtype.str} {values.shape}".encode())
            for part in _parts(values):
                total.update(part.tobytes())
        return total.hexdigest()

    def hash_into(self, digest: SampleDigest) -> None:
        """Add every sample to a digest."""
        for array in self.arrays:
            for part in _parts(self._array(array.name)[: self.samples]):
                sizes = np.array(part.shape[1:], np.int64)
                digest.add(array.name, np.broadcast_to(sizes, (len(part), len(sizes))), part)

    def release(self) -> None:
        """Let go of the arrays."""
        self._read.clear()

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            self._read[name] = self.read(name)
        return self._read[name]


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array in parts, for its bytes are a copy."""
    rows = max(1, _DIGEST_BYTES * len(values) // max(1, values.nbytes))
    for start in range(0, len(values), rows):
        yield values[start : start + rows]
