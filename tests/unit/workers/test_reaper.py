"""What kills the workers where their parent could not: without PDEATHSIG, as on macOS."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from compaudit.workers import reaper

PARENT = """
import subprocess, sys, time
from compaudit.workers import reaper

children = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(3)]
for child in children:
    reaper.watch(child.pid)
reaper.forget(children[0].pid)
print(*(child.pid for child in children), reaper._reaper.pid, flush=True)
time.sleep(60)
"""


def wait_until(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def parent() -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": root},
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda one: one.name)
def test_it_kills_what_is_watched_and_ends(
    parent: subprocess.Popen[str], number: signal.Signals
) -> None:
    with parent:
        assert parent.stdout is not None
        forgotten, *watched, itself = map(int, parent.stdout.readline().split())
        os.kill(watched[1], signal.SIGSTOP)
        os.killpg(parent.pid, number)  # the reaper has a group of its own
        parent.wait(20)
        assert wait_until(lambda: all(map(is_gone, watched)))
        assert wait_until(lambda: is_gone(itself))
        assert not is_gone(forgotten)
        os.kill(forgotten, signal.SIGKILL)


def test_a_new_one_takes_over_what_a_killed_one_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "_reaper", None)
    monkeypatch.setattr(reaper, "_groups", set())
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        reaper.watch(child.pid)
        first = reaper._reaper
        assert first is not None
        first.kill()
        first.wait()
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
            reaper.watch(other.pid)
            second = reaper._reaper
            assert second is not None
            assert second.pid != first.pid
            assert second.stdin is not None
            second.stdin.close()  # as the end of this process would
            assert child.wait(20) == -signal.SIGKILL
            assert other.wait(20) == -signal.SIGKILL
            second.wait(20)
