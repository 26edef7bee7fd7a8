"""What reading a file through once has told is kept while somebody uses it.

Labels, the digest and every shard of an evaluation open the data anew in the same process.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

__all__ = ["scan_once"]

S = TypeVar("S")

_KNOWN: WeakValueDictionary[tuple[object, ...], Any] = WeakValueDictionary()


def scan_once(path: Path, limit: int | None, scan: Callable[[], S]) -> S:
    """What `scan` returns; what it returned before, while that is in use and the file is the same.

    Args:
        path: the file.
        limit: how many of its samples are used.
        scan: reads it; its result allows weak references.
    """
    told = path.stat()
    key = (scan.__qualname__, told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, limit)
    found: S | None = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = scan()
    return found
