"""The first thing a worker process does: see that it ends with its parent, and what it may not do.

Imports nothing but the standard library, so that little time passes before it holds.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys

__all__ = ["protect"]

_MOST_FILE_BYTES = 4 * 2**30
_PR_SET_PDEATHSIG = 1


def protect(parent: int, follow_thread: bool) -> None:
    """Die with the parent, leave no core file, write no endless file, hear Ctrl-C from nobody.

    Args:
        parent: the process that started this one.
        follow_thread: whether it did so from its main thread. Linux sends the signal of a parent's
            death when the *thread* that started a process ends, and any other thread may end
            before its time. `reaper` kills what this leaves, and does so on macOS.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _MOST_FILE_BYTES)
    if sys.platform == "linux" and follow_thread:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before the line above


def _limit(kind: int, most: int) -> None:
    """At most this, or what holds already where that is less."""
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))
