"""How fast one model is against another, as one tool says it; one line of JSON: a child of `clock`.

    python peers_of_the_clock.py METHOD ORIGINAL COMPRESSED DATA SECONDS THREADS SEED

Each tool runs as its documentation shows, on ONNX Runtime with so many threads (0: what it takes by
default), for SECONDS of timing: half for each model, starting up not counted. compaudit alone has
to start its processes within the SECONDS. The answer has δ by every statistic that the tool
reports, original / compressed.

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
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

__all__ = ["METHODS"]

_WARM_UP = 10
_NAIVE_CALLS = 200


@dataclass(frozen=True)
class Question:
    """What a tool is asked: how fast the one model is against the other."""

    original: str
    compressed: str
    data: str
    seconds: float
    threads: int
    seed: int

    @property
    def paths(self) -> tuple[str, str]:
        """Both models."""
        return self.original, self.compressed


def _session(path: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _feeds(data: str) -> dict[str, Any]:
    """The first sample, as a batch of one."""
    with np.load(data) as samples:
        return {name: samples[name][:1] for name in samples.files}


def _ratios(original: dict[str, float], compressed: dict[str, float]) -> dict[str, Any]:
    return {"deltas": {name: original[name] / compressed[name] for name in original}}


# ----------------------------------------------------------------------------------- the tools


def _compaudit(asked: Question) -> Any:
    import compaudit

    delta = compaudit.compare(
        asked.original,
        asked.compressed,
        data=asked.data,
        measurements=("latency",),
        threads=asked.threads or None,
        time_budget_s=asked.seconds,
        seed=asked.seed,
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


def _polygraphy(asked: Question) -> Any:
    from polygraphy.backend.onnxrt import OnnxrtRunner
    from polygraphy.comparator import Comparator
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.ERROR
    feeds = _feeds(asked.data)
    threads = asked.threads
    paths = {"original": asked.original, "compressed": asked.compressed}
    iterations = int(asked.seconds / sum(_call_s(path, threads, feeds) for path in asked.paths))
    runners = [
        OnnxrtRunner(lambda path=path: _session(path, threads), name=name)
        for name, path in paths.items()
    ]
    results = Comparator.run(runners, data_loader=[feeds] * max(2, iterations), warm_up=_WARM_UP)
    times = {name: [one.runtime for one in results[name]] for name in paths}
    return _ratios(
        *({"average": statistics.fmean(t), "median": statistics.median(t)} for t in times.values())
    )


def _call_s(path: str, threads: int, feeds: dict[str, Any]) -> float:
    """About what a call takes, to know how many fit."""
    session = _session(path, threads)
    return statistics.median(_times(session, feeds, 20))


def _optimum(asked: Question) -> Any:
    figures = []
    for path in asked.paths:
        command = [sys.executable, __file__, "optimum-one", path, "-", asked.data]
        command += [f"{asked.seconds / 2}", f"{asked.threads}", "0"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        answer = json.loads(result.stdout.splitlines()[-1])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        figures.append(answer)
    return _ratios(*figures)


def _optimum_one(asked: Question) -> Any:
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
            self.session = _session(asked.original, asked.threads)

        def prepare_inputs(self, inputs: Any) -> dict[str, Any]:
            return _feeds(asked.data)

        def forward(self, inputs: dict[str, Any], kwargs: dict[str, Any]) -> Any:
            return self.session.run(None, inputs, **kwargs)

    # It wants to make an image, which `prepare_inputs` then replaces.
    image = {"num_channels": 3, "height": 8, "width": 8}
    config = InferenceConfig(duration=asked.seconds, warmup_runs=_WARM_UP, input_shapes=image)
    scenario = InferenceScenario(config)
    latency = scenario.run(PlainOnnx()).forward.latency
    return {"mean": float(latency.mean), "p50": float(latency.p50)}


def _torch(asked: Question) -> Any:
    from torch.utils.benchmark import Timer

    feeds = _feeds(asked.data)
    figures = []
    for path in asked.paths:
        timer = Timer(
            "session.run(None, feeds)",
            globals={"session": _session(path, asked.threads), "feeds": feeds},
            num_threads=asked.threads or 1,
        )
        measured = timer.blocked_autorange(min_run_time=asked.seconds / 2)
        figures.append({"median": measured.median, "mean": measured.mean})
    return _ratios(*figures)


def _naive(asked: Question) -> Any:
    feeds = _feeds(asked.data)
    times = []
    for path in asked.paths:
        session = _session(path, asked.threads)
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
    method: str,
    original: str,
    compressed: str,
    data: str,
    seconds: str,
    threads: str,
    seed: str,
) -> None:
    """Print the tool's answer, or ``{"error": …}`` with the last line of what went wrong."""
    run = (METHODS | {"optimum-one": _optimum_one})[method]
    asked = Question(original, compressed, data, float(seconds), int(threads), int(seed))
    answer: dict[str, Any]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = run(asked)
    except Exception as error:  # whatever a tool dies of is its answer
        lines = str(error).strip().splitlines() or [""]
        answer = {"error": f"{type(error).__name__}: {lines[-1]}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
