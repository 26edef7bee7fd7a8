import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from compaudit import interruption
from compaudit.errors import RequestError


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_whose_exception_is_lost_still_ends_the_program(name: str, code: int) -> None:
    """Raised in a destructor, it is only printed; the next call of a worker raises it again."""
    program = f"""
import os, signal
from compaudit import interruption
from compaudit.cli import main as cli

class Grave:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        for _ in range(1000): pass

def command():
    grave = Grave()
    del grave
    print("lost", flush=True)
    interruption.raise_pending()
    return 0

cli._command = command
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert done.stdout == "lost\n"
    assert done.returncode == code


def test_an_interrupt_that_became_another_error_is_still_one() -> None:
    program = """
import os, signal
from compaudit.cli import main as cli

def command():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
    except KeyboardInterrupt:
        raise ImportError("as NumPy's import makes of it")

cli._command = command
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 130
    assert b"bug" not in done.stderr


def test_without_a_signal_nothing_is_pending() -> None:
    interruption.raise_pending()


def interrupted(program: str, name: str) -> subprocess.Popen[str]:
    """Run a program, and send it a signal when it says that it is ready."""
    # Under nohup a child would inherit that SIGHUP is ignored, and rightly ignore it.
    heard = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", heard + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, name))
    return process


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_native_code_that_hears_nothing_is_ended_too(tmp_path: Path, name: str, code: int) -> None:
    note = tmp_path / "note"
    stuck = f"""
import ctypes, sys
from pathlib import Path
from compaudit import interruption
from compaudit.cli import main as cli

LIBC = ctypes.CDLL(None)

def command():
    with interruption.temporary_folder("stuck-") as folder:
        (folder / "file").write_text("x")
        Path({str(note)!r}).write_text(str(folder))
        print("ready", flush=True)
        mutex = ctypes.create_string_buffer(256)
        LIBC.pthread_mutex_init(mutex, None)
        LIBC.pthread_mutex_lock(mutex)
        LIBC.pthread_mutex_lock(mutex)  # for ever: signals do not end it, no bytecode runs
    return 0

cli._command = command
cli.main()
"""
    process = interrupted(stuck, name)
    began = time.monotonic()
    process.communicate(timeout=20)
    assert process.returncode == code
    assert time.monotonic() - began < 5
    assert not Path(note.read_text()).exists()


def test_a_second_signal_does_not_cut_tidying_up_short(tmp_path: Path) -> None:
    note = tmp_path / "note"
    program = f"""
import os, signal, time
from pathlib import Path
from compaudit import interruption
from compaudit.cli import main as cli

def tidy():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    Path({str(note)!r}).write_text("tidy")

def command():
    with interruption.undone_by(tidy):
        print("ready", flush=True)
        time.sleep(60)
    return 0

cli._command = command
cli.main()
"""
    process = interrupted(program, "SIGTERM")
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert note.read_text() == "tidy"


def test_a_signal_while_something_is_made_waits_until_it_is_registered(tmp_path: Path) -> None:
    note = tmp_path / "note"
    program = f"""
import contextlib, os, signal
from pathlib import Path
from compaudit import interruption
from compaudit.cli import main as cli

def command():
    made = Path({str(note)!r})
    with contextlib.ExitStack() as stack:
        with interruption.held():
            made.mkdir()
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000): pass
            stack.enter_context(interruption.undone_by(made.rmdir))
        print("not reached", flush=True)
    return 0

cli._command = command
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stdout == b""
    assert not note.exists()


def test_a_hang_up_that_is_to_be_ignored_is_ignored() -> None:
    """As ``nohup`` asks for."""
    program = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from compaudit.cli import main as cli

def command():
    os.kill(os.getpid(), signal.SIGHUP)
    print("still here", flush=True)
    return 0

cli._command = command
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout) == (0, "still here\n")


class TestUndoing:
    def test_it_is_done_once_after_the_block(self) -> None:
        done: list[str] = []
        with interruption.undone_by(lambda: done.append("undone")):
            done.append("block")
        interruption.undo_everything()
        assert done == ["block", "undone"]

    def test_what_is_left_is_undone_latest_first_and_one_failure_stops_nothing(self) -> None:
        done: list[str] = []
        contexts = [
            interruption.undone_by(undo)
            for undo in (lambda: done.append("a"), lambda: 1 / 0, lambda: done.append("b"))
        ]
        for context in contexts:
            context.__enter__()
        interruption.undo_everything()
        assert done == ["b", "a"]

    def test_a_temporary_folder_is_gone_with_all_that_is_in_it(self) -> None:
        with interruption.temporary_folder("test-") as folder:
            (folder / "inside").mkdir()
            (folder / "inside" / "file").write_text("x")
            assert folder.name.startswith("test-")
        assert not folder.exists()

    def test_without_a_place_for_one_it_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        with pytest.raises(RequestError) as caught, interruption.temporary_folder("test-"):
            pass
        assert caught.value.code == "no-temporary-folder"
        assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_import_is_not_cut_short(tmp_path: Path, name: str, code: int) -> None:
    """An exception in the middle of one makes torch's extension abort (SIGABRT)."""
    (tmp_path / "slow_module.py").write_text(
        "import os, signal, sys\n"
        "try:\n"
        f"    os.kill(os.getpid(), signal.{name})\n"
        "    for _ in range(1000): pass\n"
        "except BaseException:\n"
        "    os.abort()\n"
        "print('imported', flush=True)\n"
    )
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from compaudit import interruption
from compaudit.cli import main as cli

def command():
    import slow_module
    interruption.raise_pending()
    return 0

cli._command = command
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout) == (code, "imported\n")
