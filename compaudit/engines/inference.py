"""In the worker: one model's outputs for a range of samples."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import Answers, DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.base import Outputs
from compaudit.engines.inputs import feed_batch, first_batch, fixed_batch
from compaudit.engines.labels import LabelReader
from compaudit.errors import MeasurementError, RequestError
from compaudit.workers.workspace import Workspace, admit_user_modules

__all__ = ["Part", "infer", "infer_and_score", "open_samples", "sample_bytes"]


class Part(msgspec.Struct, frozen=True):
    """What one model gave for a range of samples.

    Attributes:
        outputs: by name; a row for every sample of the range that could be read.
        scores: the user's own figures for these samples, by the metric's name.
        broken: the other samples, by index, and why.
    """

    outputs: Outputs
    broken: dict[int, str] = {}
    scores: dict[str, Any] = {}


def open_samples(
    workspace: Workspace, request: DataRequest, answers: Answers | None, metrics: tuple[str, ...]
) -> int:
    """Open the data in the worker, which reads it for itself. Returns the number of samples."""
    if metrics:
        admit_user_modules(workspace)
    workspace.dataset = open_data(request)
    workspace.labels = LabelReader(request, answers) if metrics else None
    return int(workspace.dataset.samples)


def sample_bytes(workspace: Workspace, feeds: tuple[Feed, ...]) -> int:
    """The bytes of all outputs for one sample, rounded up."""
    rows = fixed_batch(feeds) or 1
    outputs = workspace.runner.run(first_batch(workspace.dataset, feeds, rows))
    return -(-sum(output.nbytes for output in outputs.values()) // rows)


def infer_and_score(
    workspace: Workspace,
    feeds: tuple[Feed, ...],
    start: int,
    stop: int,
    at_once: int,
    metrics: tuple[str, ...],
) -> Part:
    """The outputs for these samples, which have equal shapes, and what the user makes of them."""
    part = infer(workspace, feeds, start, stop, at_once)
    if not metrics or not part.outputs:
        return part
    from compaudit.engines.metrics import score_outputs

    readable = [index for index in range(start, stop) if index not in part.broken]
    labels, unlabelled = workspace.labels.read(start, stop)
    kept = np.array([index not in unlabelled for index in readable])
    outputs = {name: output[kept] for name, output in part.outputs.items()}
    if labels is not None:
        labelled = (index for index in range(start, stop) if index not in unlabelled)
        labels = labels[np.array([index not in part.broken for index in labelled], bool)]
    broken = unlabelled | part.broken
    scores = score_outputs(metrics, outputs, labels) if kept.any() else {}
    return Part(outputs, broken, scores)


def infer(
    workspace: Workspace, feeds: tuple[Feed, ...], start: int, stop: int, at_once: int
) -> Part:
    """The outputs for these samples, in runs of `at_once` or of what the model insists on.

    Where an output's first dimension does not count samples (a loss, a sequence with time first),
    the samples are run one by one and every output gets a first dimension that does.
    """
    fixed = fixed_batch(feeds)
    step = fixed or (1 if workspace.one_by_one else at_once)
    parts: list[Outputs] = []
    broken: dict[int, str] = {}
    for first in range(start, stop, step):
        last = min(first + step, stop)
        inputs = feed_batch(workspace.dataset, feeds, first, last)
        left_out = {
            index: str(workspace.dataset.broken[index])
            for index in range(first, last)
            if index in workspace.dataset.broken
        }
        broken |= left_out
        readable = last - first - len(left_out)
        if not readable:
            continue
        rows = fixed or readable
        outputs = {
            name: _as_numbers(name, output) for name, output in workspace.runner.run(inputs).items()
        }
        if not all(output.ndim and len(output) == rows for output in outputs.values()):
            if fixed is None and rows > 1:
                workspace.one_by_one = True
                return infer(workspace, feeds, start, stop, at_once)
            outputs = {name: _one_sample(name, output, rows) for name, output in outputs.items()}
        # A partial batch was filled up to the size the model insists on.
        parts.append({name: output[:readable] for name, output in outputs.items()})
    if len(parts) <= 1:
        return Part(parts[0] if parts else {}, broken)
    return Part({name: _joined(name, [part[name] for part in parts]) for name in parts[0]}, broken)


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
