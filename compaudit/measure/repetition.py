"""Does a model give the same outputs for the same inputs, run after run?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.engines.base import Outputs
from compaudit.results.behaviour import OutputChange

__all__ = ["changed_outputs", "largest_change"]

_CHUNK_BYTES = 2**16


def changed_outputs(first: Outputs, again: Outputs) -> list[OutputChange]:
    """Every output that another run gave differently, bit by bit; NaN is equal to NaN."""
    changes = []
    for name in first.keys() | again.keys():
        if name not in first or name not in again:
            changes.append(_changed(name, "was missing in one run"))
        elif (change := _change(name, first[name], again[name])) is not None:
            changes.append(change)
    return changes


def largest_change(changes: Iterable[OutputChange]) -> OutputChange | None:
    """The gravest of several changes, which counts the other outputs; None without any."""
    found = list(changes)
    if not found:
        return None
    others = len({change.output for change in found}) - 1
    return msgspec.structs.replace(max(found, key=_gravity), others=others)


def _gravity(change: OutputChange) -> tuple[float, str]:
    """Relative to the output's own size; what cannot be stated in numbers weighs most."""
    if change.largest_difference is None or change.largest_value == 0:
        return math.inf, change.output
    return change.largest_difference / change.largest_value, change.output


def _change(name: str, first: NDArray[Any], again: NDArray[Any]) -> OutputChange | None:
    if first.shape != again.shape:
        return _changed(name, f"had shape {first.shape} in one run and {again.shape} in another")
    if first.dtype != again.dtype:
        return _changed(name, f"was {first.dtype} in one run and {again.dtype} in another")
    if first.dtype.kind in "OUST":
        return None if np.array_equal(first, again) else _changed(name, "held another text")
    if _same_bits(first, again):
        return None
    a, b = _numbers(first), _numbers(again)
    if np.array_equal(a, b, equal_nan=True):
        return None
    finite = np.isfinite(a)
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(b[finite]).all()
    ):
        return _changed(name, "was NaN or infinite in one run and not in another")
    return OutputChange(
        output=name,
        what="",
        largest_difference=float(np.abs(a[finite] - b[finite]).max()),
        largest_value=float(np.abs(a[finite]).max()),
        real=first.dtype.kind not in "biu",
        others=0,
    )


def _changed(name: str, what: str) -> OutputChange:
    return OutputChange(
        output=name, what=what, largest_difference=None, largest_value=0.0, real=False, others=0
    )


def _same_bits(first: NDArray[Any], again: NDArray[Any]) -> bool:
    """Whether two arrays of one type are stored alike; looks at them a little at a time.

    Peak memory is being measured around this, and a copy might stay in the allocator's hands.
    """
    a, b = (np.ascontiguousarray(values).reshape(-1).view(np.uint8) for values in (first, again))
    return all(
        np.array_equal(a[start : start + _CHUNK_BYTES], b[start : start + _CHUNK_BYTES])
        for start in range(0, a.size, _CHUNK_BYTES)
    )


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    """Flat, in a type that holds any of them; of complex numbers both parts."""
    if values.dtype.kind == "c":
        return values.astype(np.complex128).ravel().view(np.float64)
    return values.astype(np.float64).ravel()
