"""What does loading the model cost, in time and memory, and how long does its first inference take?

Peak memory is what the worker needed above its framework: the peak resident set (VmHWM, which is
reset after the framework's import) less the resident set before the model was loaded, and less the
samples it is fed: a data set held in memory is no cost of the model. `ru_maxrss` would not do: it
survives exec, and a small child of a large parent reports the parent.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import msgspec
import psutil

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.local import first_batch
from compaudit.models import open as models
from compaudit.models.base import RunSettings, Source
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import (
    Loaded,
    Workspace,
    admit_user_modules,
    import_runtime,
    load_model,
)

__all__ = ["FirstRun", "load", "run_first"]

_STATUS = Path("/proc/self/status")
_RESET_PEAK = Path("/proc/self/clear_refs")


class FirstRun(msgspec.Struct, frozen=True):
    """The first inference of a freshly loaded model.

    `peak_memory_bytes` is None where the system does not tell the peak.
    """

    first_inference_s: float
    peak_memory_bytes: int | None


def load(worker: Worker, source: Source, settings: RunSettings) -> tuple[Loaded, int]:
    """Load a model into a fresh worker; also its resident bytes before that.

    Raises:
        RequestError: the model cannot be loaded here.
        MeasurementError: loading it killed the worker.
    """
    if models.imports_user_modules(source):
        worker.call("load", admit_user_modules)
    worker.call("load", import_runtime, source)
    baseline = worker.call("load", memory_baseline)
    return worker.call("load", load_model, source, settings), baseline


def run_first(
    worker: Worker, data: DataRequest, feeds: tuple[Feed, ...], batch_size: int, baseline: int
) -> FirstRun:
    """Run the loaded model for the first time. Raises RequestError or MeasurementError."""
    return worker.call("memory", first_inference, data, feeds, batch_size, baseline)


def memory_baseline(workspace: Workspace) -> int:
    """Resident bytes of this process now; forgets the peak of what came before."""
    _forget_peak()
    return _resident_bytes()


def first_inference(
    workspace: Workspace,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    batch_size: int,
    baseline: int,
) -> FirstRun:
    """Run once, timed, and twice more: some runtimes allocate on their second run.

    The peak is that of loading or that of running, without the samples themselves.
    """
    peak_loading, before = _peak_resident_bytes(), _resident_bytes()
    inputs = first_batch(open_data(data), feeds, batch_size)
    data_bytes = max(0, _resident_bytes() - before)
    _forget_peak()
    began = time.perf_counter()
    workspace.runner.run(inputs)
    seconds = time.perf_counter() - began
    for _ in range(2):
        workspace.runner.run(inputs)
    peak_running = _peak_resident_bytes()
    if peak_loading is None or peak_running is None:
        return FirstRun(seconds, None)
    return FirstRun(seconds, max(0, peak_loading - baseline, peak_running - data_bytes - baseline))


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        _RESET_PEAK.write_text("5")


def _peak_resident_bytes() -> int | None:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
