"""How fast one model is against another, as one tool says it; one line of JSON: a child of `clock`.

    python peers_of_the_clock.py METHOD ORIGINAL COMPRESSED DATA SECONDS

Each tool runs as its documentation shows, on ONNX Runtime with one thread, for SECONDS of timing:
half for each model, starting up not counted. compaudit alone has to start its processes within the
SECONDS. The answer has δ by every statistic that the tool reports, original / compressed.

- ``polygraphy``: `Comparator.run` on two `OnnxrtRunner`, which is what ``polygraphy run`` does.
- ``optimum-benchmark``: its `InferenceScenario` with its latency tracker, a fresh process for each
  model. Its own ONNX Runtime backend loads Transformers models only, so the backend here is ours:
  three methods around a session. Its default launcher is not used: while the model is timed, that
  keeps a second core busy asking whether it is done.
- ``torch.utils.benchmark``: ``Timer(…).blocked_autorange()`` on the session's call.
- ``naive``: 200 calls of the original, then 200 of the compressed model, however long that takes.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

__all__ = ["METHODS"]

_WARM_UP = 10
_NAIVE_CALLS = 200


def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _feeds(data: str) -> dict[str, Any]:
    """The first sample, as a batch of one."""
    with np.load(data) as samples:
        return {name: samples[name][:1] for name in samples.files}


def _ratios(original: dict[str, float], compressed: dict[str, float]) -> dict[str, Any]:
    return {"deltas": {name: original[name] / compressed[name] for name in original}}


# ----------------------------------------------------------------------------------- the tools


def _compaudit(original: str, compressed: str, data: str, seconds: float, seed: int) -> Any:
    import compaudit

    delta = compaudit.compare(
        original,
        compressed,
        data=data,
        measurements=("latency",),
        threads=1,
        time_budget_s=seconds,
        seed=seed,
    ).delta
    if delta is None:
        raise RuntimeError("no δ")
    return {
        "deltas": {"δ": delta.value},
        "verdict": delta.verdict,
        "low": delta.low,
        "high": delta.high,
        "epochs": delta.epochs,
    }


def _polygraphy(original: str, compressed: str, data: str, seconds: float, _seed: int) -> Any:
    from polygraphy.backend.onnxrt import OnnxrtRunner
    from polygraphy.comparator import Comparator
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.ERROR
    feeds = _feeds(data)
    paths = {"original": original, "compressed": compressed}
    iterations = int(seconds / sum(_call_s(path, feeds) for path in paths.values()))
    runners = [
        OnnxrtRunner(lambda path=path: _session(path), name=name) for name, path in paths.items()
    ]
    results = Comparator.run(runners, data_loader=[feeds] * max(2, iterations), warm_up=_WARM_UP)
    times = {name: [one.runtime for one in results[name]] for name in paths}
    return _ratios(
        *({"average": statistics.fmean(t), "median": statistics.median(t)} for t in times.values())
    )


def _call_s(path: str, feeds: dict[str, Any]) -> float:
    """About what a call takes, to know how many fit."""
    session = _session(path)
    return statistics.median(_times(session, feeds, 20))


def _optimum(original: str, compressed: str, data: str, seconds: float, _seed: int) -> Any:
    figures = []
    for path in (original, compressed):
        command = [sys.executable, __file__, "optimum-one", path, "-", data, f"{seconds / 2}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        answer = json.loads(result.stdout.splitlines()[-1])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        figures.append(answer)
    return _ratios(*figures)


def _optimum_one(path: str, _none: str, data: str, seconds: float, _seed: int) -> Any:
    from optimum_benchmark import InferenceConfig
    from optimum_benchmark.scenarios.inference.scenario import InferenceScenario

    class PlainOnnx:
        """The methods that the scenario calls."""

        model_shapes: ClassVar[dict[str, int]] = {}
        config = SimpleNamespace(
            name="onnxruntime",
            task="image-classification",
            device="cpu",
            device_ids=None,
            model_type=None,
        )

        def load(self) -> None:
            self.session = _session(path)

        def prepare_inputs(self, inputs: Any) -> dict[str, Any]:
            return _feeds(data)

        def forward(self, inputs: dict[str, Any], kwargs: dict[str, Any]) -> Any:
            return self.session.run(None, inputs, **kwargs)

    # It wants to make an image, which `prepare_inputs` then replaces.
    image = {"num_channels": 3, "height": 8, "width": 8}
    config = InferenceConfig(duration=seconds, warmup_runs=_WARM_UP, input_shapes=image)
    scenario = InferenceScenario(config)
    latency = scenario.run(PlainOnnx()).forward.latency
    return {"mean": float(latency.mean), "p50": float(latency.p50)}


def _torch(original: str, compressed: str, data: str, seconds: float, _seed: int) -> Any:
    from torch.utils.benchmark import Timer

    feeds = _feeds(data)
    figures = []
    for path in (original, compressed):
        timer = Timer(
            "session.run(None, feeds)",
            globals={"session": _session(path), "feeds": feeds},
            num_threads=1,
        )
        measured = timer.blocked_autorange(min_run_time=seconds / 2)
        figures.append({"median": measured.median, "mean": measured.mean})
    return _ratios(*figures)


def _naive(original: str, compressed: str, data: str, _seconds: float, _seed: int) -> Any:
    feeds = _feeds(data)
    times = []
    for path in (original, compressed):
        session = _session(path)
        _times(session, feeds, _WARM_UP)
        times.append(_times(session, feeds, _NAIVE_CALLS))
    return _ratios(*({"mean": statistics.fmean(t), "median": statistics.median(t)} for t in times))


def _times(session: Any, feeds: dict[str, Any], calls: int) -> list[float]:
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - began)
    return times


METHODS = {
    "compaudit": _compaudit,
    "polygraphy": _polygraphy,
    "optimum-benchmark": _optimum,
    "torch.utils.benchmark": _torch,
    "naive": _naive,
}


def main(
    method: str, original: str, compressed: str, data: str, seconds: str, seed: str = "0"
) -> None:
    """Print the tool's answer, or ``{"error": …}`` with the last line of what went wrong."""
    run = (METHODS | {"optimum-one": _optimum_one})[method]
    answer: dict[str, Any]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = run(original, compressed, data, float(seconds), int(seed))
    except Exception as error:  # whatever a tool dies of is its answer
        lines = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {lines[-1]}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
