"""What a model is fed: samples of a data set as its inputs, without those that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count, islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import Dataset, Feed, convert
from compaudit.errors import RequestError

__all__ = ["Inputs", "feed_batch", "first_batch", "fixed_batch"]

Inputs = dict[str, NDArray[Any]]

_PATIENCE = 1000
"""So many samples from the first on may be unreadable, before the data counts as such."""


def feed_batch(dataset: Dataset, feeds: tuple[Feed, ...], start: int, stop: int) -> Inputs:
    """A model's inputs for these samples, cast, and repeated up to a fixed batch size.

    Samples that cannot be read are left out (`Dataset.broken`); without any that can, the inputs
    have no rows.

    Raises:
        RequestError: a number does not fit into the type that an input takes, or is none of those
            that the model looks up.
    """
    return _fed(dataset.batch(start, stop, _names(feeds)), feeds, dataset, start)


def first_batch(dataset: Dataset, feeds: tuple[Feed, ...], size: int) -> Inputs:
    """A model's inputs for one run of exactly `size` samples.

    They are the first that can be read and have the shapes of the first such, over again if need
    be.

    Raises:
        RequestError: as `feed_batch`, or none of the first thousand samples can be read.
    """
    exactly = tuple(msgspec.structs.replace(feed, batch=size) for feed in feeds)
    return _fed(_first_readable(dataset, feeds, size), exactly, dataset, 0)


def fixed_batch(feeds: tuple[Feed, ...]) -> int | None:
    """The number of samples that the model insists on; None where it takes any."""
    return next((feed.batch for feed in feeds if feed.batch is not None), None)


def _names(feeds: tuple[Feed, ...]) -> frozenset[str]:
    return frozenset(feed.array for feed in feeds)


def _fed(
    arrays: Mapping[str, NDArray[Any]], feeds: tuple[Feed, ...], dataset: Dataset, start: int
) -> Inputs:
    """The inputs from the arrays of the samples that could be read from `start` on."""

    def name_of(row: int) -> str:
        readable = (index for index in count(start) if index not in dataset.broken)
        return dataset.name_of(next(islice(readable, row, None)))

    inputs = {}
    for feed in feeds:
        values = convert(arrays[feed.array], feed, name_of)
        if feed.batch is not None and 0 < len(values) < feed.batch:
            values = values[np.arange(feed.batch) % len(values)]
        inputs[feed.input] = np.ascontiguousarray(values)
    return inputs


def _first_readable(dataset: Dataset, feeds: tuple[Feed, ...], size: int) -> Inputs:
    """At most `size` samples of equal shapes, at least one."""
    names = _names(feeds)
    if not names:
        return {}
    parts: list[Inputs] = []
    found = start = 0
    while found < size and start < dataset.samples and (found or start < _PATIENCE):
        stop = dataset.uniform(start, min(start + size - found, dataset.samples))
        arrays = dataset.batch(start, stop, names)
        rows = len(next(iter(arrays.values())))
        if rows and parts and not _alike(parts[0], arrays):
            break
        if rows:
            parts.append(arrays)
        found, start = found + rows, stop
    if not parts:
        index, reason = next(iter(dataset.broken.items()), (0, "it is left out"))
        raise RequestError(
            f"none of the first {start} samples can be read; {dataset.name_of(index)}: {reason}",
            hint="check --data",
            code="no-readable-samples",
            stage="data",
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _alike(one: Inputs, other: Inputs) -> bool:
    """Whether samples of both have equal shapes."""
    return all(one[name].shape[1:] == other[name].shape[1:] for name in one)
