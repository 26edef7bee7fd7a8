"""Several audits at once: they time one after the other."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.cli.conftest import Run

COMMAND = (sys.executable, "-P", "-m", "compaudit")
LONGEST_S = 120.0
TIMED = ("compare", "original.onnx", "compressed.onnx", "--only", "latency", "--json")


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A runtime folder of our own, so that no other audit is in the way."""
    return tmp_path


@contextmanager
def somebody_timing(runtime: Path) -> Iterator[Path]:
    """Hold the lock as another program would."""
    path = runtime / f"compaudit-timing-{os.getuid()}.lock"
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield path


def start(
    files: Path, temporary: Path, runtime: Path, *options: str, program: Sequence[str] = COMMAND
) -> subprocess.Popen[bytes]:
    """Start an audit and go on."""
    return subprocess.Popen(
        [*program, *TIMED, *options],
        cwd=files,
        env=surroundings(temporary, runtime),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def surroundings(temporary: Path, runtime: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(temporary), "XDG_RUNTIME_DIR": str(runtime)}


def test_an_audit_waits_for_another_and_its_budget_does_not_run(
    files: Path, quiet_folder: Path, runtime: Path
) -> None:
    # The other takes longer than the budget and than --timeout of this one.
    with somebody_timing(runtime):
        waiting = start(files, quiet_folder, runtime, "--time-budget", "1500ms", "--timeout", "10s")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.communicate(timeout=15)
    stdout, stderr = waiting.communicate(timeout=LONGEST_S)
    report = json.loads(stdout)
    assert (waiting.returncode, stderr) == (0, b"")
    assert report["original"]["latency"]["calls"] > 0
    assert report["delta"]["epochs"] >= 1
    assert list(quiet_folder.iterdir()) == []


def test_without_the_lock_nobody_waits(run: Run, runtime: Path) -> None:
    with somebody_timing(runtime):
        report = run(
            *TIMED, "--time-budget", "1s", "--no-lock", env={"XDG_RUNTIME_DIR": str(runtime)}
        ).done()
    assert report["delta"]["value"] > 0
    assert report["config"]["lock"] is False


def test_what_is_not_timed_does_not_wait(run: Run, runtime: Path) -> None:
    with somebody_timing(runtime):
        for command in (
            ("compare", "original.onnx", "compressed.onnx", "--skip", "latency", "--json"),
            ("inspect", "original.onnx", "--json"),
            ("doctor", "--json"),
        ):
            run(*command, env={"XDG_RUNTIME_DIR": str(runtime)}).done()


def test_who_waits_says_so_and_can_be_interrupted(
    files: Path, quiet_folder: Path, runtime: Path
) -> None:
    """On a terminal, as the line that moves is shown on nothing else."""
    import pty
    import signal

    master, slave = pty.openpty()
    with somebody_timing(runtime):
        waiting = subprocess.Popen(
            [*COMMAND, *TIMED, "--time-budget", "1s"],
            cwd=files,
            env=surroundings(quiet_folder, runtime) | {"TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=slave,
        )
        os.close(slave)
        shown = b""
        until = time.monotonic() + 60
        while b"waiting for another audit" not in shown and time.monotonic() < until:
            shown += os.read(master, 4096)
        assert b"waiting for another audit that is timing" in shown
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(20) == 130
    os.close(master)
    assert list(quiet_folder.iterdir()) == []


def test_a_lock_that_cannot_be_had_is_a_note_and_no_obstacle(run: Run, runtime: Path) -> None:
    name = f"compaudit-timing-{os.getuid()}.lock"
    (runtime / name).symlink_to(runtime / "elsewhere")
    outcome = run(*TIMED, "--time-budget", "1s", env={"XDG_RUNTIME_DIR": str(runtime)})
    assert outcome.code == 0
    assert "note: no lock on" in outcome.stderr
    assert outcome.document["delta"]["value"] > 0
    assert not (runtime / "elsewhere").exists()


@pytest.mark.parametrize("audits", [2, 8])
def test_audits_at_once_all_end_well_and_leave_nothing(
    files: Path, quiet_folder: Path, runtime: Path, audits: int
) -> None:
    running = [start(files, quiet_folder, runtime, "--time-budget", "500ms") for _ in range(audits)]
    endings = [process.communicate(timeout=LONGEST_S) for process in running]
    assert [process.returncode for process in running] == [0] * audits
    for stdout, stderr in endings:
        assert stderr == b""
        assert json.loads(stdout)["original"]["latency"]["calls"] > 0
    assert list(runtime.iterdir()) == []
    assert list(quiet_folder.iterdir()) == []


SPY = """
import sys, time
from contextlib import contextmanager
from compaudit.machine import lock

real = lock.timing_lock

@contextmanager
def told(*arguments):
    with real(*arguments):
        began = time.monotonic()
        yield
        print(began, time.monotonic(), file=sys.stderr)

lock.timing_lock = told
from compaudit.__main__ import main
main()
"""


def test_their_timings_do_not_overlap(files: Path, quiet_folder: Path, runtime: Path) -> None:
    program = (sys.executable, "-P", "-c", SPY)
    options = ("--time-budget", "500ms")
    running = [start(files, quiet_folder, runtime, *options, program=program) for _ in range(4)]
    spans = sorted(
        tuple(map(float, process.communicate(timeout=LONGEST_S)[1].split())) for process in running
    )
    assert [len(span) for span in spans] == [2] * 4
    for (_, end), (begin, _) in itertools.pairwise(spans):
        assert end <= begin
