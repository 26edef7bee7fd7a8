"""Evaluation on this machine: both models in their workers, at work on the same batch together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import DataRequest, Feed, convert
from compaudit.data.open import open_data
from compaudit.engines.base import Meter, Outputs, Pass
from compaudit.errors import MeasurementError, RequestError
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import Workspace

__all__ = ["LocalEngine", "feed_batch", "first_batch", "infer", "open_samples"]

_STAGE = "evaluate"


class LocalEngine:
    """Runs a pass on two workers that hold the loaded models."""

    def __init__(self, original: Worker, compressed: Worker) -> None:
        self._original = original
        self._compressed = compressed

    def evaluate(
        self,
        evaluation: Pass,
        labels: Callable[[int, int], NDArray[Any] | None],
        meters: Sequence[Meter],
        on_progress: Callable[[int], None],
    ) -> None:
        """Show every sample to every meter once. Raises RequestError or MeasurementError."""
        for worker in (self._original, self._compressed):
            worker.call(_STAGE, open_samples, evaluation.data)
        original_batch, compressed_batch = evaluation.batch_sizes
        step = max(evaluation.batch_sizes)
        for start in range(0, evaluation.samples, step):
            stop = min(start + step, evaluation.samples)
            original = self._original.begin(
                _STAGE, infer, evaluation.original, start, stop, original_batch
            )
            compressed = self._compressed.begin(
                _STAGE, infer, evaluation.compressed, start, stop, compressed_batch
            )
            outputs = original(), compressed()
            for meter in meters:
                meter.update(labels(start, stop), *outputs)
            on_progress(stop)


def open_samples(workspace: Workspace, request: DataRequest) -> int:
    """Open the data in the worker, which reads it for itself. Returns the number of samples."""
    workspace.dataset = open_data(request)
    return int(workspace.dataset.samples)


def infer(
    workspace: Workspace, feeds: tuple[Feed, ...], start: int, stop: int, at_once: int
) -> Outputs:
    """The outputs for these samples, in runs of `at_once` or of what the model insists on.

    Where an output's first dimension does not count samples (a loss, a sequence with time first),
    the samples are run one by one and every output gets a first dimension that does.
    """
    fixed = next((feed.batch for feed in feeds if feed.batch is not None), None)
    step = fixed or (1 if workspace.one_by_one else at_once)
    parts = []
    for first in range(start, stop, step):
        last = min(first + step, stop)
        rows = fixed or last - first
        outputs = workspace.runner.run(feed_batch(workspace.dataset, feeds, first, last))
        outputs = {name: _as_numbers(name, output) for name, output in outputs.items()}
        if not all(output.ndim and len(output) == rows for output in outputs.values()):
            if fixed is None and rows > 1:
                workspace.one_by_one = True
                return infer(workspace, feeds, start, stop, at_once)
            outputs = {name: _one_sample(name, output, rows) for name, output in outputs.items()}
        # A partial batch was filled up to the size the model insists on.
        parts.append({name: output[: last - first] for name, output in outputs.items()})
    if len(parts) == 1:
        return parts[0]
    return {name: _joined(name, [part[name] for part in parts]) for name in parts[0]}


def _as_numbers(name: str, output: NDArray[Any]) -> NDArray[Any]:
    """An output in a type that NumPy itself knows. Raises RequestError for text."""
    if output.dtype.isbuiltin == 2 and output.dtype.kind != "T":  # bfloat16, float8, int4
        return output.astype(np.float32)
    if output.dtype.kind not in "biufc":
        raise RequestError(
            f"its output {name!r} holds text, which cannot be compared",
            hint="leave it out when exporting the model",
            code="unsupported-output",
        )
    return output


def _one_sample(name: str, output: NDArray[Any], rows: int) -> NDArray[Any]:
    """The output of a run of one sample, with a first dimension that counts it."""
    if rows == 1:
        return output if output.ndim and len(output) == 1 else output[np.newaxis]
    raise RequestError(
        f"its output {name!r} has shape {output.shape} for {rows} samples",
        hint="the model insists on its batch size, so its first dimension must count samples: "
        "export it with an open batch dimension, or without this output",
        code="output-without-samples",
    )


def _joined(name: str, parts: list[NDArray[Any]]) -> NDArray[Any]:
    try:
        return np.concatenate(parts)
    except ValueError as error:
        raise MeasurementError(
            f"its output {name!r} has another shape from sample to sample",
            hint="compaudit compares outputs that have one shape for all samples",
            code="output-shape-varies",
        ) from error


def first_batch(dataset: Any, feeds: tuple[Feed, ...], size: int) -> dict[str, NDArray[Any]]:
    """A model's inputs for one run of exactly `size` samples: the first, over again if need be.

    Raises:
        RequestError: a number does not fit into the type that an input takes.
    """
    exactly = tuple(msgspec.structs.replace(feed, batch=size) for feed in feeds)
    return feed_batch(dataset, exactly, 0, min(size, dataset.samples))


def feed_batch(
    dataset: Any, feeds: tuple[Feed, ...], start: int, stop: int
) -> dict[str, NDArray[Any]]:
    """A model's inputs for these samples, cast, and repeated up to a fixed batch size.

    Raises:
        RequestError: a number does not fit into the type that an input takes.
    """
    batch = dataset.batch(start, stop)
    inputs = {}
    for feed in feeds:
        values = convert(batch[feed.array], feed)
        if feed.batch is not None and len(values) < feed.batch:
            rows = np.arange(feed.batch) % len(values)
            values = values[rows]
        inputs[feed.input] = np.ascontiguousarray(values)
    return inputs
