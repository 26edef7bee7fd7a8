"""Which tensors hold the same bytes under different names, each stored for itself?

Equal contents are separate parameters (DESIGN §1), and worth knowing. Tensors that agree in type,
shape and every count are compared; nothing else is read.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.contents import Contents
from compaudit.models.base import Tensor

__all__ = ["duplicates_of"]

_BEGINNING = 1 << 16
_SMALL_BYTES = 1000
"""Below it, tensors of one repeated value (zeros, ones) are equal by nature."""


def duplicates_of(tensors: Sequence[Tensor], contents: Sequence[Contents]) -> list[str | None]:
    """For each tensor the name of the first one with the same type, shape and bytes, if any.

    Args:
        tensors: tied ones, and those that cannot be read, are no one's duplicates.
        contents: what the values of each hold.

    Raises:
        RequestError: a tensor's bytes cannot be read any more.
    """
    names: list[str | None] = [None] * len(tensors)
    alike: dict[object, list[int]] = defaultdict(list)
    for place, (tensor, held) in enumerate(zip(tensors, contents, strict=True)):
        if held.coded is None or tensor.tied_to is not None or tensor.fill or not tensor.bytes:
            continue
        if held.coded.entropy_bits == 0 and tensor.bytes < _SMALL_BYTES:
            continue
        facts = tensor.dtype, tensor.shape, tensor.bytes, held.nonzeros, held.coded
        alike[facts].append(place)
    for places in alike.values():
        if len(places) > 1:
            for place, first in _repeated(tensors, places):
                names[place] = tensors[first].name
    return names


def _repeated(tensors: Sequence[Tensor], places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Tensors with the first one of the same contents, among those that agree in every count."""
    firsts: dict[bytes, list[int]] = defaultdict(list)
    for place in places:
        known = firsts[_digest_of_beginning(tensors[place])]
        first = next((one for one in known if _same(tensors[place], tensors[one])), None)
        if first is None:
            known.append(place)
        else:
            yield place, first


def _digest_of_beginning(tensor: Tensor) -> bytes:
    """Of the first bytes, so that a thousand small tensors are not compared pair by pair."""
    digest, left = hashlib.blake2b(), _BEGINNING
    for octets in _octets(tensor):
        digest.update(octets[:left].data)
        left -= len(octets)
        if left <= 0:
            break
    return digest.digest()


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether all stored values are, bit for bit; stops at the first piece that differs."""
    assert one.values is not None
    assert other.values is not None
    theirs = _octets(other)
    left: NDArray[np.uint8] = np.empty(0, np.uint8)
    for ours in _octets(one):
        position = 0
        while position < len(ours):
            if not len(left):
                left = next(theirs, left)
                if not len(left):
                    return False
            length = min(len(left), len(ours) - position)
            if not np.array_equal(ours[position : position + length], left[:length]):
                return False
            left = left[length:]
            position += length
    return not len(left) and next(theirs, None) is None


def _octets(tensor: Tensor) -> Iterator[NDArray[np.uint8]]:
    assert tensor.values is not None
    chunk: NDArray[Any]
    for chunk in tensor.values():
        if len(chunk):
            yield np.ascontiguousarray(chunk).view(np.uint8)
