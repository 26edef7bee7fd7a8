"""The device memory of this process, as NVIDIA's driver counts it (NVML).

ONNX Runtime tells nothing of it in Python. Its arena keeps what it has taken, so that what the
process holds after some runs is close to the most it held. CUDA's own context and the code of the
kernels are in it, some hundred megabytes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["device_bytes"]

_PIDS = Path("/proc/self/ns/pid")
_OUTERMOST = 0xEFFFFFFC
"""The inode of Linux's first namespace of process numbers (PROC_PID_INIT_INO)."""


def device_bytes() -> int | None:
    """Bytes on all NVIDIA devices that this process holds now.

    None without NVML (``pip install nvidia-ml-py``) or a driver, where the driver does not list
    this process, and in containers with process numbers of their own: the driver lists those of the
    host, among which ours would be somebody else's.
    """
    if not _numbers_are_the_hosts():
        return None
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        held = [
            process.usedGpuMemory
            for index in range(pynvml.nvmlDeviceGetCount())
            for process in pynvml.nvmlDeviceGetComputeRunningProcesses(
                pynvml.nvmlDeviceGetHandleByIndex(index)
            )
            if process.pid == os.getpid()
        ]
    except pynvml.NVMLError:
        return None
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    if not held or None in held:
        return None
    return int(sum(held))


def _numbers_are_the_hosts() -> bool:
    try:
        return _PIDS.stat().st_ino == _OUTERMOST
    except OSError:
        return not Path("/proc").exists()
