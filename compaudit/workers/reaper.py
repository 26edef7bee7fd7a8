"""A small process that kills the workers when their parent is gone, whatever ended it.

PDEATHSIG does that on Linux alone, and only for the worker itself, not for what the worker started.
The reaper is told on a pipe of every process group that begins (``+123``) or ended (``-123``); the
pipe closes with the parent, and what is still there then is killed. It has a session of its own,
so that it survives what is sent to the parent's group.

Run by its path: the process imports nothing of this package.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading

__all__ = ["forget", "watch"]

_groups: set[int] = set()
_lock = threading.Lock()
_reaper: subprocess.Popen[bytes] | None = None
_owner = 0


def watch(group: int) -> None:
    """Have this process group killed when the present process ends before `forget` is called."""
    with _lock:
        _groups.add(group)
        _tell(f"+{group}\n")


def forget(group: int) -> None:
    """The group has been killed; its number may come to mean another."""
    with _lock:
        if group in _groups:
            _groups.discard(group)
            _tell(f"-{group}\n")


def _tell(line: str) -> None:
    if _reaper is not None and _owner == os.getpid():
        with contextlib.suppress(BrokenPipeError):  # somebody killed it: there is a new one
            _write(line)
            return
    _start()
    _write("".join(f"+{group}\n" for group in _groups))


def _start() -> None:
    global _reaper, _owner
    if _owner != os.getpid():
        atexit.register(_stop)
    _reaper = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        bufsize=0,
    )
    _owner = os.getpid()


def _write(text: str) -> None:
    assert _reaper is not None
    assert _reaper.stdin is not None
    os.write(_reaper.stdin.fileno(), text.encode())


def _stop() -> None:
    if _reaper is not None and _owner == os.getpid():
        assert _reaper.stdin is not None
        _reaper.stdin.close()
        _reaper.wait()


def _reap() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin.buffer:
        group = int(line[1:])
        if line.startswith(b"+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _reap()
