"""Memory that a worker shares with its parent, in which it leaves the large arrays of a reply.

Through a pipe the 16 MB of scores of one sequence are copied five times, and the models wait
meanwhile. Here the worker copies them once, and the parent reads them where they lie. There is
more than one place, so that the worker may fill the next while the parent still reads the last; a
place is free again when no array in it is left.

Only Linux has memory without a name that cannot be cut off under a reader; elsewhere, and wherever
there is no room, arrays go through the pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_BYTES", "Places", "Room", "make_places"]

LEAST_BYTES = 2**16
"""What is smaller costs less through the pipe than a mapping does."""

_PLACES = 2
_ALIGNMENT = 64


def make_places(owned: ExitStack) -> tuple[int, ...]:
    """Descriptors of empty places, closed with `owned`; none where the system has none to give."""
    if not hasattr(os, "memfd_create"):
        return ()
    descriptors = []
    with contextlib.suppress(OSError):
        for _ in range(_PLACES):
            made = os.memfd_create("compaudit", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            owned.callback(os.close, made)
            # Who reads memory that somebody else made shorter dies of it.
            fcntl.fcntl(made, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            descriptors.append(made)
    return tuple(descriptors)


class Places:
    """The parent's side.

    Args:
        descriptors: of the places.
        most: the bytes that a place may have; more is a lie.
    """

    def __init__(self, descriptors: Sequence[int], most: int) -> None:
        self._descriptors = descriptors
        self._most = most
        self._read: list[weakref.ref[mmap.mmap] | None] = [None] * len(descriptors)

    def free(self) -> int | None:
        """A place that nobody reads from; None where there is none."""
        for place, read in enumerate(self._read):
            if read is None or read() is None:
                return place
        return None

    def map(self, place: int) -> mmap.mmap:
        """What the worker left there. Raises ValueError where that cannot be."""
        descriptor = self._descriptors[place]
        size = os.fstat(descriptor).st_size
        if not 0 < size <= self._most:
            raise ValueError(f"shared memory of {size} bytes")
        mapped = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        self._read[place] = weakref.ref(mapped)
        return mapped


class Room:
    """The worker's side of one place, for one reply after the other."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mapped: mmap.mmap | None = None
        self._used = 0

    def clear(self) -> None:
        """The next array comes first again."""
        self._used = 0

    def put(self, array: NDArray[Any]) -> int | None:
        """Leave an array there; where it begins, in bytes. None where there is no room."""
        begin = -(-self._used // _ALIGNMENT) * _ALIGNMENT
        end = begin + array.nbytes
        mapped = self._mapped
        if mapped is None or len(mapped) < end:
            mapped = self._grown(end)
        if mapped is None:
            return None
        np.ndarray(array.shape, array.dtype, mapped, offset=begin)[...] = array
        self._used = end
        return begin

    def _grown(self, least: int) -> mmap.mmap | None:
        """The place with so many bytes at least, which are never taken back."""
        had = 0 if self._mapped is None else len(self._mapped)
        with contextlib.suppress(OSError, ValueError):
            size = -(-max(least, min(2 * had, least + 2**24)) // mmap.PAGESIZE) * mmap.PAGESIZE
            os.ftruncate(self._descriptor, size)
            self._mapped = mmap.mmap(self._descriptor, size)
            return self._mapped
        return None
