"""Where ONNX Runtime spends an inference, node by node, from its own profile.

The session is one of its own with the settings of the timed one, and profiling switched on. Beside
it ONNX Runtime writes the graph that it optimised the file to, by which `attribution` finds the
file's nodes again. Call it in a worker; it imports onnxruntime.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onnx import ModelProto

from compaudit.errors import MeasurementError, RequestError
from compaudit.models.base import Feeds, Graph, Node, RunSettings, Source
from compaudit.models.onnx.attribution import attribute
from compaudit.models.onnx.ledger import read_model
from compaudit.models.onnx.mapped import mapped
from compaudit.models.onnx.proto import text
from compaudit.models.onnx.session import OnnxRunner
from compaudit.models.onnx.trace import Executed, Run, calmest, parse_trace
from compaudit.models.profiled import ExecutedNode, ProfiledRun

__all__ = ["profile_onnx", "summarise"]

_SECONDS = 1.0
_MOST_RUNS = 50
_MOST_EVENTS = 50_000
"""Executed nodes that are recorded in all; ONNX Runtime itself stops at a million."""
_WARM_UP = 3

_BLOCKED = "com.microsoft.nchwc"
_EITHER = frozenset(
    ("Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Upsample")
)
"""Operators with a second kernel, for a layout in blocks of channels: faster, and not for every
graph. They are told apart by a prefix, ``nchwc.Conv``."""

_PROFILE, _OPTIMIZED, _WEIGHTS = "profile", "optimized.onnx", "optimized.data"
_EXTERNAL_FILE = "session.optimized_model_external_initializers_file_name"


def profile_onnx(source: Source, settings: RunSettings, feeds: Feeds, folder: Path) -> ProfiledRun:
    """Profile some inferences of an ONNX file.

    Args:
        source: the file.
        settings: those of the timed runs.
        feeds: the inputs of one inference.
        folder: an empty one, for what ONNX Runtime writes; emptied again.

    Raises:
        RequestError: the model does not load, or the feeds do not fit.
        MeasurementError: it failed, or its profile cannot be read.
    """
    path = Path(source.path or "")
    graph = read_model(source, path).graph
    assert graph is not None, "an ONNX file holds a graph"
    runner = _open(path, settings, folder)
    optimized = _main_graph(folder / _OPTIMIZED)
    (folder / _WEIGHTS).unlink(missing_ok=True)
    runs = _run(runner.bind(feeds).call, _MOST_EVENTS // max(1, len(optimized) or len(graph.nodes)))
    recorded = _recorded(runner)
    return summarise(parse_trace(recorded)[-runs:], graph, optimized)


def summarise(runs: Sequence[Run], graph: Graph, optimized: Sequence[Node]) -> ProfiledRun:
    """Runs of one model as means over the calmest of them, mapped to the nodes of the file.

    Args:
        runs: those that count.
        graph: the file's.
        optimized: the main graph that was executed; empty where it is not known.

    Raises:
        MeasurementError: nothing was recorded.
    """
    taken = calmest(runs)
    if not any(run.nodes for run in taken):
        raise MeasurementError(
            "ONNX Runtime recorded no node in its profile",
            hint="leave --profile out, or use another version of onnxruntime",
            code="profile-empty",
        )
    first: dict[tuple[tuple[str, ...], str], Executed] = {}
    own: defaultdict[tuple[tuple[str, ...], str], list[float]] = defaultdict(list)
    for run in taken:
        for node in run.nodes:
            first.setdefault(node.key, node)
            own[node.key].append(node.own)
    blocked = {node.name for node in optimized if node.domain == _BLOCKED and node.op in _EITHER}
    known = attribute(first.values(), graph, optimized)
    return ProfiledRun(
        runs=len(taken),
        total_s=math.fsum(run.seconds for run in taken) / len(taken),
        nodes=tuple(
            ExecutedNode(
                name=node.name,
                op=f"nchwc.{node.op}" if node.name in blocked else node.op,
                provider=node.provider,
                seconds=math.fsum(own[key]) * 1e-6 / len(taken),
                calls=len(own[key]) / len(taken),
                types=node.types,
                nodes=known[key].nodes,
                inserted=known[key].inserted,
            )
            for key, node in first.items()
        ),
    )


def _open(path: Path, settings: RunSettings, folder: Path) -> OnnxRunner:
    """A profiled session; without its optimised graph where that cannot be written.

    Providers that compile parts of a model, and too little disk, prevent it.
    """

    def profiled(options: Any) -> None:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / _PROFILE)

    def written(options: Any) -> None:
        profiled(options)
        options.optimized_model_filepath = str(folder / _OPTIMIZED)
        options.add_session_config_entry(_EXTERNAL_FILE, _WEIGHTS)

    try:
        return OnnxRunner(path, settings, written)
    except (RequestError, MeasurementError):
        for file in folder.iterdir():
            file.unlink()
        return OnnxRunner(path, settings, profiled)


def _main_graph(path: Path) -> list[Node]:
    """The nodes of the optimised main graph in the order of execution, and nothing of them else."""
    if not path.exists():
        return []
    model = ModelProto()
    with mapped(path) as file, memoryview(file) as view:
        model.ParseFromString(view)
    path.unlink()
    return [
        Node(
            text(node.name),
            text(node.op_type),
            tuple(text(value) for value in node.input),
            tuple(text(value) for value in node.output),
            domain=text(node.domain),
        )
        for node in model.graph.node
    ]


def _run(inference: Callable[[], object], most: int) -> int:
    """Warm up, then run for about a second; how many runs that were."""
    for _ in range(_WARM_UP):
        began = time.perf_counter()
        inference()
        if time.perf_counter() - began > _SECONDS:
            break
    runs, began = 0, time.perf_counter()
    while runs < max(1, min(_MOST_RUNS, most)):
        inference()
        runs += 1
        if time.perf_counter() - began > _SECONDS:
            break
    return runs


def _recorded(runner: OnnxRunner) -> bytes:
    """The trace; the session records nothing after this."""
    try:
        trace = runner.end_profiling()
        recorded = trace.read_bytes()
        trace.unlink()
    except OSError as error:
        raise MeasurementError(
            f"ONNX Runtime's profile could not be written: {error.strerror}",
            hint="free some space in the folder for temporary files (TMPDIR)",
            code="profile-unwritten",
        ) from error
    return recorded
