"""What every source of samples offers, and how its arrays become a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Value

__all__ = ["LABELS", "ArrayInfo", "DataRequest", "Dataset", "Feed", "SyntheticInput", "feeds_for"]

LABELS = ("labels", "label")
"""Names under which a data file may hold the right answers."""


class SyntheticInput(msgspec.Struct, frozen=True):
    """One input to make up: numbers in [low, high), one sample of this shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: float
    high: float


class DataRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which samples to open; small, so that every worker can open them for itself.

    Attributes:
        uri: where they are; None for synthetic inputs.
        limit: use only so many samples.
        synthetic: the inputs to make up where there is no `uri`.
        samples: how many to make up.
    """

    uri: str | None = None
    limit: int | None = None
    seed: int = 0
    synthetic: tuple[SyntheticInput, ...] = ()
    samples: int = 0


class ArrayInfo(msgspec.Struct, frozen=True):
    """One array of a data set: the type and shape of a single sample."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Dataset(Protocol):
    """Samples by index. Opening one checks what it says of itself before reading any of it."""

    samples: int
    arrays: tuple[ArrayInfo, ...]

    def batch(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Every array, labels too, for the samples from `start` to `stop` (exclusive)."""
        ...

    def digest(self) -> str:
        """A hash of what the models are fed."""
        ...


class Feed(msgspec.Struct, frozen=True):
    """One input of one model: which array it takes, and as what type.

    `batch` is the fixed number of samples the model insists on, None where it takes any.
    """

    input: str
    array: str
    dtype: str
    batch: int | None


def feeds_for(
    inputs: tuple[Value, ...],
    arrays: tuple[ArrayInfo, ...],
    mapping: Mapping[str, str],
    model: str,
) -> tuple[Feed, ...]:
    """Match the arrays of a data set to a model's inputs, by name.

    Args:
        inputs: what the model takes. A dtype or shape it does not declare is taken from the data.
        arrays: what the data set holds, without its labels.
        mapping: A → B where the array A feeds the input B.
        model: how the user named the model, for errors.

    Raises:
        RequestError: an input has no array, or an array of another type or shape.
    """
    by_name = {array.name: array for array in arrays}
    source_of = {target: array for array, target in mapping.items()}
    feeds = []
    for value in inputs:
        array = by_name.get(source_of.get(value.name, value.name))
        if array is None and len(inputs) == len(arrays) == 1 and value.name not in source_of:
            # One input and one array leave nothing to choose.
            array = arrays[0]
        if array is None:
            raise RequestError(
                f"{model} takes an input {value.name!r}, and the data has no array of that name",
                hint=f"the data holds {_listed(by_name)}; --map-input NAME={value.name} "
                "says which one it is",
                code="inputs-do-not-fit",
                model=model,
                stage="data",
            )
        feeds.append(_feed(value, array, model))
    return tuple(feeds)


def _feed(value: Value, array: ArrayInfo, model: str) -> Feed:
    """One input fed by one array, after checking that they fit."""

    def refuse(what: str, hint: str) -> RequestError:
        return RequestError(
            f"{model} wants {what}", hint=hint, code="inputs-do-not-fit", model=model, stage="data"
        )

    dtype = value.dtype or array.dtype
    if not _castable(array.dtype, dtype):
        raise refuse(
            f"{dtype} for its input {value.name!r}, and the data holds {array.dtype}",
            f"convert the array to {dtype} when you save it",
        )
    if value.shape is None:
        return Feed(value.name, array.name, dtype, None)
    if len(value.shape) != len(array.shape) + 1 or any(
        isinstance(wanted, int) and wanted != given
        for wanted, given in zip(value.shape[1:], array.shape, strict=True)
    ):
        raise refuse(
            f"shape {_shape(value.shape)} for its input {value.name!r}, and the data holds "
            f"samples of shape {_shape(array.shape)}",
            "the first dimension counts samples; the others must be equal",
        )
    batch = value.shape[0]
    return Feed(value.name, array.name, dtype, batch if isinstance(batch, int) else None)


def _castable(given: str, wanted: str) -> bool:
    """Whether the values survive: not from fractions to whole numbers, nor from or to text."""
    try:
        source, target = np.dtype(given), np.dtype(wanted)
    except TypeError:
        return given == wanted
    if "b" in (source.kind, target.kind):
        return source == target
    return bool(np.can_cast(source, target, "same_kind")) or (
        source.kind in "iu" and target.kind in "iuf"
    )


def _shape(shape: tuple[object, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing but labels"
