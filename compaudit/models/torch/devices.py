"""Which devices this installation of PyTorch can use."""

from __future__ import annotations

__all__ = ["available_devices"]


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
