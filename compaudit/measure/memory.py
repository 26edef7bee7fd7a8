"""What does loading the model cost, in time and memory, and how long does its first inference take?

Peak memory is what the worker needed above its framework: the peak resident set (VmHWM, which is
reset after the framework's import) less the resident set before the model was loaded. `ru_maxrss`
would not do: it survives exec, and a small child of a large parent reports the parent.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import msgspec
import psutil

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.local import feed_batch
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
    if source.factory is not None:
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
    with contextlib.suppress(OSError):
        _RESET_PEAK.write_text("5")
    return int(psutil.Process().memory_info().rss)


def first_inference(
    workspace: Workspace,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    batch_size: int,
    baseline: int,
) -> FirstRun:
    """Run once, timed, and twice more: some runtimes allocate on their second run."""
    dataset = open_data(data)
    inputs = feed_batch(dataset, feeds, 0, min(batch_size, dataset.samples))
    began = time.perf_counter()
    workspace.runner.run(inputs)
    seconds = time.perf_counter() - began
    for _ in range(2):
        workspace.runner.run(inputs)
    peak = _peak_resident_bytes()
    return FirstRun(seconds, None if peak is None else max(0, peak - baseline))


def _peak_resident_bytes() -> int | None:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None
