"""Profiling one model: a worker of its own, so that the timed runs know nothing of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.inputs import first_batch
from compaudit.measure import memory
from compaudit.models import open as models
from compaudit.models.base import RunSettings, Source
from compaudit.models.profiled import ProfiledRun
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import Workspace

__all__ = ["profile_file", "profile_held", "profile_model"]

_STAGE = "profile"


def profile_model(
    source: Source,
    settings: RunSettings,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    batch_size: int,
    limits: Limits,
) -> ProfiledRun:
    """Run a model under the profiler of its runtime.

    Args:
        source: the model.
        settings: those of the timed runs.
        data: where its inputs come from.
        feeds: how it is fed.
        batch_size: samples of one inference.
        limits: of the worker.

    Raises:
        RequestError, MeasurementError: it does not load, fails, or leaves no profile.
    """
    with (
        TemporaryDirectory(prefix="compaudit-profile-") as folder,
        Worker(source.spec, limits) as worker,
    ):
        if models.runtime_of(source) == "torch":
            memory.load(worker, source, settings)
            return worker.call(_STAGE, profile_held, data, feeds, batch_size)
        return worker.call(_STAGE, profile_file, source, settings, data, feeds, batch_size, folder)


def profile_file(
    workspace: Workspace,
    source: Source,
    settings: RunSettings,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    batch_size: int,
    folder: str,
) -> ProfiledRun:
    """Profile an ONNX file in a session of its own. Raises RequestError or MeasurementError."""
    from compaudit.models.onnx.profile import profile_onnx

    inputs = first_batch(open_data(data), feeds, batch_size)
    return profile_onnx(source, settings, inputs, Path(folder))


def profile_held(
    workspace: Workspace, data: DataRequest, feeds: tuple[Feed, ...], batch_size: int
) -> ProfiledRun:
    """Profile the PyTorch module that is loaded. Raises RequestError or MeasurementError."""
    from compaudit.models.torch.profile import profile_torch
    from compaudit.models.torch.runner import TorchRunner

    runner = workspace.runner
    assert isinstance(runner, TorchRunner), "ONNX files are profiled in a session of their own"
    return profile_torch(runner, first_batch(open_data(data), feeds, batch_size))
