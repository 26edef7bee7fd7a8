"""How far are the numbers of one output apart? Absolute errors, SQNR and cosine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.results import OutputError

__all__ = ["NumericalError"]

_FIGURES = ("max_abs_error", "mean_abs_error", "sqnr_db", "cosine")


class NumericalError:
    """Sums over the elements of one output, enough for its errors, SQNR and cosine.

    A complex number counts as two elements. Infinities that both models agree on (a masked class)
    are no error and are left out; any other infinity, and NaN, leaves no figure at all.
    """

    def __init__(self) -> None:
        self.elements = 0
        self.nonfinite = [0, 0]
        self._broken = 0
        self._max_abs = 0.0
        self._sum_abs = 0.0
        self._error_power = 0.0
        self._powers = [0.0, 0.0]
        self._product = 0.0

    def update(self, original: NDArray[Any], compressed: NDArray[Any]) -> None:
        """Take in one batch of two arrays of the same shape."""
        a, b = _elements(original), _elements(compressed)
        self.elements += a.size
        finite_a, finite_b = np.isfinite(a), np.isfinite(b)
        both = finite_a & finite_b
        if not both.all():
            self.nonfinite[0] += int(np.count_nonzero(~finite_a))
            self.nonfinite[1] += int(np.count_nonzero(~finite_b))
            self._broken += int(np.count_nonzero(~both & (a != b)))
            a, b = a[both], b[both]
        if not a.size:
            return
        with np.errstate(over="ignore"):
            error = np.abs(a - b)
            self._max_abs = max(self._max_abs, float(error.max()))
            self._sum_abs += float(error.sum())
            self._error_power += float(error @ error)
            self._powers[0] += float(a @ a)
            self._powers[1] += float(b @ b)
            self._product += float(a @ b)

    def result(self) -> tuple[OutputError, dict[str, str]]:
        """The figures, and why those that are None are."""
        figures, reasons = self._figures()
        return (
            OutputError(
                **{name: figures.get(name) for name in _FIGURES},
                nonfinite_original=self.nonfinite[0],
                nonfinite_compressed=self.nonfinite[1],
            ),
            reasons,
        )

    def _figures(self) -> tuple[dict[str, float], dict[str, str]]:
        if not self.elements:
            return {}, dict.fromkeys(_FIGURES, "the output holds no elements")
        if self._broken:
            reason = (
                f"{self._broken} of {self.elements} elements are NaN or infinite in one of the "
                "models, which no average may hide"
            )
            return {}, dict.fromkeys(_FIGURES, reason)
        if self.nonfinite[0] == self.elements:
            return {}, dict.fromkeys(_FIGURES, "both models give infinities and no number")
        if not all(map(math.isfinite, (self._error_power, *self._powers))):
            return {}, dict.fromkeys(_FIGURES, "its numbers are too large to be squared")
        figures = {
            "max_abs_error": self._max_abs,
            "mean_abs_error": self._sum_abs / self.elements,
        }
        reasons = {}
        norm = math.sqrt(self._powers[0]) * math.sqrt(self._powers[1])
        if norm > 0:
            figures["cosine"] = max(-1.0, min(1.0, self._product / norm))
        else:
            reasons["cosine"] = "an output that is zero everywhere has no direction"
        if self._max_abs == 0:
            reasons["sqnr_db"] = (
                "the outputs are identical, so the ratio to their error is infinite"
            )
        elif self._powers[0] > 0 and self._error_power > 0:
            figures["sqnr_db"] = 10 * math.log10(self._powers[0] / self._error_power)
        else:
            reasons["sqnr_db"] = "the original's output is zero everywhere: there is no signal"
        return figures, reasons


def _elements(values: NDArray[Any]) -> NDArray[np.float64]:
    """All numbers of an array, flat; the real and the imaginary part of complex ones."""
    if values.dtype.kind == "c":
        return values.astype(np.complex128).ravel().view(np.float64)
    return values.astype(np.float64).ravel()
