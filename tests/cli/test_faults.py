"""Models that crash, hang or eat memory, and people who lose patience."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run, Start

SURVIVES = ("--skip", "divergence,accuracy", "--time-budget", "1s", "--json")


def test_a_model_that_crashes_leaves_the_other_its_figures(run: Run, files: Path) -> None:
    outcome = run("compare", "original.onnx", "segfault.onnx", *SURVIVES)
    report = outcome.broke("segfault.onnx", "SIGSEGV", code=4)
    assert report["error"]["code"] == "crashed"
    assert report["error"]["model"] == "segfault.onnx"
    assert report["error"]["stage"] == "memory"
    assert report["original"]["latency"]["median_s"]["value"] > 0
    assert report["original"]["peak_memory_bytes"] > 0
    assert report["compressed"]["file_bytes"] == (files / "segfault.onnx").stat().st_size
    assert report["compressed"]["latency"] is None
    assert report["delta"] is None
    reasons = {skipped["metric"]: skipped["reason"] for skipped in report["skipped"]}
    assert "SIGSEGV" in reasons["delta"]
    assert not list(files.glob("core*"))


def test_a_model_that_hangs_is_stopped(run: Run) -> None:
    outcome = run("compare", "endless.onnx", "original.onnx", *SURVIVES, "--timeout", "6s")
    report = outcome.broke("endless.onnx", "6.00 s", code=4, hint="--timeout")
    assert report["error"]["code"] == "timeout"
    assert report["compressed"]["latency"]["calls"] > 0
    assert report["original"]["parameters"] is not None
    assert outcome.seconds < 30


def test_a_model_that_eats_memory_is_stopped(run: Run) -> None:
    options = ("--only", "size,memory", "--memory-limit", "400MB", "--json")
    outcome = run("compare", "original.onnx", "hungry.onnx", *options)
    report = outcome.broke("hungry.onnx", "400 MB", code=4, hint="--memory-limit")
    assert report["error"]["code"] == "out-of-memory"
    assert report["original"]["peak_memory_bytes"] > 0


def test_both_models_may_die(run: Run) -> None:
    outcome = run("compare", "segfault.onnx", "segfault.onnx", "--only", "memory", "--json")
    report = outcome.broke("segfault.onnx", code=4)
    assert report["alpha"]["file_bytes"] == 1


def test_inspect_runs_none_of_them(run: Run) -> None:
    names = ["segfault.onnx", "endless.onnx", "hungry.onnx", "unknown_operator.onnx"]
    report = run("inspect", *names, "future_opset.onnx", "--json").done()
    assert [model["path"] for model in report["models"]] == [*names, "future_opset.onnx"]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
@pytest.mark.parametrize(
    "model", ["endless.onnx", pytest.param("compressed.onnx", marks=pytest.mark.slow)]
)
def test_a_signal_ends_it_at_once(
    start: Start, quiet_folder: Path, number: signal.Signals, code: int, model: str
) -> None:
    process = start("compare", "original.onnx", model, "--time-budget", "60s", "--json")
    workers = _workers_of(process)
    time.sleep(0.5)
    os.kill(process.pid, number)
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    # One second is the promise; the rest is for a busy machine.
    assert time.monotonic() - began < 4
    assert process.returncode == code
    assert b"Traceback" not in stderr
    assert stdout == b""
    _, alive = psutil.wait_procs(workers, timeout=3)
    assert alive == []
    assert list(quiet_folder.iterdir()) == []


def test_workers_die_with_a_parent_that_is_killed(start: Start, quiet_folder: Path) -> None:
    process = start("compare", "original.onnx", "endless.onnx", "--only", "divergence")
    workers = _workers_of(process)
    process.kill()
    process.communicate(timeout=20)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []
    for left in quiet_folder.iterdir():  # nobody was there to tidy up
        shutil.rmtree(left)


def _workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that hold the models, as soon as there are two, and the one that reaps them."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        workers = psutil.Process(process.pid).children(recursive=True)
        if len(workers) >= 3:
            return workers
        time.sleep(0.05)
    pytest.fail(f"no worker was started: {process.communicate()[1].decode()}")
