"""Workers as real processes: calls, errors, deaths, limits, and what is left of them."""

import gc
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from selectors import SelectorKey

import numpy as np
import psutil
import pytest
import worker_functions as does

import compaudit
from compaudit.errors import InternalError, MeasurementError, RequestError
from compaudit.workers.limits import Limits, anonymous_memory, outgrown
from compaudit.workers.worker import Worker

# Longer than any of these calls takes on a busy machine; nothing here waits for it.
PATIENT = Limits(timeout_s=120.0)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def is_gone(pid: int) -> bool:
    """Whether the process ended; one that nobody waited for yet has ended too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class TestCalls:
    def test_structs_arrive_and_return(self, worker: Worker) -> None:
        moved = worker.call("move", does.move, does.Point(1.0, 2.0, ("a",)), 0.5)
        assert moved == does.Point(1.5, 2.5, ("a", "moved"))

    @pytest.mark.parametrize(
        "array",
        [
            np.array(3.5, np.float32),
            np.zeros((0, 3), np.float32),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.arange(4, dtype=">f4"),
            np.array([[True], [False]]),
            np.array([1.5, np.nan], np.float16),
        ],
        ids=["0-d", "empty", "Fortran", "big-endian", "bool", "float16"],
    )
    def test_arrays_arrive_and_return(self, worker: Worker, array: np.ndarray) -> None:
        received = worker.call("echo", does.echo_array, array)
        np.testing.assert_array_equal(received, array, strict=True)
        assert received.dtype.byteorder == array.dtype.byteorder

    def test_nested_dictionaries_arrive_and_return(self, worker: Worker) -> None:
        value = {"a": {"b": [1, 2.5, None, True, "é"], "c": {}}, "d": {"e": np.arange(3)}}
        received = worker.call("echo", does.echo, value)
        assert received["a"] == value["a"]
        assert received["d"]["e"].tolist() == [0, 1, 2]

    def test_nothing_is_a_result_too(self, worker: Worker) -> None:
        assert worker.call("nothing", does.nothing) is None

    def test_the_workspace_is_kept_between_calls(self, worker: Worker) -> None:
        worker.call("remember", does.remember, 1)
        assert worker.call("remember", does.remember, 2) == 1

    def test_large_arrays_go_both_ways(self, worker: Worker) -> None:
        array = np.arange(50_000_000, dtype=np.uint8)
        received = worker.call("echo", does.echo_array, array)
        assert received.nbytes == 50_000_000
        assert np.array_equal(received, array)

    def test_two_workers_with_large_replies_do_not_wait_for_each_other(
        self, worker: Worker
    ) -> None:
        size = 10_000_000
        array = np.ones(size, np.uint8)
        with Worker("b.onnx", PATIENT) as other:
            first = worker.begin("echo", does.echo_array, array)
            second = other.begin("echo", does.echo_array, array)
            assert second().nbytes == size  # neither in the order they were begun
            assert first().nbytes == size

    def test_a_reply_nobody_waited_for_is_not_taken_for_the_next(self, worker: Worker) -> None:
        worker.begin("echo", does.ones, 1_000_000)
        assert worker.call("echo", does.echo, "the right one") == "the right one"


class TestErrors:
    def test_a_refusal_keeps_its_hint_and_code_and_learns_model_and_stage(
        self, worker: Worker
    ) -> None:
        with pytest.raises(RequestError) as caught:
            worker.call("load", does.refuse)
        error = caught.value
        assert error.message == "a.onnx: the input is odd"
        assert (error.hint, error.code) == ("make it even", "odd-input")
        assert (error.model, error.stage) == ("a.onnx", "load")

    def test_a_failure_says_what_the_model_was_doing(self, worker: Worker) -> None:
        with pytest.raises(MeasurementError) as caught:
            worker.call("evaluate", does.give_up)
        error = caught.value
        assert error.message == "a.onnx produced nothing (while being evaluated)"
        assert (error.hint, error.code) == ("try again", "nothing-usable")
        assert (error.model, error.stage) == ("a.onnx", "evaluate")

    def test_a_bug_comes_with_its_traceback(self, worker: Worker) -> None:
        with pytest.raises(InternalError) as caught:
            worker.call("load", does.divide_by_zero)
        assert "ZeroDivisionError" in caught.value.message
        assert "in divide_by_zero" in caught.value.message
        assert (caught.value.model, caught.value.stage) == ("a.onnx", "load")

    def test_python_out_of_memory_is_the_models_failure(self, worker: Worker) -> None:
        with pytest.raises(MeasurementError) as caught:
            worker.call("load", does.out_of_memory)
        assert caught.value.code == "out-of-memory"
        assert caught.value.hint

    def test_messages_that_are_not_unicode_still_arrive(self, worker: Worker) -> None:
        with pytest.raises(RequestError) as caught:
            worker.call("load", does.refuse_strangely)
        assert caught.value.code == "strange-name"
        assert caught.value.message == "a.onnx: cannot open \\udcff.onnx"

    def test_a_name_that_is_not_unicode_is_refused(self, worker: Worker) -> None:
        with pytest.raises(RequestError) as caught:
            worker.call("load", does.echo, "/tmp/\udcff.onnx")
        assert caught.value.code == "name-not-utf8"

    @pytest.mark.parametrize(
        "function",
        [
            does.wrong_type,
            does.wrong_struct,
            does.not_an_array,
            does.unsendable,
            does.too_large_a_number,
            does.unsendable_text,
        ],
    )
    def test_a_reply_of_the_wrong_type_is_a_bug(
        self, worker: Worker, function: Callable[..., object]
    ) -> None:
        with pytest.raises(InternalError) as caught:
            worker.call("load", function)
        assert caught.value.model == "a.onnx"

    def test_after_every_error_the_worker_lives(self, worker: Worker) -> None:
        assert worker.call("echo", does.echo, 1) == 1


class TestDeath:
    @pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT"])
    def test_a_crash_names_signal_model_and_stage(self, name: str) -> None:
        with Worker("b.onnx", PATIENT) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("warm-up", does.crash, int(signal.Signals[name]))
        error = caught.value
        assert error.message == f"b.onnx crashed with {name} while warming up"
        assert (error.code, error.model, error.stage) == ("crashed", "b.onnx", "warm-up")
        assert error.hint

    def test_a_signal_without_a_name_has_a_number(self) -> None:
        number = int(signal.SIGRTMIN) + 3
        with Worker("b.onnx", PATIENT) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("load", does.crash, number)
        assert f"crashed with signal {number}" in caught.value.message

    def test_killed_by_the_system_suggests_memory(self) -> None:
        with Worker("b.onnx", PATIENT) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("load", does.crash, int(signal.SIGKILL))
        assert "SIGKILL" in caught.value.message
        assert "memory" in caught.value.hint

    @pytest.mark.parametrize(
        ("function", "arguments", "status"), [(does.leave, (3,), 3), (does.exit_politely, (), 5)]
    )
    def test_ending_the_process_names_the_status(
        self, function: Callable[..., None], arguments: tuple[int, ...], status: int
    ) -> None:
        with Worker("b.onnx", PATIENT) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("load", function, *arguments)
        message = f"b.onnx ended its process with exit status {status} while being loaded"
        assert caught.value.message == message

    def test_closing_the_pipe_is_no_crash(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            with pytest.raises(MeasurementError) as caught:
                worker.call("load", does.close_pipe)
            assert is_gone(worker.pid)
        assert caught.value.message == "b.onnx closed its connection while being loaded"

    def test_a_copy_left_behind_does_not_hide_the_crash(self) -> None:
        # The copy lives for a minute.
        limits = Limits(timeout_s=20.0)
        with Worker("b.onnx", limits) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("load", does.fork_and_crash)
        assert "crashed with SIGSEGV" in caught.value.message

    def test_whatever_follows_is_refused_too(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            for _ in range(2):
                with pytest.raises(MeasurementError) as caught:
                    worker.call("load", does.leave, 3)
                assert "exit status 3" in caught.value.message

    def test_a_death_between_calls_is_found_by_the_next(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            worker.call("load", does.nothing)
            os.kill(worker.pid, signal.SIGTERM)
            assert wait_until(lambda: is_gone(worker.pid))
            with pytest.raises(MeasurementError) as caught:
                worker.call("latency", does.echo, np.ones(1_000_000))
        assert caught.value.message == "b.onnx crashed with SIGTERM while being timed"

    def test_the_last_words_are_printable_and_bounded(self) -> None:
        text = "first\n\x1b[31m::error::\x07" + "boo\0" * 1000 + "\x9f\u202e end\n"
        with Worker("b.onnx", PATIENT) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("load", does.say_and_crash, text)
        hint = caught.value.hint
        assert hint.startswith("its last words: ")
        assert "boo" in hint
        assert hint.isprintable()
        assert len(hint) <= 320

    @pytest.mark.parametrize(
        "nonsense", [b"\xff" * 8, b"\1\0\0\0\0\0\0\0\xc1", b"\3\0\0\0\0\0\0\0\x93\x01\x02"]
    )
    def test_bytes_that_are_no_reply_are_a_bug(self, nonsense: bytes) -> None:
        with Worker("b.onnx", PATIENT) as worker, pytest.raises(InternalError):
            worker.call("load", does.write_nonsense, nonsense)


class TestTimeout:
    @pytest.mark.parametrize("function", [does.native_hang, does.crash])
    def test_a_hang_is_killed_soon_and_named(self, function: Callable[..., None]) -> None:
        # SIGSTOP: a worker that stopped itself answers as little as one that loops.
        arguments = () if function is does.native_hang else (int(signal.SIGSTOP),)
        with Worker("b.onnx", Limits(timeout_s=1.0)) as worker:
            began = time.monotonic()
            with pytest.raises(MeasurementError) as caught:
                worker.call("load", function, *arguments)
            assert 1.0 <= time.monotonic() - began < 2.0
            assert is_gone(worker.pid)
        error = caught.value
        assert "b.onnx did not answer within 1" in error.message
        assert "while being loaded" in error.message
        assert (error.code, error.model, error.stage) == ("timeout", "b.onnx", "load")

    def test_a_worker_that_does_not_listen_is_killed_too(self) -> None:
        with Worker("b.onnx", Limits(timeout_s=1.0)) as worker:
            os.kill(worker.pid, signal.SIGSTOP)
            with pytest.raises(MeasurementError) as caught:
                worker.call("load", does.echo, np.ones(1_000_000))
            assert is_gone(worker.pid)
        assert caught.value.code == "timeout"

    def test_a_reply_that_trickles_has_no_longer(self) -> None:
        # Bytes arrive all the time; the whole of the reply would take hours.
        with Worker("b.onnx", Limits(timeout_s=1.0)) as worker:
            began = time.monotonic()
            with pytest.raises(MeasurementError) as caught:
                worker.call("evaluate", does.trickle)
            assert 1.0 <= time.monotonic() - began < 3.0
            assert is_gone(worker.pid)
        assert caught.value.code == "timeout"

    def test_bytes_that_are_always_there_do_not_put_the_deadline_off(self) -> None:
        class AlwaysReady(selectors.PollSelector):
            def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
                return [(SelectorKey(0, 0, 0, None), selectors.EVENT_READ)]

        with Worker("b.onnx", Limits(timeout_s=60.0)) as worker:
            worker.begin("evaluate", does.sleep, 60.0)
            worker._wait(AlwaysReady())
            worker._deadline = time.monotonic()
            with pytest.raises(MeasurementError) as caught:
                worker._wait(AlwaysReady())
        assert caught.value.code == "timeout"

    def test_a_reply_that_waited_for_us_is_not_late(self) -> None:
        # It was there in time; we listened to the other for longer than the limit.
        size = 5_000_000
        with Worker("a.onnx", PATIENT) as slow, Worker("b.onnx", Limits(timeout_s=1.5)) as quick:
            finish = slow.begin("evaluate", does.sleep, 2.5)
            early = quick.begin("evaluate", does.echo_array, np.ones(size, np.uint8))
            assert finish() == 2.5
            assert early().nbytes == size

    def test_each_call_has_the_whole_time(self) -> None:
        with Worker("b.onnx", Limits(timeout_s=3.0)) as worker:
            for _ in range(2):
                assert worker.call("load", does.sleep, 1.6) == 1.6


class TestMemory:
    def test_a_worker_that_takes_too_much_is_killed(self, tmp_path: Path) -> None:
        limits = Limits(timeout_s=120.0, memory_bytes=300_000_000)
        with Worker("b.onnx", limits) as worker:
            with pytest.raises(MeasurementError) as caught:
                worker.call("evaluate", does.take_memory, 400_000_000, str(tmp_path / "a"))
            assert is_gone(worker.pid)
        error = caught.value
        assert error.code == "out-of-memory"
        assert "above the limit of 300 MB" in error.message
        assert "while being evaluated" in error.message
        assert "--memory-limit" in error.hint

    def test_one_that_nobody_waits_for_yet_is_watched_too(self, tmp_path: Path) -> None:
        limits = Limits(timeout_s=120.0, memory_bytes=300_000_000)
        with Worker("b.onnx", PATIENT) as slow, Worker("c.onnx", limits) as hungry:
            finish = slow.begin("load", does.sleep_while, hungry.pid)
            starve = hungry.begin("evaluate", does.take_memory, 400_000_000, str(tmp_path / "a"))
            # Waiting for the one, which goes on until the other is gone.
            assert finish() == hungry.pid
            with pytest.raises(MeasurementError) as caught:
                starve()
        assert (caught.value.code, caught.value.model) == ("out-of-memory", "c.onnx")
        assert "while being evaluated" in caught.value.message

    @linux_only
    def test_mapped_files_do_not_count(self, tmp_path: Path) -> None:
        path = tmp_path / "weights"
        with path.open("wb") as stream:
            stream.truncate(400_000_000)
        limits = Limits(timeout_s=120.0, memory_bytes=300_000_000)
        with Worker("b.onnx", limits) as worker:
            assert worker.call("load", does.map_file, str(path)) == 0

    def test_children_count(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            worker.call("load", does.start_child)
            alone = psutil.Process(worker.pid).memory_info()
            assert anonymous_memory(psutil.Process(worker.pid)) > alone.rss - alone.shared

    def test_a_child_that_takes_too_much_takes_the_worker_with_it(self, tmp_path: Path) -> None:
        limits = Limits(timeout_s=120.0, memory_bytes=300_000_000)
        path = tmp_path / "child"
        with Worker("b.onnx", limits) as worker:
            with pytest.raises(MeasurementError) as caught:
                worker.call("load", does.wait_for_hungry_child, 400_000_000, str(path))
            assert is_gone(worker.pid)
            assert wait_until(lambda: is_gone(int(path.read_text())))
        assert caught.value.code == "out-of-memory"

    @linux_only
    def test_what_forks_share_counts_once(self) -> None:
        limits = Limits(timeout_s=120.0, memory_bytes=700_000_000)
        with Worker("b.onnx", limits) as worker:
            assert worker.call("load", does.share_with_children, 300_000_000, 3) == 1
            # Thrice 300 MB for a first look.
            assert anonymous_memory(psutil.Process(worker.pid)) > 900_000_000
            assert outgrown(psutil.Process(worker.pid), 700_000_000) is None

    @linux_only
    def test_shared_memory_counts(self) -> None:
        limits = Limits(timeout_s=120.0, memory_bytes=300_000_000)
        with Worker("b.onnx", limits) as worker, pytest.raises(MeasurementError) as caught:
            worker.call("evaluate", does.take_shared_memory, 400_000_000)
        assert caught.value.code == "out-of-memory"

    def test_a_process_that_is_gone_uses_nothing(self) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            handle = psutil.Process(process.pid)
            process.wait()
            assert anonymous_memory(handle) == 0

    def test_the_default_is_three_quarters_of_what_there_is(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert Limits(memory_bytes=5).memory == 5
        monkeypatch.setattr("compaudit.workers.limits.usable_memory", lambda: 1_000)
        assert Limits().memory == 750


def cpu_seconds(worker: Worker) -> float:
    times = psutil.Process(worker.pid).cpu_times()
    return float(times.user + times.system)


class TestSuspension:
    def test_it_stops_every_thread_until_the_next_call(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            worker.call("load", does.start_counting)
            before = cpu_seconds(worker)
            assert wait_until(lambda: cpu_seconds(worker) > before + 0.05)
            worker.suspend()
            assert psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED
            stopped = cpu_seconds(worker)
            time.sleep(0.3)
            assert cpu_seconds(worker) == stopped
            assert worker.call("echo", does.echo, 1) == 1
            assert wait_until(lambda: cpu_seconds(worker) > stopped + 0.05)

    def test_twice_is_as_good_as_once(self, worker: Worker) -> None:
        for _ in range(2):
            worker.suspend()
        for _ in range(2):
            worker.resume()
        assert worker.call("echo", does.echo, 1) == 1

    def test_a_suspended_worker_is_killed_on_close(self) -> None:
        worker = Worker("b.onnx", PATIENT)
        worker.call("load", does.nothing)
        worker.suspend()
        worker.close()
        assert is_gone(worker.pid)

    def test_a_dead_worker_can_be_suspended_and_resumed(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            os.kill(worker.pid, signal.SIGKILL)
            worker.suspend()
            worker.resume()


class TestProcess:
    @linux_only
    def test_it_has_no_input(self) -> None:
        ours, (read, write) = os.dup(0), os.pipe()
        os.write(write, b"typed by the user")
        os.close(write)
        os.dup2(read, 0)
        try:
            with Worker("b.onnx", PATIENT) as worker:
                about = worker.call("look", does.about_process)
        finally:
            os.dup2(ours, 0)
            os.close(ours)
            os.close(read)
        assert (about["stdin"], about["stdin_file"]) == ("", "/dev/null")

    @linux_only
    def test_it_has_its_own_session_and_limits(self, worker: Worker) -> None:
        about = worker.call("look", does.about_process)
        assert about["session"] == about["pid"] == worker.pid
        assert about["core"] == 0
        assert 0 < about["file_size"] <= 4 * 2**30
        assert about["interrupt_ignored"]

    def test_it_runs_the_package_that_its_parent_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "compaudit").mkdir()
        (tmp_path / "compaudit" / "__init__.py").write_text("raise SystemExit('another one')")
        paths = [str(tmp_path), os.environ["PYTHONPATH"]]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        with Worker("b.onnx", PATIENT) as worker:
            assert worker.call("import", does.import_module, "compaudit") == compaudit.__file__

    def test_a_file_in_the_current_folder_stands_in_for_no_module(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("numpy", "psutil", "onnxruntime", "json"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('run by mistake')")
        monkeypatch.chdir(tmp_path)
        with Worker("b.onnx", PATIENT) as worker:
            assert worker.call("import", does.import_module, "json").endswith("json/__init__.py")
            with pytest.raises(InternalError, match="no_such_module"):
                worker.call("import", does.import_module, "no_such_module")

    def test_nothing_it_prints_reaches_us(
        self, worker: Worker, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert worker.call("shout", does.shout) == 1
        assert capfd.readouterr() == ("", "")

    def test_what_it_started_dies_with_it(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            child = worker.call("load", does.start_child)
            assert not is_gone(child)
        assert wait_until(lambda: is_gone(child))

    def test_what_it_started_in_another_session_dies_with_it(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            child = worker.call("load", does.start_daemon)
            assert not is_gone(child)
        assert wait_until(lambda: is_gone(child))

    def test_its_temporary_files_are_where_they_will_be_removed(self, tmp_path: Path) -> None:
        limits = Limits(timeout_s=120.0, scratch=str(tmp_path))
        with Worker("b.onnx", limits) as worker:
            path = Path(worker.call("load", does.temporary_file))
        assert path.parent == tmp_path

    def test_one_of_another_thread_outlives_that_thread(self) -> None:
        # PDEATHSIG is sent at the end of a thread.
        started: list[Worker] = []

        def start() -> None:
            started.append(Worker("b.onnx", PATIENT))
            started[0].call("load", does.nothing)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        with started[0] as worker:
            assert worker.call("echo", does.echo, 1) == 1
            time.sleep(0.2)
            assert worker.call("echo", does.echo, 2) == 2

    def test_what_it_started_dies_when_it_crashes(self) -> None:
        with Worker("b.onnx", PATIENT) as worker:
            child = worker.call("load", does.start_child)
            with pytest.raises(MeasurementError):
                worker.call("load", does.crash, int(signal.SIGSEGV))
            assert wait_until(lambda: is_gone(child))

    @linux_only
    def test_fifty_workers_leave_no_descriptor_and_no_process_behind(self) -> None:
        gc.collect()
        before = psutil.Process().num_fds()
        pids = []
        for _ in range(50):
            with Worker("b.onnx", PATIENT) as worker:
                pids.append(worker.pid)
        assert psutil.Process().num_fds() == before
        assert all(map(is_gone, pids))
        assert not [child for child in psutil.Process().children() if child.pid in pids]

    @linux_only
    def test_a_worker_that_cannot_start_leaves_nothing_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = psutil.Process().num_fds()
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(FileNotFoundError):
            Worker("b.onnx", PATIENT)
        assert psutil.Process().num_fds() == before

    def test_closing_twice_is_harmless(self) -> None:
        worker = Worker("b.onnx", PATIENT)
        worker.close()
        worker.close()


PARENT = """
import signal
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker
import worker_functions as does

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limits = Limits(timeout_s=60)
    with Worker("a.onnx", limits) as one, Worker("b.onnx", limits) as two:
        for worker in (one, two):
            worker.call("load", does.nothing)
        child = two.call("load", does.start_child)
        two.suspend()
        print(one.pid, two.pid, child, flush=True)
        one.call("load", does.sleep, 60.0)

if __name__ == "__main__":
    main()
"""


class TestParent:
    """What becomes of workers, one at work and one suspended with a child, when theirs ends."""

    @pytest.fixture
    def parent(self, tmp_path: Path) -> subprocess.Popen[str]:
        script = tmp_path / "parent.py"
        script.write_text(PARENT)
        return subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": self.path()},
            start_new_session=True,
        )

    @staticmethod
    def path() -> str:
        return os.pathsep.join([str(Path(__file__).parents[3]), os.environ["PYTHONPATH"]])

    @pytest.mark.parametrize(
        "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
    )
    def test_they_die_with_it(self, parent: subprocess.Popen[str], number: signal.Signals) -> None:
        with parent:
            assert parent.stdout is not None
            pids = [int(text) for text in parent.stdout.readline().split()]
            assert len(pids) == 3
            assert not any(map(is_gone, pids))
            # As Ctrl-C does in a terminal: to the whole group of the parent.
            os.killpg(parent.pid, number)
            parent.wait(20)
            assert all(wait_until(lambda pid=pid: is_gone(pid)) for pid in pids)  # type: ignore[misc]
            if number == signal.SIGINT:
                assert parent.stderr is not None
                assert parent.stderr.read().strip().endswith("KeyboardInterrupt")
