"""What every source of samples offers, and how its arrays become a model's inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeGuard

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Dimension, Value

__all__ = [
    "LABELS",
    "Answers",
    "ArrayInfo",
    "DataRequest",
    "Dataset",
    "Feed",
    "SyntheticInput",
    "convert",
    "element_type",
    "feeds_for",
]

LABELS = ("labels", "label")
"""Names under which a data file may hold the right answers."""


class SyntheticInput(msgspec.Struct, frozen=True):
    """One input to make up: numbers in [low, high), or all `low`, one sample of this shape."""

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
        preprocess: ``--preprocess``: how images become arrays.
        spool: the folder into which samples that come only once, in order, were written.
    """

    uri: str | None = None
    limit: int | None = None
    seed: int = 0
    synthetic: tuple[SyntheticInput, ...] = ()
    samples: int = 0
    preprocess: str | None = None
    spool: str | None = None


class ArrayInfo(msgspec.Struct, frozen=True):
    """One array of a data set: the type and shape of a single sample.

    A size that varies from sample to sample (of a sequence) is None.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Answers(msgspec.Struct, frozen=True):
    """Where the right answers of a data set are.

    Attributes:
        array: the array that holds them.
        tokens: they are tokens in the order of the model's input, each the right answer to what
            stands before it; labels of Hugging Face's causal models are so too.
        mask: for tokens, the array that is 0 where there is none; None where all count.
    """

    array: str
    tokens: bool = False
    mask: str | None = None


class Dataset(ABC):
    """Samples by index. Opening one checks what it says of itself before reading any of it.

    Attributes:
        kind: how it is read, for the report: ``npz``, ``parquet``, ``images`` …
        samples: how many there are, those that turn out to be broken included.
        arrays: what a sample consists of, labels too.
        broken: samples that could not be read, by index, and why; grows as they are met.
        classes: names of the classes that the labels count, where the data knows them.
        left_out: what the data holds that is no number, and so can feed nothing: its name, and what
            it is.
        notes: what else of it is not used, in words for the report.
        reshaping: what to do where a sample has another shape than a model wants.
    """

    kind: str
    samples: int
    arrays: tuple[ArrayInfo, ...]
    broken: dict[int, str]
    classes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    reshaping: str = "the first dimension counts samples; the others must be equal"

    @abstractmethod
    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Arrays for the samples from `start` to `stop` (exclusive), in memory of their own.

        Samples that cannot be read are left out of every array, and recorded in `broken`.

        Args:
            start: the first sample.
            stop: the one behind the last.
            names: the arrays that are wanted; None for all of them, labels too.
        """

    @abstractmethod
    def digest(self) -> str:
        """A hash of what the models are fed."""

    def uniform(self, start: int, stop: int) -> int:
        """The end, at most `stop`, of the samples from `start` on that have equal shapes."""
        return stop

    def pixels(self, index: int) -> NDArray[np.uint8] | None:
        """A sample as somebody sees it, (height, width, 1 or 3); None where only arrays are known.

        It is cut and resized as the models get it, but not normalised.
        """
        return None

    def name_of(self, index: int) -> str:
        """What a reader finds a sample by: its file, or its place."""
        return str(index)


class Feed(msgspec.Struct, frozen=True):
    """One input of one model: which array it takes, and as what type.

    `batch` is the fixed number of samples the model insists on, None where it takes any. Where the
    model looks the numbers up in a stored table, `lowest` and `highest` are those that it has.
    """

    input: str
    array: str
    dtype: str
    batch: int | None
    lowest: int | None = None
    highest: int | None = None


def feeds_for(
    inputs: tuple[Value, ...],
    arrays: tuple[ArrayInfo, ...],
    mapping: Mapping[str, str],
    model: str,
    left_out: Mapping[str, str] = MappingProxyType({}),
    reshaping: str = Dataset.reshaping,
) -> tuple[Feed, ...]:
    """Match the arrays of a data set to a model's inputs, by name.

    Args:
        inputs: what the model takes. A dtype or shape it does not declare is taken from the data.
        arrays: what the data set holds, without its labels.
        mapping: A → B where the array A feeds the input B.
        model: how the user named the model, for errors.
        left_out: `Dataset.left_out`.
        reshaping: `Dataset.reshaping`.

    Raises:
        RequestError: an input has no array, or an array of another type or shape; or the inputs
            insist on different numbers of samples.
    """
    by_name = {array.name: array for array in arrays}
    source_of = {target: array for array, target in mapping.items()}
    feeds = []
    for value in inputs:
        wanted = source_of.get(value.name, value.name)
        array = by_name.get(wanted)
        if array is None and wanted in left_out:
            raise _misfit(
                model,
                f"takes an input {value.name!r}, and {wanted!r} in the data holds "
                f"{left_out[wanted]}, which is no number",
                f"save numbers as {wanted!r}; images can be given as a folder of image files",
            )
        if array is None and len(inputs) == len(arrays) == 1 and value.name not in source_of:
            # One input and one array leave nothing to choose.
            array = arrays[0]
        if array is None:
            raise _misfit(
                model,
                f"takes an input {value.name!r}, and the data has no array {wanted!r} for it",
                f"the data holds {_listed(by_name)}; --map-input NAME={value.name} "
                "says which one it is",
            )
        feeds.append(_feed(value, array, model, reshaping))
    batches = {feed.batch: feed.input for feed in feeds if feed.batch is not None}
    if len(batches) > 1:
        raise _misfit(
            model,
            "insists on different numbers of samples: "
            + ", ".join(f"{batch} for its input {name!r}" for batch, name in batches.items()),
            "export it so that the first dimension of every input counts samples",
        )
    return tuple(feeds)


def element_type(name: str) -> np.dtype[Any] | None:
    """The NumPy type of that name; None for one that inputs cannot have (text, float8, lists)."""
    if name == "bfloat16":
        import ml_dtypes

        bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return bfloat16
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError):
        return None
    # Types that other packages register come and go with their import.
    return dtype if dtype.kind in _GENERALITY and dtype.isbuiltin == 1 else None


def convert(values: NDArray[Any], feed: Feed, name_of: Callable[[int], str] = str) -> NDArray[Any]:
    """An array as the type that an input takes.

    Args:
        values: the first dimension counts samples.
        feed: the input that they are for.
        name_of: what a sample is called, by its place among these.

    Raises:
        RequestError: a number does not fit into that type, or is none of those that the model
            looks up.
    """
    dtype = element_type(feed.dtype)
    assert dtype is not None, "feeds_for refuses such inputs"
    if feed.lowest is not None and feed.highest is not None and values.dtype.kind in "iu":
        _require_known(values, feed, feed.lowest, feed.highest, name_of)
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        converted = values.astype(dtype)
    if dtype.kind in "iu":
        lost = converted != values
    else:
        lost = ~np.isfinite(converted)
        lost[lost] = np.isfinite(values[lost])
    if lost.any():
        raise RequestError(
            f"the array {feed.array!r} holds numbers too large for {feed.dtype}, the type of the "
            f"input {feed.input!r}; {_first(values, lost, name_of)}",
            hint="scale the data to the range the model was made for",
            code="data-out-of-range",
            stage="data",
        )
    return converted


def _require_known(
    values: NDArray[Any], feed: Feed, lowest: int, highest: int, name_of: Callable[[int], str]
) -> None:
    """Raises RequestError where the model has nothing stored for a number."""
    if not values.size or (values.min() >= lowest and values.max() <= highest):
        return
    unknown = (values < lowest) | (values > highest)
    raise RequestError(
        f"it looks its input {feed.input!r} up in a table of {highest + 1} rows, 0 to {highest}, "
        f"and the array {feed.array!r} holds other numbers; {_first(values, unknown, name_of)}",
        hint="the data must be made with the vocabulary of the model: check which tokenizer wrote "
        "it, and whether the compressed model's vocabulary was cut",
        code="data-out-of-range",
        stage="data",
    )


def _first(values: NDArray[Any], wrong: NDArray[np.bool_], name_of: Callable[[int], str]) -> str:
    """Where the first wrong number is, and what it is."""
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    sample = name_of(int(place[0])) if place else "0"
    return f"the first, in sample {sample}, is {values[place].item()!r}"


def _feed(value: Value, array: ArrayInfo, model: str, reshaping: str) -> Feed:
    """One input fed by one array, after checking that they fit."""
    dtype = value.dtype or array.dtype
    _check_types(value.name, dtype, array, model)
    if value.shape is None:
        return Feed(value.name, array.name, dtype, None)
    if len(value.shape) == len(array.shape) + 1 and any(
        _is_fixed(wanted) and given is None
        for wanted, given in zip(value.shape[1:], array.shape, strict=True)
    ):
        raise _misfit(
            model,
            f"wants shape {_shape(value.shape)} for its input {value.name!r}, and the samples of "
            f"{array.name!r} in the data differ in size: {_shape(array.shape)}",
            "pad every sample to the size that the model wants when you save the data, or export "
            "the model with that size open",
        )
    if len(value.shape) != len(array.shape) + 1 or any(
        _is_fixed(wanted) and wanted != given
        for wanted, given in zip(value.shape[1:], array.shape, strict=True)
    ):
        raise _misfit(
            model,
            f"wants shape {_shape(value.shape)} for its input {value.name!r}, and the data holds "
            f"samples of shape {_shape(array.shape)}",
            reshaping,
        )
    batch = value.shape[0]
    return Feed(value.name, array.name, dtype, batch if _is_fixed(batch) else None)


def _check_types(name: str, dtype: str, array: ArrayInfo, model: str) -> None:
    source, target = element_type(array.dtype), element_type(dtype)
    if target is None:
        raise _misfit(
            model,
            f"takes {dtype} for its input {name!r}, which cannot be fed from an array of numbers",
            "export the model with inputs of whole or floating-point numbers, or of bool",
        )
    if source is None or not _castable(source, target):
        raise _misfit(
            model,
            f"wants {dtype} for its input {name!r}, and the data holds {array.dtype}",
            f"convert the array {array.name!r} to {dtype} when you save it",
        )


# A bfloat16 is a "V" to NumPy. What is further down holds every kind above it.
_GENERALITY = {"b": 0, "i": 1, "u": 1, "f": 2, "V": 2, "c": 3}


def _castable(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """Whether values keep their meaning: fractions never become whole numbers, nor bool others."""
    if "b" in (source.kind, target.kind):
        return source == target
    return _GENERALITY[source.kind] <= _GENERALITY[target.kind]


def _is_fixed(size: Dimension) -> TypeGuard[int]:
    """Whether it is a size; some exporters write 0 or −1 for one that is open."""
    return isinstance(size, int) and size > 0


def _misfit(model: str, what: str, hint: str) -> RequestError:
    return RequestError(
        f"{model} {what}", hint=hint, code="inputs-do-not-fit", model=model, stage="data"
    )


def _shape(shape: tuple[object, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing but labels"
