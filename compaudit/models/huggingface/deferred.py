"""Scales and zero points that are themselves packed: unpacked when they are needed, not kept.

A model of many layers has hundreds of megabytes of them, so what is computed is forgotten again;
the last few stay, because the reader of a tensor asks for its own chunk after chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from compaudit.models.quantized import Scheme, Shared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Compute = Callable[[], NDArray[Any]]

__all__ = ["Deferred", "FlatBlocks"]

_KEPT = 4


@lru_cache(maxsize=_KEPT)
def _computed(compute: Compute) -> NDArray[Any]:
    with np.errstate(all="ignore"):  # what a file says may be no number
        return compute()


class Deferred(Shared):
    """A `Shared` whose numbers are computed each time they have been forgotten.

    Args:
        compute: gives the numbers; called from several threads.
        counts: the shape that they will have.
        groups: as in `Shared`.
    """

    __slots__ = ("_compute", "_counts")
    _compute: Compute
    _counts: tuple[int, ...]

    def __init__(
        self,
        compute: Compute,
        counts: tuple[int, ...],
        groups: tuple[int | NDArray[np.integer[Any]], ...] | None,
    ) -> None:
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "_counts", counts)
        object.__setattr__(self, "_compute", compute)

    @property
    def numbers(self) -> NDArray[Any]:
        """The numbers, one for each group along each axis."""
        return _computed(self._compute)

    @property
    def counts(self) -> tuple[int, ...]:
        """The shape of the numbers, without computing them."""
        return self._counts


class FlatBlocks(Deferred):
    """Numbers of blocks that run on over the ends of rows, as bitsandbytes counts them.

    Args:
        compute: gives the numbers, one a block.
        blocks: how many there are.
        size: elements of a block.
    """

    __slots__ = ()

    def __init__(self, compute: Compute, blocks: int, size: int) -> None:
        super().__init__(compute, (blocks,), (size,))

    @property
    def size(self) -> int:
        """Elements of a block."""
        assert self.groups is not None
        return cast("int", self.groups[0])

    def scheme(self, shape: tuple[int, ...]) -> Scheme:
        """Blocked, whatever the shape."""
        return "blocked"

    def block_of(self, shape: tuple[int, ...]) -> list[int]:
        """So many elements along the last axis; the block may go on in the next row."""
        return [1] * (len(shape) - 1) + [self.size]

    def at(self, shape: tuple[int, ...], start: int, length: int) -> NDArray[Any]:
        """The number of each of `length` elements from the flat position `start`: [length]."""
        first = start // self.size
        wanted = self.numbers[first : -(-(start + length) // self.size)]
        begin = start - first * self.size
        return np.repeat(wanted, self.size)[begin : begin + length]
