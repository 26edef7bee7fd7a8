"""Where a module runs, and how arrays get there and back.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Source

__all__ = ["device_of", "forget_peak", "peak_bytes", "place_array", "synchroniser"]


def device_of(source: Source, name: str) -> torch.device:
    """The device of that name.

    Raises:
        RequestError: PyTorch does not know it (``unknown-device``) or it is not here
            (``device-missing``).
    """

    def refuse(code: str, message: str, hint: str) -> RequestError:
        return RequestError(message, hint=hint, code=code, model=source.spec, stage="load")

    match = re.fullmatch(r"(cpu|mps|cuda)(?::(\d+))?", name)
    if match is None or (match[2] and match[1] != "cuda"):
        raise refuse(
            "unknown-device",
            f"{source.spec} is a PyTorch model, which cannot run on {name}",
            "use --device cpu, cuda, cuda:N or mps",
        )
    if match[1] == "mps" and not torch.backends.mps.is_available():
        raise refuse("device-missing", "there is no Apple GPU here", "use --device cpu")
    if match[1] != "cuda":
        return torch.device(match[1])
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        raise refuse(
            "device-missing",
            f"PyTorch {torch.__version__} is built without CUDA",
            "install PyTorch with CUDA (https://pytorch.org), or use --device cpu",
        )
    index = int(match[2] or 0)
    if index >= found:
        raise refuse(
            "device-missing",
            f"there is no {name} here: {found} CUDA devices are visible",
            "use --device cpu, or check nvidia-smi and CUDA_VISIBLE_DEVICES",
        )
    return torch.device("cuda", index)


def synchroniser(device: torch.device) -> Callable[[], object] | None:
    """What waits until the device is done; None where calls end when they are done."""
    match device.type:
        case "cuda":
            return lambda: torch.cuda.synchronize(device)
        case "mps":
            return torch.mps.synchronize
        case _:
            return None


def forget_peak(device: torch.device) -> None:
    """Begin to look for the most memory held, where the device tells it."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """The most device memory held since `forget_peak`; None on a CPU.

    On CUDA what PyTorch's allocator had reserved, since that is what the device lacks for others:
    tensors and what is kept to be used again, but not the context of the process, which belongs to
    the framework. On MPS what the driver holds now, as no peak is told; its allocator keeps what it
    once had.
    """
    match device.type:
        case "cuda":
            return torch.cuda.max_memory_reserved(device)
        case "mps":
            return torch.mps.driver_allocated_memory()
        case _:
            return None


def place_array(array: NDArray[Any], declared: str | None, device: torch.device) -> torch.Tensor:
    """An array on the device, converted to the declared type within its kind (float or integer)."""
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        tensor = torch.from_numpy(np.array(array.view(np.uint16))).view(torch.bfloat16)
    elif array.dtype.kind in "biufc":
        # A copy: torch may not write into, nor outlive, memory that the caller holds.
        tensor = torch.from_numpy(np.array(array, order="C"))
    else:
        raise TypeError(f"an input of type {array.dtype} cannot become a tensor")
    wanted = None if declared is None else getattr(torch, declared, None)
    if isinstance(wanted, torch.dtype) and _kind(wanted) == _kind(tensor.dtype):
        tensor = tensor.to(wanted)
    return tensor.to(device)


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "float"
    if dtype.is_complex:
        return "complex"
    return "bool" if dtype == torch.bool else "integer"
