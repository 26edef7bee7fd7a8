"""What a machine offers, and what its noise is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort
import psutil
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def test_it_says_what_there_is(run: Run, quiet_folder: Path) -> None:
    report = run("doctor", "--json").done()
    environment = report["environment"]
    assert report["kind"] == "doctor"
    assert environment["providers"] == ort.get_available_providers()
    assert environment["devices"][0] == "cpu"
    assert environment["usable_cores"] <= len(os.sched_getaffinity(0))
    # In a fresh process: an earlier test may have set the number here.
    asked = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    threads = int(subprocess.run(asked, capture_output=True, check=True).stdout)
    assert report["framework_threads"]["torch"] == threads
    assert report["framework_threads"]["onnxruntime"] == psutil.cpu_count(logical=False)
    assert report["memory_limit_bytes"] <= 0.75 * psutil.virtual_memory().total
    assert 0 < report["clock_resolution_s"] <= 1e-3
    assert report["noise"] is None
    flags = Path("/proc/cpuinfo").read_text().split()
    assert set(environment["instruction_sets"]) <= {*flags, "neon", "fp16", "dotprod"}
    assert list(quiet_folder.iterdir()) == []


def test_the_table_has_every_part_and_nothing_of_the_noise(run: Run) -> None:
    outcome = run("doctor")
    assert outcome.code == 0
    for words in ("instructions", "threads by default", "processors busy", "timing lock", "torch"):
        assert words in outcome.stdout
    assert "against itself" not in outcome.stdout


@pytest.mark.slow
def test_settings_of_thread_pools_are_shown_and_explained(run: Run) -> None:
    report = run("doctor", "--json", env={"OMP_NUM_THREADS": "1", "KMP_BLOCKTIME": "0"}).done()
    assert report["thread_settings"] == {"OMP_NUM_THREADS": "1", "KMP_BLOCKTIME": "0"}
    assert report["framework_threads"]["torch"] == 1
    (advice,) = [text for text in report["advice"] if "OMP_NUM_THREADS=1" in text]
    assert "--threads" in advice


@pytest.mark.slow
def test_fewer_cores_are_respected(run: Run) -> None:
    one = min(os.sched_getaffinity(0))
    report = run("doctor", "--json", before=lambda: os.sched_setaffinity(0, {one})).done()
    assert report["environment"]["usable_cores"] == 1
    assert report["threads"] == 1
    assert any("one core" in text for text in report["advice"])


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_means_no_lock(run: Run) -> None:
    report = run("doctor", "--json", env={"XDG_RUNTIME_DIR": "/proc", "TMPDIR": "/proc"}).done()
    if report["timing_lock"] is None:
        assert any("XDG_RUNTIME_DIR" in text for text in report["advice"])
    else:
        assert not report["timing_lock"].startswith("/proc")


def test_the_noise_of_this_machine(run: Run, quiet_folder: Path) -> None:
    began = time.monotonic()
    report = run("doctor", "--noise", "--time-budget", "6s", "--json").done()
    noise = report["noise"]
    assert noise["time_budget_s"] == 6.0
    assert noise["threads"] == report["threads"]
    assert 0 < noise["call_s"] < noise["used_s"] < time.monotonic() - began
    assert noise["delta"]["epochs"] >= 1
    # The same model twice: on the busiest machine not a factor of three.
    assert 1 / 3 < noise["delta"]["value"] < 3
    if noise["delta"]["epochs"] >= 3:
        assert noise["delta"]["low"] <= noise["delta"]["value"] <= noise["delta"]["high"]
        assert noise["epoch_spread"] > 0
    assert list(quiet_folder.iterdir()) == []


def test_what_is_no_time_is_refused(run: Run) -> None:
    run("doctor", "--noise", "--time-budget", "soon", "--json").refused("soon")
    run("doctor", "--time-budget", "-3s").refused("-3s")
