"""Where in a data set the shapes of samples change: one inference takes samples of one shape."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError

__all__ = ["RunBuilder", "Runs", "Shapes", "lengths_differ"]

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes of one sample, by array."""

Sizes = Mapping[str, tuple[int | None, ...]]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Runs:
    """Runs of samples that have equal shapes, one behind the other.

    Attributes:
        starts: where the second run begins, and every one after it: int64, sorted.
        first: shapes of the first sample.
        last: shapes of the last sample.
        sizes: for every array the sizes that all samples have, None where they differ.
    """

    starts: NDArray[np.int64]
    first: Shapes
    last: Shapes
    sizes: Sizes

    def end(self, start: int, stop: int) -> int:
        """The end, at most `stop`, of the samples from `start` on that have equal shapes."""
        place = int(np.searchsorted(self.starts, start, side="right"))
        return stop if place == len(self.starts) else min(stop, int(self.starts[place]))

    @staticmethod
    def beside(parts: Sequence[Runs]) -> Runs:
        """The runs of all arrays, from those of some arrays each; of the same samples."""
        starts = [np.empty(0, np.int64), *(part.starts for part in parts)]
        return Runs(
            np.unique(np.concatenate(starts)),
            {name: shape for part in parts for name, shape in part.first.items()},
            {name: shape for part in parts for name, shape in part.last.items()},
            {name: sizes for part in parts for name, sizes in part.sizes.items()},
        )

    @staticmethod
    def joined(parts: Sequence[Runs], begins: Sequence[int]) -> Runs:
        """The runs of parts that follow one another.

        Args:
            parts: of the same arrays, with equally many dimensions.
            begins: the first sample of each part.
        """
        starts = [parts[0].starts]
        sizes = parts[0].sizes
        for before, part, begin in zip(parts, parts[1:], begins[1:], strict=False):
            if dict(before.last) != dict(part.first):
                starts.append(np.array([begin], np.int64))
            starts.append(part.starts + begin)
            sizes = {name: _common(known, part.sizes[name]) for name, known in sizes.items()}
        return Runs(np.concatenate(starts), parts[0].first, parts[-1].last, sizes)


class RunBuilder:
    """Takes samples in by their shapes, in order. Memory: 8 bytes a run."""

    def __init__(self) -> None:
        self._starts = array("q")
        self._samples = 0
        self._first: Shapes = {}
        self._last: Shapes = {}
        self._sizes: Sizes = {}
        self._settled = False

    def add(self, shapes: Shapes, samples: int = 1) -> None:
        """Take in so many samples of these shapes."""
        if self._samples == 0:
            self._first = self._sizes = shapes
        elif shapes != self._last:
            self._starts.append(self._samples)
            if not self._settled:
                self._note(shapes)
        self._last = shapes
        self._samples += samples

    def _note(self, shapes: Shapes) -> None:
        self._sizes = {name: _common(known, shapes[name]) for name, known in self._sizes.items()}
        self._settled = not any(
            size is not None for sizes in self._sizes.values() for size in sizes
        )

    def finish(self) -> Runs:
        """The runs of what was taken in, which is at least one sample."""
        starts = np.frombuffer(self._starts, np.int64) if self._starts else np.empty(0, np.int64)
        return Runs(starts, self._first, self._last, self._sizes)


def lengths_differ(path: Path, name: str, start: int, stop: int) -> RequestError:
    """A refusal to make one array of samples, of a file or folder, whose shapes differ."""
    return RequestError(
        f"the sequences {name!r} of the samples {start} to {stop - 1} of {path} have different "
        "lengths, and one inference takes them all",
        hint="pad them to one length, or take one at a time with --batch-size 1",
        code="lengths-differ",
        stage="data",
    )


def _common(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))
