"""Samples in one file: what all kinds of them share, so that a folder of such files is one too."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, Dataset
from compaudit.data.runs import Runs

__all__ = ["FileDataset", "SampleDigest", "empty_batch"]


class FileDataset(Dataset):
    """Samples in one file.

    Attributes:
        path: the file.
        sequences: arrays whose samples may differ in size.
        runs: where sizes change; None where they cannot.
    """

    path: Path
    sequences: frozenset[str] = frozenset()
    runs: Runs | None = None

    def uniform(self, start: int, stop: int) -> int:
        """The end, at most `stop`, of the samples from `start` on that have equal shapes."""
        return stop if self.runs is None else self.runs.end(start, stop)

    def digest(self) -> str:
        """SHA-256 over the names, types, shapes and values that are used."""
        digest = SampleDigest(self.arrays)
        self.hash_into(digest)
        return digest.hexdigest()

    @abstractmethod
    def hash_into(self, digest: SampleDigest) -> None:
        """Add every sample to a digest."""

    @abstractmethod
    def release(self) -> None:
        """Let go of open files and of values that can be read again."""


def empty_batch(
    arrays: Sequence[ArrayInfo], names: Collection[str] | None
) -> dict[str, NDArray[Any]]:
    """A batch of no samples."""
    return {
        array.name: np.empty((0, *(size or 0 for size in array.shape)), array.dtype)
        for array in arrays
        if names is None or array.name in names
    }


class SampleDigest:
    """SHA-256 over the samples of a data set, however it is cut into files and batches."""

    def __init__(self, arrays: Sequence[ArrayInfo]) -> None:
        self._arrays = arrays
        self._sizes = {array.name: hashlib.sha256() for array in arrays}
        self._values = {array.name: hashlib.sha256() for array in arrays}

    def add(self, name: str, shapes: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Add the next samples of one array.

        Args:
            name: of the array.
            shapes: of each sample: (samples, dimensions).
            values: of all of them, in C order.
        """
        self._sizes[name].update(np.ascontiguousarray(shapes).tobytes())
        self._values[name].update(values.tobytes())

    def hexdigest(self) -> str:
        """The digest of what was added."""
        total = hashlib.sha256()
        for array in sorted(self._arrays, key=lambda array: array.name):
            total.update(msgspec.json.encode((array.name, array.dtype, len(array.shape))))
            total.update(self._sizes[array.name].digest() + self._values[array.name].digest())
        return total.hexdigest()
