"""Which samples suffered most: the ones to look at."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Batch
from compaudit.measure.outputs import OutputPair
from compaudit.measure.scored import Scored
from compaudit.results import WorstSample

__all__ = ["WorstSamples"]

Floats = NDArray[np.float64]
Why = Literal["broken", "loss", "kl", "error"]

# What comes first in the list.
_ORDER: tuple[Why, ...] = ("broken", "loss", "kl", "error")

# What stands for infinity, which JSON cannot say: in nats, what is as unlikely as a float64 can be.
_SURPRISE = -float(np.log(np.finfo(np.float64).smallest_subnormal))
_LARGEST = {"broken": _SURPRISE, "loss": _SURPRISE, "kl": _SURPRISE, "error": sys.float_info.max}


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The samples of a batch: why each is listed (a place in `_ORDER`), and how bad it is.

    A score of zero or less is of a sample that did not suffer.
    """

    indices: NDArray[Any]
    why: NDArray[np.int64]
    scores: Floats
    labels: NDArray[Any] | None = None
    original: NDArray[Any] | None = None
    compressed: NDArray[Any] | None = None


# Sorts the worst first, and those that are equally bad by index.
_Key = tuple[int, float, int]


class WorstSamples:
    """The samples that suffered most, so many at most.

    With labels and class scores those that the compressed model alone gets wrong come first, then
    those whose loss rose, both by the rise of cross-entropy; without labels those of the highest KL
    divergence; with numbers to predict those whose mean absolute error rose. A sample of tokens
    counts by the mean of its tokens. Outputs of the compressed model that are no numbers count as
    infinitely wrong.

    Args:
        limit: how many are kept.
        output: the output that numbers to predict belong to; None where there is only one.
    """

    def __init__(self, limit: int, output: OutputPair | None = None) -> None:
        self._limit = limit
        self._output = output
        self._found: list[tuple[_Key, WorstSample]] = []

    def update(self, batch: Batch, scored: Scored | None) -> None:
        """Take in one batch; `scored` is what its class scores say, None where there are none."""
        ranked = self._errors(batch) if scored is None else _ranked(scored)
        if ranked is not None and self._limit:
            self._keep(_worst_of(ranked, self._limit))

    def merge(self, other: WorstSamples) -> None:
        """Take in what was seen of other samples."""
        self._keep(iter(other._found))

    def result(self, name_of: Callable[[int], str]) -> list[WorstSample]:
        """The worst first.

        Args:
            name_of: what the data calls a sample, by its index.
        """
        return [
            WorstSample(
                index=found.index,
                name=name_of(found.index),
                why=found.why,
                score=found.score,
                label=found.label,
                original=found.original,
                compressed=found.compressed,
                image=found.image,
            )
            for _, found in self._found
        ]

    def _keep(self, more: Iterator[tuple[_Key, WorstSample]]) -> None:
        self._found = sorted([*self._found, *more], key=lambda entry: entry[0])[: self._limit]

    def _errors(self, batch: Batch) -> _Ranked | None:
        """By the rise of absolute error; None where labels and outputs are nothing to subtract."""
        pair = self._output
        if pair is None and len(batch.original) == len(batch.compressed) == 1:
            pair = OutputPair(next(iter(batch.original)), next(iter(batch.compressed)))
        if batch.labels is None or pair is None or not len(batch.labels):
            return None
        arrays = (batch.labels, batch.original[pair.original], batch.compressed[pair.compressed])
        if any(np.asarray(array).dtype.kind not in "fiuV" for array in arrays):
            return None
        truth, original, compressed = (
            np.asarray(array).astype(np.float64).reshape(len(batch.indices), -1) for array in arrays
        )
        if not truth.shape == original.shape == compressed.shape:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            before, after = (np.abs(x - truth).mean(axis=1) for x in (original, compressed))
        rise = _rise(before, after)
        return _Ranked(batch.indices, np.full(len(rise), _ORDER.index("error")), rise)


def _ranked(scored: Scored) -> _Ranked:
    """Samples by what their class scores say."""
    first, second = scored.original, scored.compressed
    if first.loss is None or second.loss is None or scored.labels is None:
        why, scores = "kl", np.where(first.usable, np.where(second.usable, scored.kl, np.inf), 0.0)
    else:
        why, scores = "loss", _rise(first.loss, second.loss)
    if scored.per == "token":
        samples, place, sizes = np.unique(scored.samples, return_inverse=True, return_counts=True)
        means = np.bincount(place, scores, len(samples)) / sizes
        return _Ranked(samples, np.full(len(samples), _ORDER.index(why)), means)
    places = np.full(len(scores), _ORDER.index(why))
    if scored.labels is not None:
        broken = (first.predicted == scored.labels) & (second.predicted != scored.labels)
        places[broken] = _ORDER.index("broken")
    return _Ranked(scored.samples, places, scores, scored.labels, first.predicted, second.predicted)


def _rise(before: Floats, after: Floats) -> Floats:
    """By how much a loss rose; nothing where it was no number before."""
    known = np.isfinite(before)
    lost = np.where(np.isfinite(after), after, np.inf)
    return np.asarray(np.where(known, lost - np.where(known, before, 0.0), 0.0))


def _worst_of(ranked: _Ranked, limit: int) -> Iterator[tuple[_Key, WorstSample]]:
    """The worst samples of one batch."""
    order = np.lexsort((ranked.indices, -ranked.scores, ranked.why))
    suffered = (ranked.scores > 0) | (ranked.why == _ORDER.index("broken"))
    for row in order[suffered[order]][:limit]:
        place, score = int(ranked.why[row]), float(ranked.scores[row])
        index = int(ranked.indices[row])
        yield (
            (place, -score, index),
            WorstSample(
                index=index,
                name=str(index),
                why=_ORDER[place],
                score=min(score, _LARGEST[_ORDER[place]]) if np.isinf(score) else score,
                label=_class_at(ranked.labels, row),
                original=_class_at(ranked.original, row),
                compressed=_class_at(ranked.compressed, row),
                image=None,
            ),
        )


def _class_at(classes: NDArray[Any] | None, row: int) -> int | None:
    """One class; None where there is none."""
    if classes is None or classes[row] < 0:
        return None
    return int(classes[row])
