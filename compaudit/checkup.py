"""What does this machine offer for audits, and what will compaudit do with it?"""

from __future__ import annotations

import time

import msgspec

from compaudit import machine
from compaudit.envelope import envelope
from compaudit.models.onnx.providers import available_providers
from compaudit.models.torch.devices import available_devices
from compaudit.results import Checkup, Environment

__all__ = ["examine"]

_BUSY_SHARE = 0.5


def examine(command: str) -> Checkup:
    """Look at processors, frameworks, devices, load and clock."""
    environment = machine.describe()
    environment = msgspec.structs.replace(
        environment,
        devices=list(dict.fromkeys(["cpu", *available_devices()])),
        providers=available_providers(),
    )
    return Checkup(
        **envelope(command, None),
        environment=environment,
        threads=machine.default_threads(),
        clock_resolution_s=time.get_clock_info("perf_counter").resolution,
        advice=_advice(environment),
    )


def _advice(environment: Environment) -> list[str]:
    advice = []
    if not environment.providers:
        advice.append("to run ONNX models: pip install 'compaudit[cpu]', or [gpu] for CUDA")
    if "torch" not in environment.packages:
        advice.append("to run PyTorch models: pip install 'compaudit[torch]'")
    if environment.load_average[0] > environment.usable_cores * _BUSY_SHARE:
        advice.append("this machine is busy; a quieter one gives narrower intervals")
    if environment.governor not in (None, "performance"):
        advice.append(
            f"the {environment.governor!r} governor changes the clock rate while timing; "
            "'performance' does not"
        )
    return advice
