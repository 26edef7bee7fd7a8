"""What compaudit's harness adds to a call: its timed blocks beside bare loops, in one process.

    python harness_overhead.py FRAMEWORK MICROSECONDS SECONDS     # FRAMEWORK: onnxruntime or torch

A child of `clock`: prints one line of JSON. The same session or module is called in three ways,
which take turns in random order: blocks of the harness (`run_block` on what `Runner.bind` gives), a
bare loop of that same bound call, and the loop that anybody would write without compaudit, of the
framework's own call. Ratios of the time per call, with 95 % intervals over independent parts.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from known_ratio_onnx import WIDTH, model

from compaudit.measure.latency.blocks import run_block
from compaudit.models.base import Inference, RunSettings, Source
from compaudit.theory.statistics import epoch_value, ratio_interval

__all__ = ["main"]

_PARTS = 20
_BLOCK_S = 0.005
_LEAST_CALLS = 10
_MOST_LAYERS = 400
Call = Callable[[], object]
Mode = Callable[[], AbstractContextManager[Any]]


def main(framework: str, microseconds: str, seconds: str) -> None:
    """Print the seconds of a call, and both ratios of the harness with their intervals."""
    build = {"onnxruntime": _onnx, "torch": _torch}[framework]
    mode = contextlib.nullcontext if framework == "onnxruntime" else _inference_mode
    inference, own = _of_about(build, float(microseconds) / 1e6)
    call_s = _call_s(inference.call, 200)
    calls = max(_LEAST_CALLS, round(_BLOCK_S / call_s))

    def harness() -> float:
        with inference.around():
            block = run_block(inference, calls, True, time.perf_counter, time.process_time)
        return block.elapsed_s / calls

    ways = {
        "harness": harness,
        "bound": lambda: _bare(inference.call, calls, inference.around),
        "own": lambda: _bare(own, calls, mode),
    }
    logs: list[dict[str, float]] = []
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end or len(logs) < 10 * _PARTS:
        order = random.sample(list(ways), len(ways))
        logs.append({way: math.log(ways[way]()) for way in order})
    answer: dict[str, Any] = {"call_s": call_s, "rounds": len(logs)}
    for against in ("bound", "own"):
        size = len(logs) // _PARTS
        parts = [
            epoch_value(
                [log["harness"] - log[against] for log in logs[part * size : (part + 1) * size]]
            )
            for part in range(_PARTS)
        ]
        interval = ratio_interval(parts, 0.95)
        answer[against] = {"value": interval.value, "low": interval.low, "high": interval.high}
    print(json.dumps(answer))


def _bare(call: Call, calls: int, mode: Mode = contextlib.nullcontext) -> float:
    """Seconds a call of a plain loop; the first call pays for what ran before, as in a block."""
    with mode():
        call()
        began = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - began) / calls


def _inference_mode() -> Any:
    import torch

    return torch.inference_mode()


def _call_s(call: Call, calls: int) -> float:
    return min(_bare(call, calls // 10) for _ in range(10))


def _of_about(build: Callable[[int], tuple[Inference, Call]], wanted_s: float) -> Any:
    """The model with as many layers as take about so long."""
    layers = 1
    while (taken := _call_s(build(layers)[0].call, 200)) < wanted_s / 2 and layers < _MOST_LAYERS:
        layers *= 2
    return build(min(_MOST_LAYERS, max(1, round(layers * wanted_s / taken))))


def _onnx(layers: int) -> tuple[Inference, Call]:
    """A Loop of so many calls of a body, on four rows: bound by compaudit, and its own call."""
    import tempfile
    from pathlib import Path

    from compaudit.models import open as models

    rows = 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model(layers, rows).SerializeToString())
        runner: Any = models.load(models.recognise(str(path)), RunSettings())
    x = np.random.default_rng(0).normal(size=(1, rows * WIDTH)).astype(np.float32)
    # The very session of the runner: another one has its memory elsewhere, and another speed.
    session = runner._session
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y")
    return runner.bind({"x": x}), lambda: session.run_with_iobinding(binding)


def _torch(layers: int) -> tuple[Inference, Call]:
    """So many layers on one row: bound by compaudit, and the module's own call."""
    import torch

    from compaudit.models.torch.runner import TorchRunner

    torch.manual_seed(0)
    width = 128
    module = torch.nn.Sequential(
        *(part for _ in range(layers) for part in (torch.nn.Linear(width, width), torch.nn.ReLU()))
    )
    source = Source(spec="harness_overhead", format="factory")
    runner = TorchRunner.of_module(source, module, RunSettings())
    x = np.random.default_rng(0).normal(size=(1, width)).astype(np.float32)
    given = torch.from_numpy(x)
    name = runner.inputs[0].name
    return runner.bind({name: x}), lambda: module(given)


if __name__ == "__main__":
    main(*sys.argv[1:])
