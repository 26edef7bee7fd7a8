"""What does loading the model cost, in time and memory, and how long does its first inference take?

Memory is what the worker needed above its framework: resident bytes less those before the model was
loaded, and less the samples it is fed: a data set held in memory is no cost of the model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np

from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.engines.inputs import first_batch
from compaudit.measure.repetition import changed_outputs, largest_change
from compaudit.measure.resident import Resident, forget_peak, peak_bytes, resident
from compaudit.models import open as models
from compaudit.models.base import RunSettings, Source
from compaudit.results.behaviour import OutputChange
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import (
    Loaded,
    Workspace,
    admit_user_modules,
    import_runtime,
    load_model,
)

__all__ = ["FirstRun", "load", "run_first"]


class FirstRun(msgspec.Struct, frozen=True):
    """The first inference of a freshly loaded model.

    `peak_memory_bytes` is None where the system does not tell the peak, and so are the resident
    bytes after the runs, which it tells apart by kind. `peak_device_memory_bytes` is None without a
    GPU. `output_change` is what differed when it ran again on the same inputs. `settings` are the
    runner's, once more: what was compiled is known only now.
    """

    first_inference_s: float
    peak_memory_bytes: int | None
    resident_anonymous_bytes: int | None = None
    resident_file_bytes: int | None = None
    peak_device_memory_bytes: int | None = None
    output_change: OutputChange | None = None
    settings: dict[str, str] = {}


def load(worker: Worker, source: Source, settings: RunSettings) -> tuple[Loaded, Resident]:
    """Load a model into a fresh worker; also its resident memory before that.

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
    worker: Worker, data: DataRequest, feeds: tuple[Feed, ...], batch_size: int, baseline: Resident
) -> FirstRun:
    """Run the loaded model for the first time. Raises RequestError or MeasurementError."""
    return worker.call("memory", first_inference, data, feeds, batch_size, baseline)


def memory_baseline(workspace: Workspace) -> Resident:
    """Resident memory of this process now; forgets the peak of what came before."""
    forget_peak()
    return resident()


def first_inference(
    workspace: Workspace,
    data: DataRequest,
    feeds: tuple[Feed, ...],
    batch_size: int,
    baseline: Resident,
) -> FirstRun:
    """Run once, timed, and twice more: some runtimes allocate on their second run.

    The peak is that of loading or that of running, without the samples themselves. The outputs of
    later runs are held against those of the first.
    """
    peak_loading, before = peak_bytes(), resident().total
    inputs = first_batch(open_data(data), feeds, batch_size)
    data_bytes = max(0, resident().total - before)
    resets = forget_peak()
    began = time.perf_counter()
    outputs = workspace.runner.run(inputs)
    seconds = time.perf_counter() - began
    peaks = [peak_bytes()]
    # A copy, so that the runtime has its own memory back for the next run.
    first = {name: np.array(output) for name, output in outputs.items()}
    held_bytes = sum(output.nbytes for output in first.values())
    changes = []
    for _ in range(2):
        outputs = {}
        forget_peak()
        outputs = workspace.runner.run(inputs)
        peak = peak_bytes()
        peaks.append(None if peak is None else peak - held_bytes)
        changes += changed_outputs(first, outputs)
    outputs = {}
    after = resident()
    return FirstRun(
        seconds,
        _most_above(baseline.total, peak_loading, data_bytes, peaks) if resets else None,
        _above(baseline.anonymous, after.anonymous, data_bytes + held_bytes),
        _above(baseline.file, after.file),
        workspace.runner.peak_device_bytes(),
        largest_change(changes),
        dict(workspace.runner.settings),
    )


def _most_above(
    baseline: int, loading: int | None, data_bytes: int, running: Sequence[int | None]
) -> int | None:
    """The highest peak above the baseline, that of running without the samples."""
    known = [peak - data_bytes for peak in running if peak is not None]
    if loading is None or len(known) < len(running):
        return None
    return max(0, loading - baseline, *(peak - baseline for peak in known))


def _above(baseline: int | None, after: int | None, ours: int = 0) -> int | None:
    """What was added to the baseline, without what is not the model's; None where unknown."""
    return None if baseline is None or after is None else max(0, after - ours - baseline)
