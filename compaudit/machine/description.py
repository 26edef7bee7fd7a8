"""The machine and its software as every report names them."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import psutil

from compaudit.machine.activity import governor, steal_since_boot
from compaudit.machine.cgroups import cpu_quota
from compaudit.machine.instructions import instruction_sets
from compaudit.machine.processors import cpu_name, physical_cores, usable_cores
from compaudit.results import Environment

__all__ = ["describe"]

_PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "safetensors", "scipy")


def describe() -> Environment:
    """The machine as it is now; imports no framework."""
    return Environment(
        os=platform.platform(),
        python=platform.python_version(),
        packages=_packages(),
        cpu=cpu_name(),
        instruction_sets=sorted(instruction_sets()),
        physical_cores=physical_cores(),
        usable_cores=usable_cores(),
        cpu_quota=cpu_quota(),
        governor=governor(),
        load_average=[round(load, 2) for load in os.getloadavg()],
        steal_percent=steal_since_boot(),
        memory_bytes=psutil.virtual_memory().total,
        devices=["cpu"],
        providers=[],
    )


def _packages() -> dict[str, str]:
    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    found = ((name, version(name)) for name in _PACKAGES)
    return {name: number for name, number in found if number is not None}
