"""The bytes of a model file, mapped instead of read."""

from __future__ import annotations

import mmap
from pathlib import Path

from compaudit.errors import RequestError

__all__ = ["AGAIN", "mapped", "size_of", "unreadable"]

AGAIN = "download or export it again"


def mapped(path: Path) -> mmap.mmap:
    """The file's bytes without reading them; a context manager. Raises OSError."""
    with path.open("rb") as stream:
        return mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ)


def size_of(path: Path) -> int:
    """Bytes in the file. Raises RequestError where there are none."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error
    if size == 0:
        raise RequestError(f"{path} is empty", hint=AGAIN, code="truncated-model")
    return size


def unreadable(path: Path, error: OSError) -> RequestError:
    """What to raise where the operating system refuses."""
    return RequestError(
        f"{path} cannot be read: {error.strerror or error}",
        hint="check the path and its permissions",
        code="unreadable-file",
    )
