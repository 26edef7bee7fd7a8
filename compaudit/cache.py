"""What is kept from one audit to the next: folders by key, in the user's own cache folder.

An entry is made beside its place and renamed to it when it is whole, so that nobody ever finds half
of one; of two who make the same entry the first wins. When all entries together outgrow the cap,
those that were used longest ago go. What is in them is the caller's business, and so is whether it
is still what was written.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from compaudit import interruption

__all__ = ["MOST_BYTES", "Addition", "Cache", "CacheError", "default_folder"]

MOST_BYTES = 4 * 2**30

_NEW, _OLD = ".new-", ".old-"
_ABANDONED_S = 24 * 3600.0
"""Nobody is still making an entry after so long; what made it was killed."""


class CacheError(Exception):
    """The folder cannot be used; the message follows the words "nothing is kept: "."""


@dataclass(slots=True)
class Addition:
    """An entry that is being made. It is kept where `whole` is set when its block ends."""

    folder: Path
    whole: bool = False


class Cache:
    """Entries by key, a key being a name of letters and digits.

    Args:
        folder: where they lie; made when the first is added.
        most_bytes: what all of them may take.

    Attributes:
        entry_bytes: what one may take: half of that.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self.entry_bytes = most_bytes // 2

    def find(self, key: str) -> Path | None:
        """The folder of an entry, which from now on is the one used last; None without one."""
        entry = self._folder / key
        if not _is_private(self._folder) or not entry.is_dir():
            return None
        with suppress(OSError):  # a folder that is only read has no order of use
            os.utime(entry)
        return entry

    def remove(self, key: str) -> None:
        """Remove an entry, if it is there and can be removed; who reads it goes on undisturbed."""
        gone = self._folder / f"{_OLD}{os.getpid()}-{key}"
        with suppress(OSError):
            (self._folder / key).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    @contextmanager
    def adding(self, key: str) -> Iterator[Addition]:
        """Make an entry; there is none if the block fails, or ends without it being whole.

        Raises:
            CacheError: there can be no entries.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_private(self._folder)
            with interruption.held():
                folder = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._folder))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CacheError(f"{self._folder}: {reason}") from error
        addition = Addition(folder)
        with interruption.undone_by(lambda: shutil.rmtree(folder, ignore_errors=True)):
            yield addition
            if addition.whole:
                # There may be one by now that another process made; this one's goes then.
                with suppress(OSError):
                    folder.rename(self._folder / key)
                self._make_room(key)

    def _make_room(self, newest: str) -> None:
        """Remove what was used longest ago until the rest fits, and what nobody finished."""
        entries = []
        for path in _listed(self._folder):
            if path.name.startswith((_NEW, _OLD)):
                if _last_change(path) < time.time() - _ABANDONED_S:
                    shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    entries.append((path.stat().st_mtime_ns, path.name, _size(path)))
        total = sum(size for *_, size in entries)
        for _, key, size in sorted(entries):
            if total <= self._most_bytes:
                return
            if key != newest:
                self.remove(key)
                total -= size


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where this user's caches are: ``$XDG_CACHE_HOME/compaudit``, or where the system has them."""
    base = Path(environment.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "compaudit"
    home = Path("~").expanduser()
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    return home / caches / "compaudit"


def _is_private(folder: Path) -> bool:
    try:
        _require_private(folder)
    except (OSError, CacheError):
        return False
    return True


def _require_private(folder: Path) -> None:
    """Refuse a folder into which another user may write. Raises CacheError or OSError."""
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(f"{folder} belongs to another user, or others may write to it")


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in _listed(entry))


def _last_change(entry: Path) -> float:
    times = [0.0]
    for path in (entry, *_listed(entry)):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)
