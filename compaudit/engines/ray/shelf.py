"""A node's folder for files that were sent to it, gone when the last worker of the audit is.

Every Ray worker that uses it holds a lock on it. One that is killed leaves the lock and not the
folder; the next audit that sends files to the node removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from compaudit.engines.ray.parcels import Chunk, Parcel

__all__ = ["Shelf"]

_PREFIX = "compaudit-sent-"
_LOCK = "lock"


class Shelf:
    """The folder of one audit on this node.

    Args:
        key: of the audit, the same for all its workers.
    """

    def __init__(self, key: str) -> None:
        _sweep()
        self._folder = Path(tempfile.gettempdir(), f"{_PREFIX}{key}")
        while True:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = _opened(self._folder)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            if os.fstat(self._lock).st_nlink:
                break
            os.close(self._lock)  # somebody swept it away before it was locked

    def place_of(self, parcel: Parcel) -> Path:
        """Where a parcel is, or would be."""
        return self._folder / parcel.digest

    def write(self, parcels: tuple[Parcel, ...], chunk: Chunk) -> None:
        """Write pieces of files to their places. Raises OSError."""
        for number, file, offset, piece in chunk:
            parcel = parcels[number]
            path = self.place_of(parcel) / parcel.files[file].name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("r+b" if offset else "wb") as stream:
                stream.seek(offset)
                stream.write(piece)

    def close(self) -> None:
        """Remove it, unless another worker uses it."""
        _remove(self._folder, self._lock)
        os.close(self._lock)


def _sweep() -> None:
    """Remove what killed workers left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = _opened(folder)
        except OSError:  # another user's, or gone
            continue
        _remove(folder, lock)
        os.close(lock)


def _opened(folder: Path) -> int:
    return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)


def _remove(folder: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody uses it
        return
    shutil.rmtree(folder, ignore_errors=True)
