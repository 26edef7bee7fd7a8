"""The calls that a worker answers while two models are traced."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.inputs import feed_batch, first_batch, fixed_batch
from compaudit.models.base import Source
from compaudit.models.called import CalledModule
from compaudit.workers.workspace import Workspace

__all__ = ["Shown", "called", "listen", "no_tensors", "show", "sizes"]

Sizes = dict[str, tuple[int, ...]]


class Shown(msgspec.Struct, frozen=True):
    """What one run showed: the outputs asked for, by name, of so many samples."""

    samples: int
    outputs: dict[str, Any]


def sizes(
    workspace: Workspace, source: Source, data: DataRequest, feeds: tuple[Feed, ...]
) -> Sizes:
    """The sizes of an ONNX model's values for one sample, as far as inference tells them."""
    from compaudit.models.onnx.shapes import infer_shapes

    sample = first_batch(open_data(data), feeds, fixed_batch(feeds) or 1)
    return infer_shapes(source, {name: array.shape for name, array in sample.items()}).values


def called(workspace: Workspace, data: DataRequest, feeds: tuple[Feed, ...]) -> list[CalledModule]:
    """The modules that the loaded PyTorch model calls for one sample.

    Raises:
        RequestError, MeasurementError: the inputs do not fit, or the module fails.
    """
    from compaudit.models.torch.runner import TorchRunner
    from compaudit.models.torch.taps import called_modules

    runner, source = workspace.runner, workspace.source
    assert isinstance(runner, TorchRunner), "an ONNX model has no modules"
    assert source is not None, "load_model comes first"
    sample = first_batch(open_data(data), feeds, fixed_batch(feeds) or 1)
    return called_modules(source, runner, sample)


def listen(workspace: Workspace, names: tuple[str, ...]) -> None:
    """Tap the loaded PyTorch model. Raises RequestError where it has no such parts.

    A module that is not called for every sample, as an expert among many, is shown where it is.
    """
    from compaudit.models.torch.runner import TorchRunner

    runner = workspace.runner
    assert isinstance(runner, TorchRunner), "an ONNX session is made with its taps"
    runner.tap(names, required=False)


def no_tensors(workspace: Workspace) -> list[str]:
    """The taps of the loaded model that are lists or maps, or text, and cannot be shown."""
    taps = getattr(workspace.runner, "taps", ())
    return [tap.name for tap in taps if "(" in tap.dtype or tap.dtype == "string"]


def show(
    workspace: Workspace,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    start: int,
    stop: int,
    wanted: list[str],
) -> Shown:
    """Run the loaded model on some samples, and show what it gives inside.

    Returns:
        The outputs that are numbers, complex ones left out. None of them where no sample could be
        read.

    Raises:
        RequestError, MeasurementError: the inputs do not fit, or the model fails.
    """
    if workspace.dataset is None:
        workspace.dataset = open_data(data)
    inputs = feed_batch(workspace.dataset, feeds, start, stop)
    if not min(map(len, inputs.values()), default=1):
        return Shown(0, {})
    given = workspace.runner.run(inputs)
    shown = {name: _numbers(given[name]) for name in wanted if name in given}
    read = sum(place not in workspace.dataset.broken for place in range(start, stop))
    return Shown(read, {name: array for name, array in shown.items() if array is not None})


def _numbers(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """In a type that NumPy itself knows: bfloat16 and smaller ones have none."""
    if array.dtype.isbuiltin == 2 and array.dtype.kind != "T":
        return array.astype(np.float32)
    return array if array.dtype.kind in "iuf" else None
