"""The lock among processes that really hold it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compaudit.machine import lock
from compaudit.machine.lock import can_lock, lock_path, timing_lock

# Says when it waits, holds and lets go; what it writes while it holds shows who overlaps.
HOLDER = """
import sys, time
from pathlib import Path
from compaudit.machine.lock import timing_lock

path, journal, name, seconds = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])

def say(what):
    with open(journal, "a") as stream:
        stream.write(f"{what} {name}\\n")

with timing_lock(lambda: say("wait"), lambda reason: say(f"failed {reason}"), path):
    say("begin")
    time.sleep(seconds)
    say("end")
"""


def hold(path: Path, journal: Path, name: str, seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", HOLDER, str(path), str(journal), name, str(seconds)]
    return subprocess.Popen(command)


def lines(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def wait_for(journal: Path, line: str) -> None:
    until = time.monotonic() + 60
    while line not in lines(journal):
        assert time.monotonic() < until, lines(journal)
        time.sleep(0.01)


def never(*_: object) -> None:
    pytest.fail("the lock was free")


class TestHolding:
    def test_alone_it_waits_for_nobody_and_leaves_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with timing_lock(never, never, path):
            assert path.stat().st_mode & 0o777 == 0o600
        assert list(tmp_path.iterdir()) == []

    def test_the_second_waits_until_the_first_is_done(self, tmp_path: Path) -> None:
        path, journal = tmp_path / "lock", tmp_path / "journal"
        with timing_lock(never, never, path):
            other = hold(path, journal, "b", 0.0)
            wait_for(journal, "wait b")
            assert lines(journal) == ["wait b"]
        assert other.wait(60) == 0
        assert lines(journal) == ["wait b", "begin b", "end b"]
        assert not path.exists()

    def test_of_eight_one_holds_it_at_a_time(self, tmp_path: Path) -> None:
        path, journal = tmp_path / "lock", tmp_path / "journal"
        names = [str(number) for number in range(8)]
        holders = [hold(path, journal, name, 0.1) for name in names]
        assert [holder.wait(120) for holder in holders] == [0] * 8
        held = [line.split() for line in lines(journal) if not line.startswith("wait")]
        begins, ends = held[0::2], held[1::2]
        assert [what for what, _ in begins] == ["begin"] * 8
        assert [what for what, _ in ends] == ["end"] * 8
        assert [name for _, name in begins] == [name for _, name in ends]
        assert sorted(name for _, name in begins) == names
        assert not path.exists()

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_it_ends_with_who_holds_it(self, tmp_path: Path, number: signal.Signals) -> None:
        path, journal = tmp_path / "lock", tmp_path / "journal"
        other = hold(path, journal, "b", 60.0)
        wait_for(journal, "begin b")
        waited: list[bool] = []

        def kill_it() -> None:
            waited.append(True)
            other.send_signal(number)
            other.wait(20)

        with timing_lock(kill_it, never, path):
            assert waited == [True]

    def test_two_threads_of_one_process_exclude_each_other_too(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with timing_lock(never, never, path):
            descriptor = lock._open(path)
            assert not lock._is_locked(descriptor)
            os.close(descriptor)

    def test_what_a_child_inherits_does_not_hold_it(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with timing_lock(never, never, path):
            child = subprocess.Popen(["sleep", "60"], close_fds=False)
        with timing_lock(never, never, path):
            pass
        child.kill()
        child.wait()


class TestFiles:
    def test_a_file_that_was_left_behind_locks_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        path.write_text("")
        with timing_lock(never, never, path):
            pass

    def test_a_lock_on_a_file_that_was_taken_away_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two would hold it otherwise: one the file that was, another the one that is."""
        path, opened = tmp_path / "lock", []
        really_open = lock._open

        def open_as_it_is_taken_away(path: Path) -> int:
            opened.append(really_open(path))
            if len(opened) == 1:
                path.unlink()
            return opened[-1]

        monkeypatch.setattr(lock, "_open", open_as_it_is_taken_away)
        with timing_lock(never, never, path):
            assert len(opened) == 2
            another = really_open(path)
            assert not lock._is_locked(another)
            os.close(another)

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        target = tmp_path / "precious"
        target.write_text("precious")
        path = tmp_path / "lock"
        path.symlink_to(target)
        self.refused(path)
        assert target.read_text() == "precious"
        assert path.is_symlink()

    def test_a_second_name_of_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("precious")
        (tmp_path / "lock").hardlink_to(tmp_path / "precious")
        self.refused(tmp_path / "lock")

    def test_a_pipe_is_refused_at_once(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "lock")
        self.refused(tmp_path / "lock")

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "lock").mkdir()
        self.refused(tmp_path / "lock")

    def test_a_folder_that_is_not_there_is_a_reason(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "nowhere" / "lock")

    def test_a_file_of_somebody_else_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "lock").write_text("")
        monkeypatch.setattr(lock.os, "getuid", lambda: 12345)
        self.refused(tmp_path / "lock")

    def refused(self, path: Path) -> None:
        reasons: list[str] = []
        with timing_lock(never, reasons.append, path):
            pass  # the work is done all the same
        assert len(reasons) == 1
        assert str(path) in reasons[0]
        assert not can_lock(path)

    def test_whether_it_can_be_had_leaves_no_file(self, tmp_path: Path) -> None:
        assert can_lock(tmp_path / "lock")
        assert list(tmp_path.iterdir()) == []

    def test_one_that_is_held_can_be_had(self, tmp_path: Path) -> None:
        path = tmp_path / "lock"
        with timing_lock(never, never, path):
            assert can_lock(path)
            assert path.exists()
            assert not can_lock(tmp_path / "nowhere" / "lock")


class TestPlace:
    def test_the_users_runtime_folder_comes_first(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        assert lock_path().parent == tmp_path
        assert str(os.getuid()) in lock_path().name

    def test_one_that_is_not_there_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
        monkeypatch.setattr(lock.tempfile, "gettempdir", lambda: str(tmp_path))
        if not Path(f"/run/user/{os.getuid()}").is_dir():
            assert lock_path().parent == tmp_path
