"""Audits on real Ray clusters: one that runs already, and one that the command starts itself.

Starting Ray takes seconds: all of its tests are here, and share one cluster.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.audit import compare
from compaudit.config import Config
from compaudit.engines.ray.cluster import Cluster as Joined
from compaudit.engines.ray.engine import check
from compaudit.errors import RequestError
from compaudit.ranking import rank
from compaudit.results import Comparison

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="takes Ray: pip install 'compaudit[ray]'"
    ),
]

MODELS = Path(__file__).parents[2] / "sample_models"
DIGITS = (str(MODELS / "digits.onnx"), str(MODELS / "digits_int8.onnx"))
LONGEST_S = 180.0


class Notes:
    """What an audit tells; `watch` is called with what it says of its progress."""

    def __init__(self, watch: Callable[[str], object] = lambda what: None) -> None:
        self.notes: list[str] = []
        self.watch = watch

    def stage(self, what: str, share: float | None = None, left_s: float | None = None) -> None:
        self.watch(what)

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass(frozen=True)
class Cluster:
    """One that runs: its address, and the process that everything of it descends from."""

    address: str
    head: psutil.Process


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two processors, as `ray start --head` makes it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    folder = Path("/tmp", f"compaudit-test-ray-{os.getpid()}")  # sockets have short names
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
        command += [f"--port={port}", "--num-cpus=2", "--include-dashboard=false"]
        command += [f"--temp-dir={folder}", "--object-store-memory=100000000"]
        command += ["--node-ip-address=127.0.0.1", "--disable-usage-stats"]
        log = tmp_path_factory.mktemp("ray") / "log"
        with log.open("wb") as stream:
            head = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
        try:
            wait_for(lambda: b"runtime started" in log.read_bytes())
            yield Cluster(f"127.0.0.1:{port}", psutil.Process(head.pid))
        finally:
            end([psutil.Process(head.pid)])
            head.wait()
            subprocess.run(["rm", "-rf", str(folder)], check=True)


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + LONGEST_S
    while not (found := condition()):
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)
    return found


def end(processes: list[psutil.Process]) -> None:
    for process in processes:
        for each in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def ray_workers(parent: psutil.Process) -> list[psutil.Process]:
    """The processes below another that hold an `Evaluator`."""
    found = []
    for process in parent.children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Evaluator"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def audit(*models: str, progress: Notes | None = None, **changes: Any) -> Comparison:
    asked = {"measurements": ("divergence", "accuracy"), "threads": 1, "cache": False, **changes}
    config = Config(original=models[0], compressed=models[1], **asked)
    return compare(config, progress or Notes())


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every figure by its path."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in flat(one, f"{path}.{key}").items()}
    return {path: value}


def assert_same_figures(one: Any, other: Any) -> None:
    """Counts exactly, moments to rounding, and what sketches answer alike."""
    here, there = (flat(msgspec.to_builtins(each)) for each in (one, other))
    assert here.keys() == there.keys()
    for path, value in here.items():
        about = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert there[path] == about, path


def figures(report: Comparison) -> tuple[Any, Any, Any]:
    assert report.error is None, report.error
    assert report.accuracy is not None
    return report.divergence, report.accuracy, report.samples


# ------------------------------------------------------------------------ the command by itself

COMMAND = (sys.executable, "-P", "-m", "compaudit", "compare", *DIGITS)
ASKED = ("--only", "divergence,accuracy", "--threads", "1", "--no-cache")
ON_RAY = ("--data", str(MODELS / "digits_test.npz"), *ASKED, "--engine", "ray", "--workers", "2")


def test_the_command_starts_a_cluster_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home)}
    environment.pop("RAY_AUTH_MODE", None)
    command = subprocess.Popen(
        [*COMMAND, *ON_RAY, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
    )
    wait_for(lambda: ray_workers(psutil.Process(command.pid)) or command.poll() is not None)
    started = psutil.Process(command.pid).children(recursive=True)
    stdout, stderr = command.communicate(timeout=LONGEST_S)
    assert (command.returncode, stderr) == (0, b"")
    document = json.loads(stdout)
    here = msgspec.to_builtins(audit(*DIGITS, data=str(MODELS / "digits_test.npz")))
    for part in ("divergence", "accuracy", "samples"):
        assert_same_figures(document[part], here[part])
    assert len(started) > 4
    assert psutil.wait_procs(started, timeout=5)[1] == []
    assert list(home.iterdir()) == []  # Ray would put a key there


def test_an_interruption_ends_the_cluster_too() -> None:
    command = subprocess.Popen([*COMMAND, *ON_RAY], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    parent = psutil.Process(command.pid)
    wait_for(lambda: ray_workers(parent))
    started = parent.children(recursive=True)
    began = time.monotonic()
    command.send_signal(signal.SIGINT)
    stdout, stderr = command.communicate(timeout=LONGEST_S)
    # One second is the promise; the rest is for a busy machine.
    assert time.monotonic() - began < 5
    assert (command.returncode, stdout, stderr) == (130, b"", b"")
    assert psutil.wait_procs(started, timeout=5)[1] == []


# ---------------------------------------------------------------------------- a running cluster


def write_heavy(path: Path, seed: int) -> None:
    """Some 8 million multiplications a sample."""
    random = np.random.default_rng(0)
    noise = np.random.default_rng(seed)
    nodes, initializers, last = [], [], "x"
    for layer in range(8):
        weight = random.normal(scale=1 / 32, size=(1024, 1024)) + noise.normal(
            scale=1e-4, size=(1024, 1024)
        )
        initializers.append(numpy_helper.from_array(weight.astype(np.float32), f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"h{layer}"]))
        last = f"h{layer}"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "heavy",
        [value("x", TensorProto.FLOAT, ["n", 1024])],
        [value(last, TensorProto.FLOAT, ["n", 1024])],
        initializers,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path
    )


@pytest.fixture
def heavy(tmp_path: Path) -> tuple[str, str, str]:
    """Two models, and data that keeps them busy for seconds."""
    for seed, name in ((1, "m.onnx"), (2, "c.onnx")):
        write_heavy(tmp_path / name, seed)
    random = np.random.default_rng(3)
    np.savez(
        tmp_path / "data.npz",
        x=random.normal(size=(6000, 1024)).astype(np.float32),
        labels=random.integers(0, 1024, 6000),
    )
    return str(tmp_path / "m.onnx"), str(tmp_path / "c.onnx"), str(tmp_path / "data.npz")


def test_a_killed_ray_worker_costs_time_and_no_sample(
    heavy: tuple[str, str, str], cluster: Cluster
) -> None:
    killed: list[int] = []
    beside_timing: list[int] = []

    def kill_one(what: str) -> None:
        if what.startswith("timing"):
            beside_timing.append(len(ray_workers(cluster.head)))
        if what.startswith("comparing outputs") and not killed:
            victim = ray_workers(cluster.head)[0]
            killed.append(victim.pid)
            victim.kill()

    progress = Notes(kill_one)
    *models, data = heavy
    there = audit(
        *models,
        data=data,
        task="classification",
        progress=progress,
        engine="ray",
        ray_address=cluster.address,
        measurements=("latency", "divergence", "accuracy"),
        time_budget_s=0.5,
    )
    assert len(killed) == 1
    # Nothing is timed on a shared worker, nor beside one.
    assert set(beside_timing) == {0}
    assert there.original.latency is not None
    assert len(progress.notes) == 1
    assert " died " in progress.notes[0]
    assert there.divergence is not None
    assert there.divergence.samples == 6000
    assert_same_figures(figures(audit(*models, data=data, task="classification")), figures(there))


def test_a_model_that_crashes_on_a_sample_ends_as_it_does_here(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os\n"
        "def score(outputs, labels):\n"
        "    if (labels == 7).sum() > 9:\n"
        "        os.abort()\n"
        "    return [0.0] * len(labels)\n"
    )
    monkeypatch.chdir(tmp_path)
    asked: dict[str, Any] = {
        "data": str(MODELS / "digits_test.npz"),
        "metrics": ("deadly.py:score",),
    }
    here = audit(*DIGITS, **asked)
    there = audit(*DIGITS, **asked, engine="ray", ray_address=cluster.address)
    assert here.error is not None
    assert here.error.exit == 4
    assert "SIGABRT" in here.error.message
    assert there.error is not None
    said, _, where = there.error.message.partition(" (on the node ")
    assert said == here.error.message
    assert where.startswith(socket.gethostname())
    assert (there.error.code, there.error.model) == (here.error.code, here.error.model)


def test_a_ranking_starts_ray_once_and_ends_it_before_models_are_timed() -> None:
    stages: list[str] = []
    beside_timing: set[str] = set()
    others = {process.pid for process in psutil.Process().children(recursive=True)}

    def watch(what: str) -> None:
        stages.append(what)
        if what.startswith("timing"):
            below = psutil.Process().children(recursive=True)
            beside_timing.update(one.name() for one in below if one.pid not in others)

    candidates = [str(MODELS / f"digits_{name}.onnx") for name in ("int8", "broken")]
    asked: dict[str, Any] = {"data": str(MODELS / "digits_test.npz"), "threads": 1, "cache": False}
    config = Config(
        original=DIGITS[0],
        compressed="",
        measurements=("latency", "divergence", "accuracy"),
        time_budget_s=1.0,
        engine="ray",
        workers=1,
        **asked,
    )
    found = rank(config, candidates, progress=Notes(watch))
    assert sum("starting Ray" in stage and "workers" not in stage for stage in stages) == 1
    assert beside_timing
    assert not any(name.startswith(("ray", "gcs_server")) for name in beside_timing)
    for path, row in zip(candidates, found.candidates, strict=True):
        assert row.error is None
        divergence, accuracy, _ = figures(audit(DIGITS[0], path, data=asked["data"]))
        assert_same_figures((divergence, accuracy, []), (row.divergence, row.accuracy, []))


def test_nothing_answers_at_an_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(RequestError, match=f"nothing answers at the Ray address 127.0.0.1:{port}"):
        check(Joined(f"127.0.0.1:{port}", None))
