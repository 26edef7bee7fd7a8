"""Which elements of a tensor are zero? The dequantised value decides; −0 is zero, NaN is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor

__all__ = ["NonzeroTest", "nonzero_test"]

NonzeroTest = Callable[[NDArray[Any], int], NDArray[np.bool_]]
"""Of a piece of the values and its flat position: which of them are not zero."""


def nonzero_test(tensor: Tensor) -> NonzeroTest:
    """How to tell the zeros among the stored values of this tensor."""
    quantization = tensor.quantization
    if quantization is None or (quantization.codebook is None and quantization.zero_point is None):
        return _plain
    if quantization.codebook is None and quantization.zero_point is not None:
        only = quantization.zero_point.only  # once: there may be as many as blocks
        if only is not None:
            return lambda codes, start: _differs(codes, only)
    shape = tensor.shape
    return lambda codes, start: quantization.nonzero(codes, shape, start)


def _differs(codes: NDArray[Any], zero: Any) -> NDArray[np.bool_]:
    """Codes that are not this one, which may be a number of a wider type."""
    if codes.dtype.kind in "iu":
        kind = np.iinfo(codes.dtype)
        if zero != int(zero) or not kind.min <= zero <= kind.max:
            return np.ones(codes.shape, np.bool_)
        zero = codes.dtype.type(zero)
    return np.asarray(codes != zero)


def _plain(values: NDArray[Any], start: int) -> NDArray[np.bool_]:
    del start
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind in "iuc" or values.dtype in (np.float32, np.float64):
        return np.asarray(values != 0)
    # Comparing small floats converts every one of them; their bits tell it as well.
    magnitude = _magnitude(values.dtype)
    if magnitude is None:
        return np.ones(values.shape, np.bool_)
    codes = values.view(np.dtype(f"u{values.dtype.itemsize}"))
    return np.asarray((codes & codes.dtype.type(magnitude)) != 0)


@cache
def _magnitude(kind: np.dtype[Any]) -> int | None:
    """The bits that a zero of this type has clear; None where no code is zero (float8e8m0)."""
    zero = np.zeros(1, kind)
    if not bool(zero[0] == 0):
        return None
    sign = int((-zero).view(np.dtype(f"u{kind.itemsize}"))[0])
    return ((1 << 8 * kind.itemsize) - 1) & ~sign
