"""What the codes of a quantised tensor stand for: (q − zero point) × scale, or an entry of a table.

A scale or a zero point is one number for the whole tensor, one a channel, or one a block; all three
are a `Shared`. The rule of ONNX's DequantizeLinear, of torch's quantised tensors and of GPTQ, AWQ
and bitsandbytes is the same; only where the numbers are stored differs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Quantization", "Scheme", "Shared"]

Scheme = Literal["per_tensor", "per_channel", "blocked"]

_LONGEST_ROW = 1 << 22


@dataclass(frozen=True, slots=True)
class Shared:
    """Numbers that the elements of a tensor share.

    Attributes:
        numbers: one, or an array of the tensor's rank: the element at (i, j, …) has
            ``numbers[i // groups[0], j // groups[1], …]``.
        groups: for each axis the elements that share a number, or the number of the group of each
            position (GPTQ's ``g_idx``); None where `numbers` is one for all.
    """

    numbers: NDArray[Any]
    groups: tuple[int | NDArray[np.integer[Any]], ...] | None = None

    @classmethod
    def one(cls, number: Any) -> Shared:
        """One number for the whole tensor."""
        import numpy as np

        return cls(np.asarray(number).reshape(1))

    @classmethod
    def per_channel(cls, numbers: NDArray[Any], axis: int, shape: tuple[int, ...]) -> Shared:
        """One number for each position along an axis of a tensor of this shape."""
        axis %= len(shape)
        sizes = tuple(numbers.size if place == axis else 1 for place in range(len(shape)))
        groups = tuple(1 if place == axis else max(size, 1) for place, size in enumerate(shape))
        return cls(numbers.reshape(sizes), groups)

    @classmethod
    def blocked(cls, numbers: NDArray[Any], axis: int, block_size: int) -> Shared:
        """One number for each `block_size` elements along an axis; `numbers` has the full rank."""
        axis %= numbers.ndim
        groups = tuple(block_size if place == axis else 1 for place in range(numbers.ndim))
        return cls(numbers, groups)

    @property
    def only(self) -> Any | None:
        """The one number that they all are; None where they differ."""
        first = self.numbers.reshape(-1)[0]
        return first if self.groups is None or bool((self.numbers == first).all()) else None

    @property
    def counts(self) -> tuple[int, ...]:
        """The shape of the numbers."""
        return self.numbers.shape

    def scheme(self, shape: tuple[int, ...]) -> Scheme:
        """How far a number reaches: over the tensor, a channel of it, or a block."""
        if self.groups is None or math.prod(self.counts) == 1:
            return "per_tensor"
        several = [count > 1 for count in self.counts]
        if sum(several) == 1:
            axis = several.index(True)
            if self.counts[axis] == shape[axis]:
                return "per_channel"
        return "blocked"

    def block_of(self, shape: tuple[int, ...]) -> list[int]:
        """The sizes of the block that shares a number, along each axis."""
        if self.groups is None:
            return list(shape)
        return [
            min(group, size) if isinstance(group, int) else -(-size // max(count, 1))
            for group, size, count in zip(self.groups, shape, self.counts, strict=True)
        ]

    def at(self, shape: tuple[int, ...], start: int, length: int) -> NDArray[Any]:
        """The number of each of `length` elements from the flat position `start`.

        Args:
            shape: the tensor's.
            start: the first position, in row-major order.
            length: how many.

        Returns:
            One number, to be broadcast, or [length].
        """
        import numpy as np

        if self.groups is None or self.numbers.size == 1 or length == 0:
            return self.numbers.reshape(-1)[: min(1, length)]
        row = math.prod(shape[1:])
        if row > _LONGEST_ROW:
            # A row too long to be expanded whole: each position by itself.
            places = np.unravel_index(np.arange(start, start + length), shape)
            index = tuple(
                _group(group, place) for group, place in zip(self.groups, places, strict=True)
            )
            return np.asarray(self.numbers[index])
        first, last = start // row, -(-(start + length) // row)
        rows = _group(self.groups[0], np.arange(first, last))
        # Rows of one group are expanded once and repeated.
        distinct, inverse = np.unique(rows, return_inverse=True)
        numbers = self.numbers[distinct]
        for axis in range(1, len(shape)):
            if numbers.shape[axis] > 1:
                numbers = numbers.take(_group(self.groups[axis], np.arange(shape[axis])), axis=axis)
        numbers = np.broadcast_to(numbers, (len(distinct), *shape[1:])).reshape(len(distinct), row)
        begin = start - first * row
        return np.asarray(numbers[inverse].reshape(-1)[begin : begin + length])


def _group(
    group: int | NDArray[np.integer[Any]], places: NDArray[np.integer[Any]]
) -> NDArray[np.integer[Any]]:
    return places // group if isinstance(group, int) else group[places]


@dataclass(frozen=True, slots=True)
class Quantization:
    """How codes become real numbers: ``(q − zero_point) × scale``, or ``codebook[q] × scale``.

    Attributes:
        scale: None where it is only known when the model runs.
        zero_point: the codes that stand for zero; None where the code 0 does.
        codebook: the number that each code stands for (NF4, FP4, shared weights), in place of
            ``q − zero_point``.
    """

    scale: Shared | None = None
    zero_point: Shared | None = None
    codebook: NDArray[np.floating[Any]] | None = None

    def scheme(self, shape: tuple[int, ...]) -> Scheme | None:
        """Per tensor, per channel or blocked, by the finest of scale and zero point."""
        found = [part.scheme(shape) for part in (self.scale, self.zero_point) if part is not None]
        order: tuple[Scheme, ...] = ("blocked", "per_channel", "per_tensor")
        return next((scheme for scheme in order if scheme in found), None)

    def block_of(self, shape: tuple[int, ...]) -> list[int] | None:
        """The block that shares a scale (or else a zero point), along each axis."""
        part = self.scale or self.zero_point
        return None if part is None else part.block_of(shape)

    def is_symmetric(self, dtype: str, bits: int) -> bool:
        """Whether zero stands in the middle of the codes: 0 if signed, 2^(bits−1) if unsigned."""
        if self.codebook is not None:
            return bool(self.codebook.min() == -self.codebook.max())
        middle = 1 << (bits - 1) if dtype.startswith("uint") else 0
        if self.zero_point is None:
            return middle == 0
        return bool((self.zero_point.numbers == middle).all())

    def nonzero(self, codes: NDArray[Any], shape: tuple[int, ...], start: int) -> NDArray[np.bool_]:
        """Which of these codes, flat from position `start`, do not stand for zero."""
        import numpy as np

        if self.codebook is not None:
            return np.asarray(self.codebook[codes] != 0)
        if self.zero_point is None:
            return np.asarray(codes != 0)
        only = self.zero_point.only
        zero = self.zero_point.at(shape, start, len(codes)) if only is None else only
        return np.asarray(codes != zero)

    def values(
        self, codes: NDArray[Any], shape: tuple[int, ...], start: int
    ) -> NDArray[np.float64] | None:
        """The real numbers of these codes, flat from position `start`; None without a scale."""
        import numpy as np

        if self.scale is None:
            return None
        if self.codebook is not None:
            steps: NDArray[np.float64] = self.codebook[codes].astype(np.float64)
        else:
            steps = codes.astype(np.float64)
            if self.zero_point is not None:
                steps -= self.zero_point.at(shape, start, len(codes)).astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # a scale may be anything
            steps *= self.scale.at(shape, start, len(codes)).astype(np.float64)
        return steps
