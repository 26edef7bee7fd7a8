"""A process that was started ahead is the next worker's, and never outlives its use."""

from __future__ import annotations

import psutil
import pytest

from compaudit.workers import spare
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
from compaudit.workers.workspace import Workspace


def pid_and_modules(workspace: Workspace) -> tuple[int, list[str]]:
    import os
    import sys

    return os.getpid(), list(sys.modules)


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_the_next_worker_takes_it_with_what_it_imported() -> None:
    with spare.started_ahead(["colorsys"]):
        (waiting,) = spare._waiting
        with Worker("m", Limits()) as worker:
            pid, modules = worker.call("ask", pid_and_modules)
            assert pid == waiting.pid
            assert "colorsys" in modules
            with Worker("n", Limits()) as other:
                assert other.call("ask", pid_and_modules)[0] != pid
        assert not psutil.pid_exists(pid)


def test_one_that_nobody_takes_is_gone_afterwards() -> None:
    with spare.started_ahead(["colorsys"]):
        (waiting,) = spare._waiting
        assert waiting.pid in children()
    assert waiting.pid not in children()
    assert spare.take(None) is None


def test_a_worker_with_a_folder_of_its_own_starts_its_own(tmp_path) -> None:
    with spare.started_ahead([]):
        assert spare.take(str(tmp_path)) is None
        assert len(spare._waiting) == 1


def interrupted() -> None:
    with spare.started_ahead([]):
        raise KeyboardInterrupt


def test_it_is_gone_after_an_error_too() -> None:
    before = children()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not spare._waiting
    assert len(children()) <= len(before) + 1  # the reaper of workers stays
    assert spare.take(None) is None


def test_where_none_can_be_started_the_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(spare, "ModelProcess", refuse)
    with spare.started_ahead([]):
        assert spare.take(None) is None
