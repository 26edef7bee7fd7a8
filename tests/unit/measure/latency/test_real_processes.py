"""Real workers with real models: while one is timed the other is stopped. No time is asserted."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from removal import needs

from compaudit.data.base import DataRequest, Feed, SyntheticInput
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.experiment import ModelName
from compaudit.models.base import RunSettings, Source
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

pytest.importorskip("onnxruntime")

SAMPLES = Path(__file__).parents[4] / "sample_models"


def subject(file: str) -> Subject:
    source = Source(file, "onnx", path=str(SAMPLES / file))
    data = DataRequest(
        synthetic=(SyntheticInput("image", "float32", (1, 8, 8), 0.0, 1.0),), samples=1
    )
    feeds = (Feed("image", "image", "float32", None),)
    return Subject(source, RunSettings(threads=1), data, feeds, 1, Limits(timeout_s=60.0))


SUBJECTS: Mapping[ModelName, Subject] = {
    "original": subject("digits.onnx"),
    "compressed": subject("digits_int8.onnx"),
}


@contextmanager
def watched(pids: Sequence[int]) -> Iterator[list[set[str]]]:
    """The states each process is seen in, looked at over and over while the block runs."""
    seen: list[set[str]] = [set() for _ in pids]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.001):
            for states, pid in zip(seen, pids, strict=True):
                states.add(psutil.Process(pid).status())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.fixture
def pids(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The workers as they are started, in the order of the models."""
    started: list[int] = []
    start = Worker.__init__

    def record(self: Worker, model: str, limits: Limits) -> None:
        start(self, model, limits)
        started.append(self.pid)

    monkeypatch.setattr(Worker, "__init__", record)
    return started


def test_while_one_is_timed_the_other_is_stopped(pids: list[int]) -> None:
    def check() -> None:
        pids.clear()
        with open_arms_of(SUBJECTS)(("original", "compressed"), False) as arms:
            for timed in (0, 1, 1, 0):
                idle = 1 - timed
                with watched([pids[idle]]) as states:
                    block = arms[timed].block(50, True)
                assert len(block.times_s) == 50
                assert states == [{psutil.STATUS_STOPPED}]
            assert all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids)

    needs(check, (Worker, "suspend", lambda self: None))


def test_every_epoch_has_processes_of_its_own_and_leaves_none(pids: list[int]) -> None:
    open_arms = open_arms_of(SUBJECTS)
    for second_first in (False, True):
        with open_arms(("original", "original"), second_first) as arms:
            assert [arm.name for arm in arms] == ["original", "original"]
            assert all(arm.cost.call_s > 0 for arm in arms)
    assert len(set(pids)) == 4
    assert not any(psutil.pid_exists(pid) for pid in pids)
