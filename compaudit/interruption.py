"""Ctrl-C and SIGTERM: heard where Python loses them, obeyed within a second, nothing left behind.

A signal handler's exception is dropped when it is raised inside a destructor or a callback, and the
program would go on as if nobody had asked it to stop. So the handler also leaves a note, and
whoever waits for a worker looks at it. Where the main thread is deep in native code, no handler
runs at all; a second thread hears of the signal from the system itself, and ends the program when
the main thread does not.

What must not outlive the program (processes, folders, files) is registered with `undone_by`, made
within `held`, and undone by whoever ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from compaudit.errors import ExitCode, Interrupted, RequestError

__all__ = [
    "deafen",
    "held",
    "listen",
    "raise_pending",
    "temporary_folder",
    "undo_everything",
    "undone_by",
]

_PATIENCE_S = 0.4
"""How long the main thread has to end the program by itself."""
_UNDOING_S = 0.3

_PROCESS = os.getpid()
_pending: list[int] = []
_held = 0
_listening = False
_undo: dict[object, Callable[[], object]] = {}
_ended = threading.Event()


def listen() -> None:
    """Hear SIGINT, SIGTERM and SIGHUP from now on; only the command line does this."""
    global _listening
    if _listening:
        return
    _listening = True
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), name="interruption", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _hear)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup wants it
        signal.signal(signal.SIGHUP, _hear)


def deafen() -> None:
    """Ignore them: the program is ending anyway, with the exit code it has."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not _pending:
        _ended.set()


def raise_pending() -> None:
    """Raise KeyboardInterrupt or Interrupted again, if a signal's own exception was lost."""
    if _pending and not _held:
        raise _wish(_pending[0])


@contextmanager
def held() -> Iterator[None]:
    """Let no signal fall between making something and registering it; it is raised afterwards."""
    global _held
    _held += 1
    try:
        yield
    finally:
        _held -= 1
    if threading.current_thread() is threading.main_thread():
        raise_pending()


@contextmanager
def undone_by(undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` at the end of the block, or when the program ends before that.

    It is called a second time where a signal cut the first short.
    """
    key = object()
    _undo[key] = undo
    try:
        yield
    finally:
        if key in _undo:
            undo()
            _undo.pop(key, None)


def undo_everything() -> None:
    """Undo what is still registered, the latest first; for when the program ends at once."""
    while _undo:
        with contextlib.suppress(Exception):
            _, undo = _undo.popitem()
            undo()


@contextmanager
def temporary_folder(prefix: str, where: str | None = None) -> Iterator[Path]:
    """A folder that is gone after the block, whatever ends it.

    Args:
        prefix: how its name begins.
        where: the folder it is made in; None for the usual one.

    Raises:
        RequestError: there is no place where one can be made.
    """
    from tempfile import TemporaryDirectory

    with contextlib.ExitStack() as stack:
        with held():
            try:
                folder = TemporaryDirectory(prefix=prefix, dir=where, ignore_cleanup_errors=True)
            except (FileNotFoundError, PermissionError) as error:
                raise RequestError(
                    "there is no folder for temporary files",
                    hint="point TMPDIR to a folder that can be written",
                    code="no-temporary-folder",
                ) from error
            stack.enter_context(undone_by(folder.cleanup))
        yield Path(folder.name)


def _hear(number: int, frame: FrameType | None) -> None:
    if os.getpid() == _PROCESS:  # not in a child between fork and exec
        _pending.append(number)
        # A second one does not cut short what the first set off; `_watch` ends it, if need be.
        if len(_pending) == 1 and not _held and not _importing(frame):
            raise _wish(number)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: torch's extension aborts when that raises."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _watch(signals: int) -> None:
    """End the program for the main thread, when that has not done it soon after a signal."""
    heard = os.read(signals, 1)[0]
    while heard not in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        heard = os.read(signals, 1)[0]
    if not _ended.wait(_PATIENCE_S):
        # In a thread of its own: the main one may hold a lock that this needs.
        undoing = threading.Thread(target=undo_everything, daemon=True)
        undoing.start()
        undoing.join(_UNDOING_S)
        code = ExitCode.INTERRUPTED if heard == signal.SIGINT else ExitCode.TERMINATED
        os._exit(int(code))


def _wish(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Interrupted()
