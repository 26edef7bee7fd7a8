"""``torch.compile``: a forward by way of it, what became of it, and why it could not be compiled.

A module is compiled when it is first called, and again for inputs or a state that it was not
compiled for. What inductor generates lies in the temporary folder (or where
``TORCHINDUCTOR_CACHE_DIR`` says). The workers of one audit share theirs: only the first of them
waits for the C++ compiler.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.models.base import Source
from compaudit.models.torch.runtime import first_line

__all__ = [
    "compilations",
    "compile_failure",
    "compile_forward",
    "describe_compilation",
    "kernels_named",
]


def compile_forward(source: Source, module: torch.nn.Module) -> Callable[..., Any]:
    """The module's forward, compiled by inductor when it is called; the module stays as it is.

    Raises:
        RequestError: it is TorchScript, which is compiled in a way of its own.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise RequestError(
            f"{source.spec} is TorchScript, which torch.compile does not take",
            hint="leave --compile out, or give the module itself (package.module:factory)",
            code="compile-script",
            model=source.spec,
            stage="load",
        )
    from torch._inductor import config

    # No pool of compiling processes that lives on while models are timed.
    config.compile_threads = 1
    compiled: Callable[..., Any] = torch.compile(module)
    return compiled


def compilations() -> int:
    """How often dynamo has begun to compile a function in this process.

    Attempts that end in eager mode count: they take time as well. A module that calls
    ``torch.compile`` itself is counted like one that `compile_forward` compiled.
    """
    return _counted("frames")["total"]


def describe_compilation() -> str:
    """What was compiled so far: ``inductor, 2 graphs, 1 graph break``.

    A break is a place where dynamo ended one graph and went on with another, with Python between
    them (torch._dynamo counts the functions that go on). A function that it could compile none of,
    or had to compile too often, is left to eager mode.
    """
    frames = _counted("frames")
    if not frames["total"]:
        return "inductor, nothing compiled yet"
    parts = [
        _plural(_counted("stats")["unique_graphs"], "graph"),
        _plural(len(_counted("resumes")), "graph break"),
    ]
    if left := frames["total"] - frames["ok"]:
        parts.append(f"{_plural(left, 'function')} left to eager mode")
    return ", ".join(["inductor", *parts])


def kernels_named() -> AbstractContextManager[object]:
    """What is compiled while this lasts shows each of its CPU kernels to the profiler."""
    from torch._inductor import config

    named: AbstractContextManager[object] = config.patch({"cpp.enable_kernel_profile": True})
    return named


def compile_failure(source: Source, error: Exception, stage: str) -> CompauditError | None:
    """The error for what torch.compile raised; None for anything else."""
    if "torch._dynamo" not in sys.modules:
        return None
    from torch._dynamo.exc import BackendCompilerFailed, TorchDynamoException, TorchRuntimeError
    from torch._inductor.exc import InvalidCxxCompiler, TritonMissing

    # What the model itself raised while dynamo went through it is the model's failure.
    if not isinstance(error, TorchDynamoException) or isinstance(error, TorchRuntimeError):
        return None
    cause = error.inner_exception if isinstance(error, BackendCompilerFailed) else error
    if isinstance(cause, InvalidCxxCompiler | TritonMissing):
        wanted = "Triton" if isinstance(cause, TritonMissing) else "a C++ compiler (g++, or CXX)"
        return RequestError(
            f"torch.compile found no compiler for {source.spec}: {first_line(cause)}",
            hint=f"install {wanted}, or leave --compile out",
            code="compiler-missing",
            model=source.spec,
            stage=stage,
        )
    return MeasurementError(
        f"torch.compile could not compile {source.spec}: {first_line(cause)}",
        hint="leave --compile out, or see the whole error with torch.compile in Python",
        code="compile-failed",
        model=source.spec,
        stage=stage,
    )


def _counted(category: str) -> Counter[str]:
    """One category of dynamo's counters; all zero as long as nothing imported dynamo."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return Counter(dynamo.counters.get(category, {})) if dynamo is not None else Counter()


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
