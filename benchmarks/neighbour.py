"""Other work on this machine while something is timed: what `calibrate` and `clock` load it with.

A load is one process beside the audit that keeps one core busy in bursts of 0.05 to 0.6 s with
pauses of up to 0.15 s, as another job of a shared machine does.
"""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

__all__ = ["LOADS", "beside"]

LOADS = {
    "quiet": "nothing",
    "busy core": "bursts all the time",
    "load from halfway": "bursts from the middle of the audit on",
    "load on one arm": "from the middle on, and only while the second worker runs and the first "
    "is suspended",
}
_POLL_S = 0.001
_LOOK_FOR_WORKERS_S = 0.1
_A_WORKER = "from compaudit.workers import child"


@contextmanager
def beside(load: str, budget_s: float) -> Iterator[None]:
    """One of `LOADS` for as long as the block takes, which is expected to be `budget_s` seconds."""
    if load == "quiet":
        yield
        return
    start_s = 0.0 if load == "busy core" else budget_s / 2
    neighbour = subprocess.Popen([sys.executable, __file__, load, f"{start_s}"])
    try:
        yield
    finally:
        neighbour.kill()
        neighbour.wait()


def main(load: str, start_s: str) -> None:
    """Work from `start_s` seconds on, until whoever started this is gone and cannot stop it."""
    parent = os.getppid()

    def goes_on() -> bool:
        return os.getppid() == parent

    until = time.monotonic() + float(start_s)
    while time.monotonic() < until and goes_on():
        time.sleep(0.05)
    if load == "load on one arm":
        _burn_on_one_arm(parent, goes_on)
    else:
        _burn(goes_on)


def _burn(goes_on: Callable[[], bool]) -> None:
    while goes_on():
        _spin(random.uniform(0.05, 0.6))
        time.sleep(random.uniform(0.0, 0.15))


def _burn_on_one_arm(parent: int, goes_on: Callable[[], bool]) -> None:
    """Compaudit suspends the worker that is not timed, and so tells everybody which one is.

    Of an epoch's two workers the original's is started first. The sentinel's second worker is
    another original: it is burdened just as well, as nothing tells the two apart from outside.
    """
    workers: list[psutil.Process] = []
    looked = 0.0
    while goes_on():
        if time.monotonic() - looked > _LOOK_FOR_WORKERS_S:
            workers, looked = _workers_of(parent), time.monotonic()
        if len(workers) == 2 and _is_suspended(workers[0]) and not _is_suspended(workers[1]):
            _spin(_POLL_S)
        else:
            time.sleep(_POLL_S)


def _workers_of(parent: int) -> list[psutil.Process]:
    """Compaudit's workers, the oldest first."""
    found = []
    for child in psutil.Process(parent).children():
        try:
            if any(_A_WORKER in word for word in child.cmdline()):
                found.append((child.create_time(), child.pid, child))
        except psutil.Error:
            continue  # it has just ended
    return [child for _, _, child in sorted(found)]


def _is_suspended(worker: psutil.Process) -> bool:
    try:
        return worker.status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return True


def _spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        math.sqrt(2.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
