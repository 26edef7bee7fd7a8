"""Where PyTorch spends an inference, by operator and module, from torch.profiler.

Imports torch; import it inside functions. Call it in a worker, in a run of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from compaudit.models.base import Feeds
from compaudit.models.profiled import ProfiledRun
from compaudit.models.torch.compilation import kernels_named
from compaudit.models.torch.profile_events import INFERENCE, MODULE, GraphCall, summarise
from compaudit.models.torch.runner import TorchRunner
from compaudit.models.torch.runtime import quiet

__all__ = ["profile_torch"]

_SECONDS = 1.0
_MOST_RUNS = 50
_MOST_EVENTS = 50_000
_WARM_UP = 3
_ROOT = "(model)"
"""What the outermost module is called, whose path is empty."""


def profile_torch(runner: TorchRunner, feeds: Feeds) -> ProfiledRun:
    """Profile some inferences of a loaded module.

    An exported program says itself which operators it calls for which module. Of other modules
    every call is marked by hooks while this runs. TorchScript takes none: it is profiled by
    operator only, and so is what torch.compile makes of a module, by the kernels it generated.

    Raises:
        RequestError: the inputs do not fit.
        MeasurementError: the module failed, or nothing was recorded.
    """
    with kernels_named() if runner.compiled else nullcontext():
        inference = runner.bind(feeds).call
    module = None if runner.compiled else runner.module
    activities = [ProfilerActivity.CPU]
    if runner.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    for _ in range(_WARM_UP):
        began = time.perf_counter()
        inference()
        if (alone := time.perf_counter() - began) > _SECONDS:
            break
    with quiet(), _modules_marked(module):
        events = _recorded(inference, activities, 1)
        enough = _MOST_EVENTS // max(1, len(events))
        runs = min(_MOST_RUNS, int(_SECONDS / max(alone, 1e-6)), enough)
        if runs > 1:
            events = _recorded(inference, activities, runs)
    return summarise(events, runner.providers[0], _calls(module))


def _recorded(
    inference: Callable[[], object], activities: list[ProfilerActivity], runs: int
) -> Any:
    with profile(activities=activities) as recorded:
        for _ in range(runs):
            with record_function(INFERENCE):
                inference()
    return recorded.events()


def _calls(module: object) -> list[GraphCall]:
    """The operators that an exported program calls, in order; empty for any other module."""
    if not isinstance(module, torch.fx.GraphModule):
        return []
    calls = []
    for node in module.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            path = str(stack[-1][0]) if stack else ""
            calls.append(GraphCall(node.target._schema.name, node.name, path))
    return calls


@contextmanager
def _modules_marked(module: object) -> Iterator[None]:
    """While this lasts, every call of a module lies in a range that bears its path."""
    calls_none = isinstance(module, torch.fx.GraphModule | torch.jit.ScriptModule)
    if calls_none or not isinstance(module, torch.nn.Module):
        yield
        return
    parts = module.named_modules()
    hooks = [hook for path, part in parts for hook in _mark(part, path or _ROOT)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _mark(part: torch.nn.Module, path: str) -> list[Any]:
    if isinstance(part, torch.jit.ScriptModule):
        return []
    open_: list[Any] = []  # a module may call itself

    def begin(*_: object) -> None:
        marked = record_function(f"{MODULE}{path}")
        marked.__enter__()  # type: ignore[no-untyped-call]
        open_.append(marked)

    def end(*_: object) -> None:
        open_.pop().__exit__(None, None, None)

    return [
        part.register_forward_pre_hook(begin, prepend=True),
        part.register_forward_hook(end, always_call=True),
    ]
