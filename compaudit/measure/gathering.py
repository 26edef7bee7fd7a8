"""Small batches joined into larger ones: what is made of a batch costs milliseconds, however small.

The first is shown as it comes, so that outputs or labels that do not fit are told at once; then
two are joined, then four, and so on. How many depends on their sizes alone, so that an audit that
is run again adds up the same numbers in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Batch, Tally

__all__ = ["Gathered"]

_MOST_SAMPLES = 1024
_MOST_BYTES = 2 * 10**6

T = TypeVar("T", bound=Tally)


class Gathered(Generic[T]):
    """A tally that holds batches back until there are enough of them for another.

    Args:
        make: makes the other.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._tally = make()
        self._held: list[Batch] = []
        self._form: list[Any] | None = None
        self._samples = self._bytes = 0
        self._wanted = 1

    def finish(self) -> T:
        """The tally of all that was seen. Raises what it raises."""
        self._show()
        return self._tally

    def merge(self, other: Self) -> None:
        """Take in what a tally of other samples has seen; it must not be used any more."""
        self.finish().merge(other.finish())

    def update(self, batch: Batch) -> None:
        """Take in the next batch, with one sample at least. Raises what the tally raises."""
        form = _form(batch)
        if form != self._form:
            self._show()
        self._form = form
        self._held.append(batch)
        self._samples += len(batch.indices)
        self._bytes += _bytes(batch)
        if (
            len(self._held) >= self._wanted
            or self._samples >= _MOST_SAMPLES
            or self._bytes >= _MOST_BYTES
        ):
            self._wanted = 2 * len(self._held)
            self._show()
        else:
            # What the models give next may need the memory that it lies in.
            self._held[-1] = _joined([batch])

    def _show(self) -> None:
        held, self._held = self._held, []
        self._samples = self._bytes = 0
        if held:
            self._tally.update(held[0] if len(held) == 1 else _joined(held))


def _arrays(batch: Batch) -> dict[str, Mapping[str, NDArray[Any]]]:
    """All that has a row for each sample, by field."""
    return {
        "original": batch.original,
        "compressed": batch.compressed,
        "original_scores": batch.original_scores,
        "compressed_scores": batch.compressed_scores,
    }


def _form(batch: Batch) -> list[Any]:
    """What batches that can be joined have in common."""
    labels = None if batch.labels is None else (batch.labels.dtype, batch.labels.shape[1:])
    return [
        labels,
        *(
            (field, name, array.dtype, array.shape[1:])
            for field, arrays in _arrays(batch).items()
            for name, array in arrays.items()
        ),
    ]


def _bytes(batch: Batch) -> int:
    return sum(array.nbytes for arrays in _arrays(batch).values() for array in arrays.values())


def _joined(batches: Sequence[Batch]) -> Batch:
    first = batches[0]
    fields = {
        field: {
            name: np.concatenate([_arrays(batch)[field][name] for batch in batches])
            for name in arrays
        }
        for field, arrays in _arrays(first).items()
    }
    labels = [batch.labels for batch in batches if batch.labels is not None]
    return Batch(
        indices=np.concatenate([batch.indices for batch in batches]),
        labels=np.concatenate(labels) if labels else None,
        **fields,
    )
