"""ONNX Runtime itself, and the exceptions of its own."""

from __future__ import annotations

from compaudit.errors import RequestError

try:
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as native
except ImportError as error:
    raise RequestError(
        "ONNX Runtime, which runs ONNX models, is not installed",
        hint="pip install 'compaudit[cpu]', or 'compaudit[gpu]' for NVIDIA GPUs",
        code="runtime-missing",
    ) from error

__all__ = ["NATIVE_ERRORS", "native", "ort"]

# ONNX Runtime's exceptions share no base class of their own.
NATIVE_ERRORS: tuple[type[Exception], ...] = (
    *(RuntimeError, ValueError, TypeError),
    *(
        kind
        for kind in vars(native).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
