"""What decides a module's speed besides itself: set before it is loaded, read back after.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch

from compaudit.models.base import RunSettings, Source
from compaudit.models.torch.device import device_of, forget_peak

__all__ = ["prepare", "read_settings"]


def prepare(source: Source, settings: RunSettings) -> torch.device:
    """Set this process up as asked for. Raises RequestError for a device that is not here."""
    device = device_of(source, settings.device)
    torch.set_num_threads(max(1, settings.threads))
    # It can be set once per process, and not after the first parallel work.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
    # Without its tuned kernels a model is its own noise floor. Only this flag of each: their
    # set_flags would undo what the user's code said of TF32.
    torch.backends.mkldnn.enabled = settings.optimized  # type: ignore[assignment]
    torch.backends.cudnn.enabled = settings.optimized
    if device.type == "cuda":
        # Modules that say no more than "cuda" mean this one.
        torch.cuda.set_device(device)
    forget_peak(device)
    return device


def read_settings(device: torch.device) -> dict[str, str]:
    """The settings that hold now, as short texts.

    Precision is read per backend: ``torch.get_float32_matmul_precision`` raises where the user's
    code has set one backend alone.
    """
    found = {"threads": str(torch.get_num_threads())}
    match device.type:
        case "cuda":
            found |= _of_cuda(device)
        case "mps":
            found |= _of_mps()
        case _:
            found |= _of_cpu()
    return found


def _of_cpu() -> dict[str, str]:
    mkldnn: Any = torch.backends.mkldnn
    found = {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": _switch(mkldnn.is_available() and mkldnn.enabled),
        "float32_matmul": _precision(mkldnn.matmul.fp32_precision),
    }
    engine = torch.backends.quantized.engine
    return found if engine == "none" else found | {"quantized.engine": str(engine)}


def _of_cuda(device: torch.device) -> dict[str, str]:
    cudnn: Any = torch.backends.cudnn
    return {
        "device": torch.cuda.get_device_name(device),
        "float32_matmul": _precision(torch.backends.cuda.matmul.fp32_precision),
        "cudnn": str(cudnn.version()) if cudnn.enabled else "off",
        "cudnn.float32_conv": _precision(cudnn.conv.fp32_precision),
        "cudnn.benchmark": _switch(cudnn.benchmark),
        "cudnn.deterministic": _switch(cudnn.deterministic),
    }


def _of_mps() -> dict[str, str]:
    return {
        "device": torch.backends.mps.get_name(),
        # Operators that Metal lacks then run on the CPU, and nothing says so.
        "mps_fallback": _switch(os.environ.get("PYTORCH_ENABLE_MPS_FALLBACK") == "1"),
    }


def _switch(on: object) -> str:
    return "on" if on else "off"


def _precision(name: str) -> str:
    """What float32 is computed in: ``ieee`` is float32 itself, ``tf32`` and ``bf16`` are less."""
    return "ieee" if name == "none" else name
