"""Which execution providers this installation of ONNX Runtime has."""

from __future__ import annotations

__all__ = ["available_providers"]


def available_providers() -> list[str]:
    """Names of the providers, the preferred first; empty without ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())
