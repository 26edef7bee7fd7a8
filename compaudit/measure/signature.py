"""What do both models take, and what are they fed? Data matched to inputs, or inputs made up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.config import Config, did_you_mean
from compaudit.data.base import LABELS, ArrayInfo, DataRequest, Dataset, Feed, feeds_for
from compaudit.data.open import open_data
from compaudit.data.synthetic import SAMPLES, invent_inputs
from compaudit.errors import RequestError
from compaudit.models.base import Model, Value
from compaudit.workers.workspace import Loaded

__all__ = [
    "Samples",
    "choose_samples",
    "common_batch",
    "feeds_of",
    "require_inputs",
    "require_labels",
    "sizes_of_one_sample",
]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of an audit, opened in this process too, for labels and the digest.

    Attributes:
        request: opens the same samples anywhere.
        labels: the name of the array of right answers; None where there is none.
    """

    request: DataRequest
    dataset: Dataset
    labels: str | None

    def labels_of(self, start: int, stop: int) -> NDArray[Any] | None:
        """The right answers of these samples; None without labels."""
        if self.labels is None:
            return None
        labels = self.dataset.batch(start, stop)[self.labels]
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        # No and yes are the classes 0 and 1.
        return labels.astype(np.int64) if labels.dtype.kind == "b" else labels

    @property
    def inputs(self) -> tuple[ArrayInfo, ...]:
        """The arrays that are fed to models."""
        return tuple(array for array in self.dataset.arrays if array.name != self.labels)


def choose_samples(config: Config, signatures: list[tuple[str, Loaded, Model | None]]) -> Samples:
    """The data that was given, or made-up inputs that suit the first model.

    Args:
        config: what the user asked for.
        signatures: of every model that loaded, the original first: its name, what loading told,
            and what reading told.

    Raises:
        RequestError: the data cannot be opened, or inputs cannot be made up.
    """
    if config.data is not None:
        request = DataRequest(uri=config.data, limit=config.limit, seed=config.seed)
        dataset = open_data(request)
        labels = next((a.name for a in dataset.arrays if a.name in LABELS), None)
        return Samples(request, dataset, labels)
    name, loaded, read = signatures[0]
    inputs = _completed(loaded.inputs, [other.inputs for _, other, _ in signatures[1:]])
    synthetic = invent_inputs(inputs, config.input_shapes, read, name)
    request = DataRequest(
        limit=config.limit,
        seed=config.seed,
        synthetic=synthetic,
        samples=max(SAMPLES, config.batch_size or 0),
    )
    return Samples(request, open_data(request), None)


def require_inputs(config: Config, loaded: list[Loaded]) -> None:
    """Refuse a ``--map-input`` to an input that no model has. Raises RequestError."""
    known = {value.name for model in loaded for value in model.inputs}
    for name in config.map_input.values():
        if name not in known:
            raise RequestError(
                f"--map-input names {name!r}, which is no input of either model",
                hint=did_you_mean(name, sorted(known)),
                code="unknown-input",
                stage="data",
            )


def require_labels(config: Config, samples: Samples) -> None:
    """Refuse an audit of accuracy alone without right answers; otherwise accuracy is skipped.

    Raises:
        RequestError: accuracy is all that was asked for, and there are no labels, or the task is
            one whose accuracy is not measured.
    """
    if config.measurements == ("accuracy",) and config.task in ("embedding", "causal-lm"):
        raise RequestError(
            f"this version does not measure the accuracy of --task {config.task}",
            hint="give --task classification or regression, or leave --only out",
            code="unsupported-task",
            stage="data",
        )
    if config.measurements == ("accuracy",) and samples.labels is None:
        raise RequestError(
            f"{config.data or 'synthetic data'} has no labels, and accuracy is all that was asked",
            hint="add an array named 'labels' to the data given with --data",
            code="no-labels",
            stage="data",
        )


def feeds_of(config: Config, model: str, loaded: Loaded, samples: Samples) -> tuple[Feed, ...]:
    """Which array feeds which input of one model. Raises RequestError where they do not fit."""
    inputs = tuple(
        msgspec.structs.replace(value, shape=_open_batch(config.input_shapes[value.name]))
        if value.shape is None and value.name in config.input_shapes
        else value
        for value in loaded.inputs
    )
    unknown = set(config.input_shapes) - {value.name for value in loaded.inputs}
    if unknown and config.data is None:
        name = min(unknown)
        raise RequestError(
            f"--input-shape names {name!r}, which is no input of {model}",
            hint=f"its inputs are {', '.join(repr(value.name) for value in loaded.inputs)}",
            code="unknown-input",
            model=model,
            stage="data",
        )
    return feeds_for(inputs, samples.inputs, config.map_input, model)


def sizes_of_one_sample(config: Config) -> dict[str, tuple[int, ...]]:
    """The inputs' sizes at batch 1, as ``--input-shape`` and the data tell them, by name."""
    sizes = {name: (1, *shape[1:]) for name, shape in config.input_shapes.items()}
    if config.data is not None:
        arrays = open_data(DataRequest(uri=config.data)).arrays
        told = {array.name: (1, *array.shape) for array in arrays if array.name not in LABELS}
        renamed = {config.map_input.get(name, name): size for name, size in told.items()}
        sizes = {**told, **renamed, **sizes}
    return sizes


def common_batch(config: Config, fed: list[tuple[str, tuple[Feed, ...]]]) -> int:
    """How many samples one timed inference takes: the same for every model.

    Args:
        config: what was asked for.
        fed: every model's name and feeds.

    Raises:
        RequestError: the models insist on different numbers, or on another than was asked for.
    """
    insisting = {
        feed.batch: model for model, feeds in fed for feed in feeds if feed.batch is not None
    }
    if len(insisting) > 1:
        (first, one), (second, other) = list(insisting.items())[:2]
        raise RequestError(
            f"{one} takes {first} samples at once and {other} takes {second}: their times do not "
            "compare",
            hint="export both with the same, or an open, batch dimension",
            code="batch-sizes-differ",
            stage="data",
        )
    if not insisting:
        return config.batch_size or 1
    ((batch, model),) = insisting.items()
    if config.batch_size not in (None, batch):
        raise RequestError(
            f"{model} takes {batch} samples at once, and --batch-size asks for {config.batch_size}",
            hint="leave --batch-size out, or export it with an open batch dimension",
            code="batch-sizes-differ",
            model=model,
            stage="data",
        )
    return batch


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


def _open_batch(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    return (None, *shape[1:])
