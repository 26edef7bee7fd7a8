"""What do both models take, and what are they fed? Data matched to inputs, or inputs made up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from numpy.typing import NDArray

from compaudit.config import Config, ModelOptions, Which
from compaudit.data.base import (
    LABELS,
    Answers,
    ArrayInfo,
    DataRequest,
    Dataset,
    Feed,
    SyntheticInput,
    feeds_for,
)
from compaudit.data.labels import find_answers, read_labels
from compaudit.data.lookups import lookup_bounds
from compaudit.data.open import open_data
from compaudit.data.synthetic import SAMPLES, invent_inputs
from compaudit.errors import RequestError
from compaudit.models.base import Dimension, Model, Value
from compaudit.workers.workspace import Loaded

__all__ = [
    "Samples",
    "Signature",
    "choose_samples",
    "feeds_of",
    "given_samples",
    "require_inputs",
    "require_labels",
    "sizes_of_one_sample",
]


@dataclass(frozen=True, slots=True)
class Signature:
    """What one loaded model takes.

    Attributes:
        which: of the two.
        model: how the user named it.
        options: what was asked for it, `Config.of`.
        loaded: what loading told.
        read: what reading told; None where only a worker could read it.
    """

    which: Which
    model: str
    options: ModelOptions
    loaded: Loaded
    read: Model | None = None

    @property
    def inputs(self) -> tuple[Value, ...]:
        """Its inputs, and where it leaves their shapes open, what ``--input-shape`` says."""
        shapes = self.options.input_shapes
        return tuple(_shaped(value, shapes.get(value.name)) for value in self.loaded.inputs)


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of an audit, opened in this process too, for labels and the digest.

    Attributes:
        request: opens the same samples anywhere.
        answers: where the right answers are; None where there are none.
    """

    request: DataRequest
    dataset: Dataset
    answers: Answers | None

    @property
    def labels(self) -> str | None:
        """The name of the array of right answers; None where there is none."""
        return None if self.answers is None else self.answers.array

    @property
    def mask(self) -> str | None:
        """The name of the array that says which right answers count; None where all do."""
        return None if self.answers is None else self.answers.mask

    def labels_of(self, start: int, stop: int) -> NDArray[Any] | None:
        """The right answers of these samples, as `read_labels` gives them."""
        return read_labels(self.dataset, self.answers, start, stop)

    @property
    def inputs(self) -> tuple[ArrayInfo, ...]:
        """The arrays that are fed to models: all but labels. Tokens to predict are both."""
        labels = {self.labels} & set(LABELS)
        return tuple(array for array in self.dataset.arrays if array.name not in labels)


def given_samples(config: Config, spool: str | None = None) -> Samples | None:
    """The data that was given; None where none was.

    Args:
        config: what the user asked for.
        spool: where samples that come only once have been written.

    Raises:
        RequestError: it cannot be opened, or is no images and ``--preprocess`` is given.
    """
    if config.data is None:
        return None
    request = DataRequest(
        uri=config.data,
        limit=config.limit,
        seed=config.seed,
        preprocess=config.preprocess,
        spool=spool,
    )
    dataset = open_data(request)
    if config.preprocess is not None and dataset.kind != "images":
        raise RequestError(
            f"--preprocess says how images become arrays, and {config.data} holds no images",
            hint="leave --preprocess out, or give a folder of images with --data",
            code="not-images",
            stage="data",
        )
    return Samples(request, dataset, find_answers(config.task, dataset.arrays))


def choose_samples(
    config: Config, signatures: Sequence[Signature], given: Samples | None = None
) -> Samples:
    """The data that was given, or made-up inputs that suit the first model.

    Args:
        config: what the user asked for.
        signatures: of every model that loaded, the original first.
        given: the data, where it is open already.

    Raises:
        RequestError: the data cannot be opened, or inputs cannot be made up.
    """
    given = given or given_samples(config)
    if given is not None:
        return given
    first, *others = signatures
    inputs = _completed(first.loaded.inputs, [other.inputs for other in others])
    made_up = invent_inputs(inputs, first.options.input_shapes, first.read, first.model)
    request = DataRequest(
        limit=config.limit,
        seed=config.seed,
        synthetic=_as_arrays(made_up, first.options.map_input),
        samples=max(SAMPLES, *(one.options.batch_size or 0 for one in signatures)),
    )
    return Samples(request, open_data(request), None)


def require_inputs(config: Config, signatures: Sequence[Signature], models: int = 2) -> None:
    """Refuse options that name an input which the model, or every one of them, lacks.

    Args:
        config: what the user asked for.
        signatures: of every model that loaded.
        models: how many there are; one that did not load may have the input.

    Raises:
        RequestError: a ``--map-input`` or ``--input-shape`` does, or one for that model only.
    """
    for one in signatures:
        known = {value.name for value in one.loaded.inputs}
        own = config.only(one.which)
        _require(f"{one.which}-map-input", own.map_input.values(), known, one.model)
        _require(f"{one.which}-input-shape", own.input_shapes, known, one.model)
    if len(signatures) == models:
        known = {value.name for one in signatures for value in one.loaded.inputs}
        _require("map-input", config.map_input.values(), known, None)
        _require("input-shape", config.input_shapes, known, None)


def _require(option: str, names: Iterable[str], known: set[str], model: str | None) -> None:
    for name in names:
        if name not in known:
            raise RequestError(
                f"--{option} names {name!r}, which is no input of {model or 'any model'}",
                hint=f"{'its' if model else 'their'} inputs are "
                + ", ".join(map(repr, sorted(known))),
                code="unknown-input",
                model=model,
                stage="data",
            )


def require_labels(config: Config, samples: Samples) -> None:
    """Refuse an audit of accuracy alone without right answers; otherwise accuracy is skipped.

    Raises:
        RequestError: accuracy is all that was asked for, and there are no labels, or the task is
            one whose accuracy is not measured.
    """
    if config.measurements == ("accuracy",) and config.task == "embedding":
        raise RequestError(
            "vectors of --task embedding have no accuracy, and accuracy is all that was asked",
            hint="give --task classification, regression or causal-lm, or leave --only out",
            code="unsupported-task",
            stage="data",
        )
    if config.measurements == ("accuracy",) and samples.labels is None:
        raise RequestError(
            f"{config.data or 'synthetic data'} has no labels, and accuracy is all that was asked",
            hint="name the array of token ids 'input_ids'"
            if config.task == "causal-lm"
            else "add an array named 'labels' to the data given with --data",
            code="no-labels",
            stage="data",
        )


def feeds_of(signature: Signature, samples: Samples) -> tuple[Feed, ...]:
    """Which array feeds which input of one model. Raises RequestError where they do not fit."""
    feeds = feeds_for(
        signature.inputs,
        samples.inputs,
        signature.options.map_input,
        signature.model,
        samples.dataset.left_out,
        samples.dataset.reshaping,
    )
    read = signature.read
    bounds = lookup_bounds(read.graph, read) if read is not None and read.graph else {}
    return tuple(_bounded(feed, bounds.get(feed.input)) for feed in feeds)


def _bounded(feed: Feed, known: range | None) -> Feed:
    """With the numbers that the model looks up, where it does."""
    if known is None:
        return feed
    return msgspec.structs.replace(feed, lowest=known.start, highest=known.stop - 1)


def sizes_of_one_sample(
    config: Config, which: Which, samples: Samples | None
) -> dict[str, tuple[int, ...]]:
    """The inputs' sizes at batch 1, as ``--input-shape`` and the data tell them, by name.

    Where sequences differ in length, that of the first.

    Args:
        config: what the user asked for.
        which: of both models.
        samples: what the models are fed; made-up inputs tell nothing new.

    Raises:
        RequestError: the first sample cannot be read.
    """
    options = config.of(which)
    sizes = {name: (1, *shape[1:]) for name, shape in options.input_shapes.items()}
    if samples is not None and samples.request.uri is not None:
        told = {array.name: (1, *_shape_of_first(array, samples)) for array in samples.inputs}
        renamed = {options.map_input.get(name, name): size for name, size in told.items()}
        sizes = {**told, **renamed, **sizes}
    return sizes


def _shape_of_first(array: ArrayInfo, samples: Samples) -> tuple[int, ...]:
    known = tuple(size for size in array.shape if size is not None)
    if len(known) == len(array.shape):
        return known
    return samples.dataset.batch(0, 1, {array.name})[array.name].shape[1:]


def _as_arrays(
    made_up: tuple[SyntheticInput, ...], mapping: Mapping[str, str]
) -> tuple[SyntheticInput, ...]:
    """What was made up for inputs, under the names of the arrays that feed them.

    An array that feeds two inputs is made up once, for the input of its own name.
    """
    array_of = {target: array for array, target in mapping.items()}
    arrays: dict[str, SyntheticInput] = {}
    for one in made_up:
        name = array_of.get(one.name, one.name)
        if name == one.name or name not in arrays:
            arrays[name] = msgspec.structs.replace(one, name=name)
    return tuple(arrays.values())


def _shaped(value: Value, asked: tuple[int, ...] | None) -> Value:
    """An input with the sizes that it leaves open as they were asked for, but for the first."""
    if asked is None:
        return value
    shape: tuple[Dimension, ...]
    if value.shape is None:
        shape = (None, *asked[1:])
    elif len(value.shape) == len(asked):
        shape = (*value.shape[:1], *map(_chosen, value.shape[1:], asked[1:]))
    else:
        return value
    return msgspec.structs.replace(value, shape=shape)


def _chosen(stated: Dimension, asked: int) -> int:
    return stated if isinstance(stated, int) and stated > 0 else asked


def _completed(inputs: tuple[Value, ...], others: list[tuple[Value, ...]]) -> tuple[Value, ...]:
    """What one model leaves open about an input of the same name, another may say."""
    said = {value.name: value for values in others for value in values if value.shape is not None}
    completed = []
    for value in inputs:
        other = said.get(value.name)
        if other is None and len(inputs) == 1 and len(said) == 1:
            other = next(iter(said.values()))
        if value.shape is None and other is not None:
            completed.append(Value(value.name, value.dtype or other.dtype, other.shape))
        else:
            completed.append(value)
    return tuple(completed)
