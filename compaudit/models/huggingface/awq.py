"""AWQ: unsigned 4-bit codes, eight to an int32, in AutoAWQ's two layouts.

``gemm``: ``qweight`` is [in, out / 8], packed along the output features; the eight codes of an
integer, lowest bits first, are columns 0, 2, 4, 6, 1, 3, 5, 7. ``scales`` is [groups, out] and
``qzeros`` [groups, out / 8], packed alike. ``gemv``: ``qweight`` is [out, in / 8] in plain order,
``scales`` and ``qzeros`` are [out, …], padded after the last group. Zero points are stored as they
are. Layouts as AutoAWQ writes them (WQLinear_GEMM and WQLinear_GEMV, ``from_linear``).

The records have the shape of torch's ``Linear.weight``, [out, in], and yield codes in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.huggingface.deferred import Deferred
from compaudit.models.huggingface.packing import (
    FLOATS,
    INTEGERS,
    Checkpoint,
    Config,
    MisfitError,
    array_of,
    whole_number,
)
from compaudit.models.huggingface.words import by_rows, unpack_words
from compaudit.models.quantized import Quantization, Shared

__all__ = ["Awq"]

_BITS, _PER_WORD = 4, 8
_PLACES = [0, 4, 1, 5, 2, 6, 3, 7]  # where in an integer the columns 0, 1, 2, … are
# What runs these stores the same integers: kernels pack them anew when they load.
_STORED_AS_GEMM = ("gemm", "exllama", "ipex")

_Words = NDArray[np.integer[Any]]


class _Matrix(NamedTuple):
    """A packed matrix as [out, in]; scales and zero points as [out, groups]."""

    shape: tuple[int, int]
    codes: Callable[[int, int], NDArray[np.uint8]]
    scales: NDArray[Any]
    zero_points: Callable[[], NDArray[np.uint8]]
    groups: int
    together: int


class Awq:
    """The packing of AutoAWQ."""

    methods: tuple[str, ...] = ("awq",)

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Every integer ``qweight``."""
        return (
            name
            for name, stored in checkpoint.items()
            if name.rpartition(".")[2] == "qweight" and "int" in stored.tensor.dtype
        )

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """One matrix, [out, in]. Raises MisfitError."""
        bits = whole_number(config, "bits", "w_bit")
        if bits != _BITS:
            raise MisfitError(f"{name} has {bits} bits by its quantization_config, and AWQ packs 4")
        version = str(
            config.get("version") or config.get("checkpoint_format") or config.get("format")
            or "gemm"
        ).lower()  # fmt: skip
        stem = name.removesuffix("qweight")
        words = array_of(name, checkpoint, name, INTEGERS)
        scales = array_of(f"{stem}scales", checkpoint, name, FLOATS)
        zeros = array_of(f"{stem}qzeros", checkpoint, name, INTEGERS)
        if words.dtype != np.int32 or zeros.dtype != np.int32:
            raise MisfitError(f"{name} and its zero points are not stored as int32")
        if words.ndim != 2 or scales.ndim != 2 or zeros.ndim != 2:
            raise MisfitError(f"{name} and its scales and zero points are not matrices")
        stated = whole_number(config, "group_size", "q_group_size")
        if version in _STORED_AS_GEMM:
            found = _gemm(name, words, scales, zeros, stated)
        elif version == "gemv":
            found = _gemv(name, words, scales, zeros, stated)
        else:
            raise MisfitError(f"{name} is in the AWQ version {version!r}, which is not read")
        groups = (1, found.groups)
        return replace(
            checkpoint[name].tensor,
            dtype="uint4",
            shape=found.shape,
            stored_elements=found.shape[0] * found.shape[1],
            values=by_rows(*found.shape, found.codes, together=found.together),
            quantization=Quantization(
                Shared(found.scales, groups),
                Deferred(found.zero_points, found.scales.shape, groups),
            ),
            note=f"AWQ, 4 bits, stored as {version}",
        )


def _gemm(
    name: str, words: _Words, scales: NDArray[Any], zeros: _Words, stated: int | None
) -> _Matrix:
    inputs, outputs = words.shape[0], words.shape[1] * _PER_WORD
    size = inputs if stated in (None, -1) else stated
    count = -(-inputs // size) if size and size > 0 else -1
    if scales.shape != (count, outputs) or zeros.shape != (count, words.shape[1]):
        raise MisfitError(f"{name} does not fit its scales and zero points in groups of {size}")

    def codes(first: int, last: int) -> NDArray[np.uint8]:
        return _in_order(words[:, first // _PER_WORD : -(-last // _PER_WORD)]).T

    points = partial(_transposed, zeros)
    return _Matrix((outputs, inputs), codes, scales.T, points, size or 1, _PER_WORD)


def _gemv(
    name: str, words: _Words, scales: NDArray[Any], zeros: _Words, stated: int | None
) -> _Matrix:
    outputs, inputs = words.shape[0], words.shape[1] * _PER_WORD
    size = inputs if stated in (None, -1) else stated
    count = -(-inputs // size) if size and size > 0 else -1
    fits = count > 0 and scales.shape[0] == zeros.shape[0] == outputs
    if not fits or scales.shape[1] < count or zeros.shape[1] * _PER_WORD < count:
        raise MisfitError(f"{name} does not fit its scales and zero points in groups of {size}")

    def codes(first: int, last: int) -> NDArray[np.uint8]:
        return unpack_words(words[first:last], _BITS)

    points = partial(_plain, zeros, count)
    return _Matrix((outputs, inputs), codes, scales[:, :count], points, size or 1, 1)


def _in_order(words: _Words) -> NDArray[np.uint8]:
    """[n, w] integers → [n, 8 w] codes, their columns in order."""
    codes = unpack_words(words, _BITS).reshape(*words.shape, _PER_WORD)
    return codes[..., _PLACES].reshape(words.shape[0], -1)


def _transposed(words: _Words) -> NDArray[np.uint8]:
    return _in_order(words).T


def _plain(words: _Words, count: int) -> NDArray[np.uint8]:
    return unpack_words(words, _BITS)[:, :count]
