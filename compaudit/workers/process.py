"""The process itself: started with two pipes and no other file of ours, suspended, and killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil

from compaudit import interruption
from compaudit.workers import reaper
from compaudit.workers.shared import make_places

__all__ = ["ModelProcess"]

_BURIAL_S = 1.0
"""How long to wait for the end of a process that was killed; a driver may hold it up."""
_STOP_S = 2.0
# A third faster for large outputs than the usual 64 KiB.
_PIPE_BYTES = 2**20
# The very package that the parent runs, wherever else another compaudit is installed; everything
# else is found as usual.
_START = (
    "import sys; root = sys.argv[1]; sys.path.insert(0, root); import compaudit; "
    "sys.path.remove(root); sys.path.append(root); "
    "from compaudit.workers import guard; guard.protect(*map(int, sys.argv[2:4])); "
    "from compaudit.workers import child; child.main(sys.argv[4].split(), sys.argv[5:])"
)

# ONNX Runtime would write a file of its own and keep a thread busy while models are timed.
_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1"}


class ModelProcess:
    """A fresh Python that answers requests from one pipe on another.

    Args:
        scratch: the folder for its temporary files; None for the usual one.
        ahead: modules to import before the first request, which then finds them there.

    Attributes:
        requests: where to write frames to; never blocks.
        replies: where to read them from.
        places: memory that it shares, for large arrays (`compaudit.workers.shared`).
        handle: the process as psutil sees it.
    """

    def __init__(self, scratch: str | None, ahead: Sequence[str] = ()) -> None:
        self._suspended = False
        self._killed = False
        environment = os.environ | _ENVIRONMENT
        if scratch is not None:
            environment["TMPDIR"] = scratch
        with interruption.held(), ExitStack() as owned:
            self._log = owned.enter_context(tempfile.TemporaryFile())
            self.places = make_places(owned)
            with ExitStack() as lent:
                requests_child, self.requests = _pipe(lent, owned)
                self.replies, replies_child = _pipe(owned, lent)
                self._popen = subprocess.Popen(
                    _command((requests_child, replies_child, *self.places), ahead),
                    stdin=subprocess.DEVNULL,
                    stdout=self._log,
                    stderr=self._log,
                    pass_fds=(requests_child, replies_child, *self.places),
                    start_new_session=True,
                    env=environment,
                )
                owned.enter_context(interruption.undone_by(self.kill))
                reaper.watch(self.pid)
            self.handle = psutil.Process(self.pid)
            os.set_blocking(self.requests, False)
            self._owned = owned.pop_all()

    @property
    def pid(self) -> int:
        """Its number, and that of its group and session."""
        return self._popen.pid

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> int | None:
        """Its exit status, if it ends within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        return self._popen.returncode

    def suspend(self) -> None:
        """Stop every thread of it until it is resumed."""
        if self._suspended or self.status is not None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            self.handle.suspend()
            self._suspended = True
            until = time.monotonic() + _STOP_S
            while self.handle.status() != psutil.STATUS_STOPPED and time.monotonic() < until:
                time.sleep(0.0002)

    def resume(self) -> None:
        """Let it go on."""
        if self._suspended:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.handle.resume()
            self._suspended = False

    def kill(self) -> None:
        """Kill the process, its group, and what it started outside of that, once."""
        if self._killed:
            return  # the number of the group may mean another by now
        strays: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            strays = psutil.Process(self.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for stray in strays:
            with contextlib.suppress(psutil.Error):
                stray.kill()
        self.wait(_BURIAL_S)
        self._killed = True
        reaper.forget(self.pid)

    def close(self) -> None:
        """Kill it, and free what belongs to it."""
        self._owned.close()

    def last_words(self) -> str:
        """The last line it wrote, printable characters only; empty where there is none."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        text = "".join(character for character in (lines or [""])[-1] if character.isprintable())
        return text[:300]


def _command(descriptors: Sequence[int], ahead: Sequence[str]) -> list[str]:
    # -P keeps the current folder off the module path: no file there stands in for a module.
    package_root = Path(__file__).parents[2]
    in_main = threading.current_thread() is threading.main_thread()
    guarded = (str(os.getpid()), str(int(in_main)))
    passed = " ".join(map(str, descriptors))
    return [sys.executable, "-P", "-c", _START, str(package_root), *guarded, passed, *ahead]


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe's two ends, each closed with the stack it belongs to."""
    read, write = os.pipe()
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write
