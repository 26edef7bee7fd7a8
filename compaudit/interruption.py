"""Ctrl-C and SIGTERM, heard even where Python loses them.

A signal handler's exception is dropped when it is raised inside a destructor or a callback, and the
program would go on as if nobody had asked it to stop. So the handler also leaves a note, and
whoever waits for a worker looks at it.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

from compaudit.errors import Interrupted

__all__ = ["deafen", "listen", "raise_pending"]

_PROCESS = os.getpid()
_pending: list[int] = []


def listen() -> None:
    """Hear SIGINT and SIGTERM from now on; only the command line does this."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _hear)


def deafen() -> None:
    """Ignore both: the program is ending anyway, with the exit code it has."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def raise_pending() -> None:
    """Raise KeyboardInterrupt or Interrupted again, if a signal's own exception was lost."""
    if _pending:
        raise _wish(_pending[0])


def _hear(number: int, frame: FrameType | None) -> None:
    if os.getpid() == _PROCESS:  # not in a child between fork and exec
        _pending.append(number)
        raise _wish(number)


def _wish(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Interrupted()
