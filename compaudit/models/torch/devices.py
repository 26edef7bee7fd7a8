"""Which devices this installation of PyTorch can use."""

from __future__ import annotations

__all__ = ["available_devices", "default_threads"]


def available_devices() -> list[str]:
    """Names as ``--device`` takes them; empty without PyTorch."""
    try:
        import torch
    except ImportError:
        return []
    devices = ["cpu"]
    devices += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def default_threads() -> int | None:
    """Threads that PyTorch takes within an operator when nobody says; None without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    return int(torch.get_num_threads())
