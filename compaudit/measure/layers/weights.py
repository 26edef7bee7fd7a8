"""How far are the weights of two layers apart: the signal-to-quantisation-noise ratio.

SQNR = 10 log₁₀(Σ w² / Σ (w − w*)²), over the real numbers that both models compute with, a chunk at
a time. A normalisation that the exporter folded into the weights is folded into the original's
first, and factors are multiplied out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.quantized import Shared

__all__ = ["Difference", "Weights", "composed", "difference", "scaled", "turned", "weights_of"]

Chunks = Iterator[NDArray[np.floating[Any]]]

_MOST_HELD = 1 << 26
"""Elements that are held at once where a weight has to be turned or multiplied out."""

_UNLIKE = 0.1
"""Noise over signal above which two square matrices may be one another's transpose (10 dB)."""


class Difference(msgspec.Struct, frozen=True):
    """Sums over the elements of two weights; those of several weights add up.

    Attributes:
        signal: Σ w², of the original.
        noise: Σ (w − w*)².
    """

    signal: float
    noise: float

    def __add__(self, other: Difference) -> Difference:
        return Difference(self.signal + other.signal, self.noise + other.noise)

    @property
    def is_none(self) -> bool:
        """Whether both are the same numbers."""
        return self.noise == 0

    @property
    def sqnr_db(self) -> float | None:
        """In decibels; None without noise, without signal, or where one is not finite."""
        if not 0 < self.noise < math.inf or not 0 < self.signal < math.inf:
            return None
        return 10 * math.log10(self.signal / self.noise)


@dataclass(frozen=True, slots=True)
class Weights:
    """The real numbers of one weight.

    Attributes:
        shape: their shape.
        read: reads them flat, in row-major order, in chunks.
    """

    shape: tuple[int, ...]
    read: Callable[[], Chunks]

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)

    def array(self) -> NDArray[np.float64] | None:
        """All of them at once; None where they are too many to hold."""
        if self.elements > _MOST_HELD:
            return None
        whole = np.concatenate([np.empty(0), *(np.asarray(c, np.float64) for c in self.read())])
        return whole.reshape(self.shape)


def weights_of(tensor: Tensor) -> Weights | None:
    """The numbers that a stored tensor stands for; None where they are not known."""
    values, codes = tensor.values, tensor.quantization
    if values is None or tensor.dtype in ("string", "bool") or tensor.dtype.startswith("complex"):
        return None
    if tensor.stored_elements != tensor.logical_elements and not tensor.fill:
        return None
    if tensor.fill:
        return Weights(tensor.shape, lambda: _repeated(tensor))
    if codes is None:
        if tensor.dtype.startswith(("int", "uint")):
            return None
        return Weights(tensor.shape, values)
    if codes.scale is None:
        return None

    def read() -> Chunks:
        start = 0
        for chunk in values():
            numbers = codes.values(chunk, tensor.shape, start)
            assert numbers is not None, "there is a scale"
            start += len(chunk)
            yield numbers

    return Weights(tensor.shape, read)


def difference(original: Weights, compressed: Weights) -> Difference | None:
    """Their difference; None where the shapes do not allow one.

    A matrix that one of them stores as [in, out] is turned, as the shapes say. Of a square one
    they say nothing: it is turned where that brings the two together.
    """
    same = _squeezed(original.shape) == _squeezed(compressed.shape)
    turnable = len(original.shape) == 2 and original.shape[::-1] == compressed.shape
    straight = _difference(original, compressed) if same else None
    if not turnable or (straight is not None and straight.noise < _UNLIKE * straight.signal):
        return straight
    other = turned(compressed)
    crosswise = None if other is None else _difference(original, other)
    found = [one for one in (straight, crosswise) if one is not None]
    return min(found, key=lambda one: one.noise, default=None)


def _difference(original: Weights, compressed: Weights) -> Difference:
    signal = noise = 0.0
    for left, right in _together(original.read(), compressed.read()):
        ours = left.astype(np.float64)
        signal += float(np.dot(ours, ours))
        ours -= right
        noise += float(np.dot(ours, ours))
    return Difference(signal, noise)


def turned(weights: Weights) -> Weights | None:
    """The matrix transposed; None where it is too large to hold."""
    array = weights.array()
    if array is None:
        return None
    return _held(array.T)


def scaled(weights: Weights, factors: NDArray[np.floating[Any]], axis: int) -> Weights:
    """Each channel along an axis times its factor: a normalisation folded into the weights."""
    shared = Shared.per_channel(factors, axis, weights.shape)

    def read() -> Chunks:
        start = 0
        for chunk in weights.read():
            part = chunk.astype(np.float64)
            part *= shared.at(weights.shape, start, len(chunk))
            start += len(chunk)
            yield part

    return replace(weights, read=read)


def composed(factors: Sequence[Weights], whole: tuple[int, ...]) -> list[Weights]:
    """What factors multiply out to, in every orientation that gives the whole's shape.

    Args:
        factors: the first is applied first. Matrices may be stored either way; kernels are
            [out, in, …] with as many spatial dimensions as the whole.
        whole: the shape to arrive at.

    Returns:
        The products; of square matrices several, of which one is meant. Empty where none fits.
    """
    arrays = [factor.array() for factor in factors]
    if any(array is None for array in arrays) or math.prod(whole) > _MOST_HELD:
        return []
    known = [array for array in arrays if array is not None]
    if len(whole) == 2:
        products = _matrix_products(known, whole)
    else:
        kernel: NDArray[np.float64] | None = known[0]
        for array in known[1:]:
            kernel = None if kernel is None else _kernel_product(kernel, array)
        products = [] if kernel is None or kernel.shape != whole else [kernel]
    return [_held(array) for array in products]


def _matrix_products(
    factors: Sequence[NDArray[np.float64]], whole: tuple[int, ...]
) -> list[NDArray[np.float64]]:
    products = [factors[0], factors[0].T]
    for factor in factors[1:]:
        products = [
            side @ product
            for product in products
            for side in (factor, factor.T)
            if side.shape[1] == product.shape[0]
        ]
    found = [product for product in products if product.shape == whole]
    return found + [product.T for product in products if product.T.shape == whole]


def _kernel_product(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The kernel of one convolution after another, [r, in, …] and [out, r, …], stride one."""
    if second.shape[1] != first.shape[0] or second.ndim != first.ndim:
        return None
    sizes = [a + b - 1 for a, b in zip(first.shape[2:], second.shape[2:], strict=True)]
    product = np.zeros((second.shape[0], first.shape[1], *sizes))
    for place in np.ndindex(second.shape[2:]):
        window = tuple(
            slice(at, at + size) for at, size in zip(place, first.shape[2:], strict=True)
        )
        at_place = (slice(None), slice(None), *place)
        product[(slice(None), slice(None), *window)] += np.tensordot(second[at_place], first, 1)
    return product


def _held(array: NDArray[np.float64]) -> Weights:
    flat = array.reshape(-1)
    return Weights(array.shape, lambda: iter([flat]))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without dimensions of one: ONNX writes a direction before the weights of an LSTM."""
    return tuple(size for size in shape if size != 1)


def _repeated(tensor: Tensor) -> Chunks:
    assert tensor.values is not None, "weights_of has seen to it"
    value = next(tensor.values())
    if tensor.quantization is not None:
        numbers = tensor.quantization.values(value, tensor.shape, 0)
        value = value if numbers is None else numbers
    left = tensor.logical_elements
    chunk = np.repeat(value[:1], min(left, 1 << 18))
    while left > 0:
        yield chunk[:left]
        left -= len(chunk)


def _together(left: Chunks, right: Chunks) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Two readers side by side, in pieces that both have."""
    ours: NDArray[Any] = np.empty(0)
    theirs: NDArray[Any] = np.empty(0)
    while True:
        ours, theirs = _next(left, ours), _next(right, theirs)
        size = min(len(ours), len(theirs))
        if not size:
            if len(ours) or len(theirs):
                raise ValueError("two weights of one shape have different numbers of elements")
            return
        yield ours[:size], theirs[:size]
        ours, theirs = ours[size:], theirs[size:]


def _next(chunks: Chunks, held: NDArray[Any]) -> NDArray[Any]:
    """What is held, or the next chunk that is not empty; empty at the end."""
    while not len(held):
        following = next(chunks, None)
        if following is None:
            break
        held = following
    return held
