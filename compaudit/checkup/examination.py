"""Looking at processors, frameworks, devices, load and clock."""

from __future__ import annotations

import os

import msgspec

from compaudit import machine
from compaudit.checkup.advice import advise
from compaudit.checkup.noise import measure_noise
from compaudit.envelope import envelope
from compaudit.machine import activity, clock, lock
from compaudit.models.onnx.providers import available_providers
from compaudit.models.torch import devices
from compaudit.progress import Progress, Silent
from compaudit.results import Checkup
from compaudit.workers.limits import Limits

__all__ = ["THREAD_VARIABLES", "examine"]

_LOOK_S = 0.5

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "OMP_PROC_BIND",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "GOMP_CPU_AFFINITY",
    "VECLIB_MAXIMUM_THREADS",
)
"""What the thread pools below the frameworks read from the environment."""


def examine(
    command: str, progress: Progress | None = None, noise_budget_s: float | None = None
) -> Checkup:
    """Look at the machine.

    Args:
        command: the command line, for the report.
        progress: told what is going on; silent by default.
        noise_budget_s: also time a model against itself, for so many seconds.

    Raises:
        RequestError: there is no ONNX Runtime to time a model with.
        MeasurementError: that model died.
    """
    tell = progress or Silent()
    tell.stage("looking at the machine")
    # Before the frameworks are imported, which keeps a core busy.
    others = activity.utilisation(_LOOK_S)
    environment = msgspec.structs.replace(
        machine.describe(),
        devices=list(dict.fromkeys(["cpu", *devices.available_devices()])),
        providers=available_providers(),
    )
    found = Checkup(
        **envelope(command, None),
        environment=environment,
        threads=machine.default_threads(),
        framework_threads=_framework_threads(environment.providers),
        thread_settings={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        hyperthreads=machine.hyperthreads(),
        memory_limit_bytes=Limits().memory,
        busy_percent=others.busy,
        steal_percent_now=others.steal,
        throttled_s=machine.throttled_s(),
        thermal_throttles=activity.thermal_throttles(),
        on_battery=activity.on_battery(),
        clock_resolution_s=clock.resolution_s(),
        clock_source=clock.clock_source(),
        timing_lock=str(lock.lock_path()) if lock.can_lock() else None,
        noise=None if noise_budget_s is None else measure_noise(noise_budget_s, tell),
        advice=[],
    )
    return msgspec.structs.replace(found, advice=advise(found))


def _framework_threads(providers: list[str]) -> dict[str, int]:
    """Threads within an operator, by default: ONNX Runtime takes one for each physical core."""
    counts = {
        "onnxruntime": machine.physical_cores() if providers else None,
        "torch": devices.default_threads(),
    }
    return {name: count for name, count in counts.items() if count is not None}
