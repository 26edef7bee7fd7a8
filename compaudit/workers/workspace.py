"""What a worker process holds between the calls it receives, and the calls that fill it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from compaudit.models.base import Inference, Runner, RunSettings, Source, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Loaded", "Workspace", "admit_user_modules", "import_runtime", "load_model"]


class Workspace:
    """The loaded model of one worker, its inputs, and one bound inference.

    The functions that the parent calls (`Worker.call`) take it as their first argument. What a
    measurement must keep from one call to the next has a named place here.
    """

    def __init__(self) -> None:
        self.source: Source | None = None
        self._runner: Runner | None = None
        self.feeds: Mapping[str, NDArray[Any]] = {}
        self.inference: Inference | None = None
        self.device_inference: Inference | None = None
        self.dataset: Any = None
        self.labels: Any = None
        self.one_by_one = False
        self.cluster: Any = None

    @property
    def runner(self) -> Runner:
        """The loaded model."""
        assert self._runner is not None, "load_model comes first"
        return self._runner

    def hold(self, source: Source, runner: Runner) -> None:
        """Keep a loaded model."""
        self.source, self._runner = source, runner


class Loaded(msgspec.Struct, frozen=True):
    """What loading a model told. `load_s` is the time it took, the framework already imported.

    The rest is as `Runner` says.
    """

    load_s: float
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    named_outputs: bool
    providers: tuple[str, ...]
    nodes_by_provider: dict[str, int] = {}
    settings: dict[str, str] = {}
    on_gpu: bool = False


def import_runtime(workspace: Workspace, source: Source) -> None:
    """Import the framework that runs this model, so that its cost is not the model's."""
    import importlib

    from compaudit.models import open as models

    runtime = models.runtime_of(source)
    if runtime is not None:
        try:
            importlib.import_module(runtime)
        except ImportError:
            return  # loading the model says what is missing, and how to install it


def admit_user_modules(workspace: Workspace) -> None:
    """Find the user's own modules from where the user stands, as ``python -m`` would.

    Only for models and data that are the user's Python code: in a worker that runs a model file, a
    file beside it that happens to be called ``onnxruntime.py`` is to stay what it is, a file.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)


def load_model(workspace: Workspace, source: Source, settings: RunSettings) -> Loaded:
    """Load a model and keep it. Raises RequestError or MeasurementError."""
    from compaudit.models import open as models

    began = time.perf_counter()
    runner = models.load(source, settings)
    seconds = time.perf_counter() - began
    workspace.hold(source, runner)
    return Loaded(
        seconds,
        tuple(runner.inputs),
        tuple(runner.outputs),
        runner.named_outputs,
        tuple(runner.providers),
        dict(runner.nodes_by_provider),
        dict(runner.settings),
        runner.on_gpu,
    )
