"""One audit times at once: a file lock for each user, held while blocks are timed.

The lock is `flock` on a file that only this user can write, so that it ends with whoever holds it,
however that ends, and a file that was left behind locks nothing. The file is taken away by whoever
unlocks it; so a lock counts only while the file it is on is still the one of that name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from compaudit import interruption

__all__ = ["can_lock", "lock_path", "timing_lock"]

_POLL_S = 0.1
_TAKEN = (errno.EAGAIN, errno.EACCES)


def lock_path() -> Path:
    """Where the lock is: in the user's runtime folder, else among the temporary files."""
    user = os.getuid()
    name = f"compaudit-timing-{user}.lock"
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"):
        if folder and os.access(folder, os.W_OK | os.X_OK) and Path(folder).is_dir():
            return Path(folder) / name
    return Path(tempfile.gettempdir()) / name


@contextmanager
def timing_lock(
    on_wait: Callable[[], None], on_failure: Callable[[str], None], path: Path | None = None
) -> Iterator[None]:
    """Hold the lock; wait until no other audit of this user does.

    Args:
        on_wait: told once, where another audit is timing.
        on_failure: told why there can be no lock; then there is none, and nobody waits.
        path: the file; `lock_path` by default.
    """
    path = path or lock_path()
    with ExitStack() as stack:
        try:
            descriptor = _acquire(path, on_wait)
        except OSError as error:
            on_failure(f"no lock on {path}: {error.strerror or error}")
        else:
            stack.enter_context(interruption.undone_by(partial(_release, descriptor, path)))
        yield


def can_lock(path: Path | None = None) -> bool:
    """Whether there can be a lock; leaves no file that was not there."""
    path = path or lock_path()
    existed = path.exists()
    try:
        descriptor = _open(path)
        try:
            return existed or _is_locked(descriptor)
        finally:
            os.close(descriptor) if existed else _release(descriptor, path)
    except OSError:
        return False


def _acquire(path: Path, on_wait: Callable[[], None]) -> int:
    """An open file that is locked, and is the one at `path`. Raises OSError."""
    waiting = False
    while True:
        descriptor = _open(path)
        try:
            while not _is_locked(descriptor):
                if not waiting:
                    waiting = True
                    on_wait()
                time.sleep(_POLL_S)
                interruption.raise_pending()
            if _is_at(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it took it away


def _open(path: Path) -> int:
    """The lock file, this user's own; never what a link leads to. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_nlink > 1:
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "it is not a file of this user's own", str(path))
    return descriptor


def _is_locked(descriptor: int) -> bool:
    """Whether the lock is ours now. Raises OSError where files cannot be locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _release(descriptor: int, path: Path) -> None:
    """Take the file away before others get the lock on it: they look, and make a new one."""
    with contextlib.suppress(OSError):
        if _is_at(path, descriptor):
            path.unlink()
    os.close(descriptor)
