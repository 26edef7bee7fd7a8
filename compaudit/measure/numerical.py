"""How far are the numbers of one output apart? Absolute errors, SQNR and cosine."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.config import Which
from compaudit.results import OutputError

__all__ = ["NotNumbers", "NumericalError"]

_FIGURES = ("max_abs_error", "mean_abs_error", "sqnr_db", "cosine")

_BLOCK_ELEMENTS = 2**15
"""256 KiB in float64: temporaries stay in the processor's cache."""

_RUN = 512

_MOST_LISTED = 3


class NotNumbers(msgspec.Struct, frozen=True):
    """An output that NaN or infinities leave without a figure.

    Attributes:
        output: its name, the original's.
        which: the model to look at: the compressed one where it has more of them.
        count: how many that model gives.
        sample: the first in which they are; None where both have the same and nothing else.
    """

    output: str
    which: Which
    count: int
    sample: int | None

    @classmethod
    def of(cls, output: str, error: OutputError, samples: list[int]) -> NotNumbers:
        """What the figures of an output and its first broken samples say."""
        original, compressed = error.nonfinite_original, error.nonfinite_compressed
        which: Which = "compressed" if compressed > original else "original"
        return cls(output, which, max(original, compressed), next(iter(samples), None))

    @property
    def worse(self) -> bool:
        """Whether the compressed model has more of them than the original."""
        return self.which == "compressed"


class NumericalError:
    """Sums over the elements of one output, enough for its errors, SQNR and cosine.

    A complex number counts as two elements. Infinities that both models agree on (a masked class)
    are no error and are left out; any other infinity, and NaN, leaves no figure at all.

    Attributes:
        elements: how many there are.
        nonfinite: how many of them are NaN or infinite, in either model.
        broken_samples: the first samples of which an element leaves no figure, ascending.
    """

    def __init__(self) -> None:
        self.elements = 0
        self.nonfinite = [0, 0]
        self.broken_samples: list[int] = []
        self._broken = 0
        self._max_abs = 0.0
        self._sums = {name: _Sum() for name in ("abs", "error", "original", "compressed", "dot")}

    def update(
        self,
        original: NDArray[Any],
        compressed: NDArray[Any],
        samples: NDArray[np.int64] | None = None,
    ) -> None:
        """Take in one batch of two arrays of the same shape.

        Args:
            original: the first dimension counts samples.
            compressed: the same of the compressed model.
            samples: the samples' indices; None to count them from 0.
        """
        a, b = _flat(original), _flat(compressed)
        self.elements += a.size
        broken: list[NDArray[np.int64]] = []
        room = np.empty((2, min(a.size, _BLOCK_ELEMENTS)))
        for start in range(0, a.size, _BLOCK_ELEMENTS):
            here = slice(start, start + _BLOCK_ELEMENTS)
            blocks = room[:, : len(a[here])]
            blocks[0], blocks[1] = a[here], b[here]
            places = self._take(blocks[0], blocks[1])
            if len(places):
                # Of a sample's many broken elements one is enough.
                rows = (places + start) // (a.size // len(original))
                broken.append(np.unique(rows)[:_MOST_LISTED])
        if broken:
            rows = np.unique(np.concatenate(broken))[:_MOST_LISTED]
            self._list((rows if samples is None else samples[rows]).tolist())

    def merge(self, other: NumericalError) -> None:
        """Take in what was seen of other samples."""
        self.elements += other.elements
        for place, count in enumerate(other.nonfinite):
            self.nonfinite[place] += count
        self._broken += other._broken
        self._list(other.broken_samples)
        self._max_abs = max(self._max_abs, other._max_abs)
        for name, total in other._sums.items():
            self._sums[name].merge(total)

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

    def _take(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
        """Add up a block, and spend it; returns the places that leave no figure."""
        broken = np.empty(0, dtype=np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            powers = _dot(a, a), _dot(b, b)
            # A finite sum of squares has finite terms, and mostly it is.
            if not math.isfinite(powers[0] + powers[1]):
                broken = self._count_broken(a, b)
                both = np.isfinite(a) & np.isfinite(b)
                a, b = a[both], b[both]
                powers = _dot(a, a), _dot(b, b)
            if a.size:
                self._sums["original"].add(powers[0])
                self._sums["compressed"].add(powers[1])
                self._sums["dot"].add(_dot(a, b))
                error = np.subtract(a, b, out=a)
                self._sums["error"].add(_dot(error, error))
                np.abs(error, out=error)
                self._max_abs = max(self._max_abs, float(error.max()))
                self._sums["abs"].add(float(error.sum()))
        return broken

    def _count_broken(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
        """Count what is not finite; returns the places where the models do not agree on it."""
        finite_a, finite_b = np.isfinite(a), np.isfinite(b)
        self.nonfinite[0] += int(np.count_nonzero(~finite_a))
        self.nonfinite[1] += int(np.count_nonzero(~finite_b))
        broken = np.flatnonzero(~(finite_a & finite_b) & (a != b))
        self._broken += len(broken)
        return broken

    def _list(self, samples: list[int]) -> None:
        self.broken_samples = sorted({*self.broken_samples, *samples})[:_MOST_LISTED]

    def _figures(self) -> tuple[dict[str, float], dict[str, str]]:
        if not self.elements:
            return {}, dict.fromkeys(_FIGURES, "the output holds no elements")
        if self._broken:
            reason = (
                f"{self._broken} of {self.elements} elements are NaN or infinite in one of the "
                f"models, first in sample {self.broken_samples[0]}, which no average may hide"
            )
            return {}, dict.fromkeys(_FIGURES, reason)
        if self.nonfinite[0] == self.elements:
            return {}, dict.fromkeys(_FIGURES, "both models give infinities and no number")
        total = {name: value.total for name, value in self._sums.items()}
        if not all(map(math.isfinite, total.values())):
            return {}, dict.fromkeys(_FIGURES, "its numbers are too large to be squared")
        figures = {
            "max_abs_error": self._max_abs,
            "mean_abs_error": total["abs"] / self.elements,
        }
        reasons = {}
        norm = math.sqrt(total["original"]) * math.sqrt(total["compressed"])
        if norm > 0:
            figures["cosine"] = max(-1.0, min(1.0, total["dot"] / norm))
        else:
            reasons["cosine"] = "an output that is zero everywhere has no direction"
        if self._max_abs == 0:
            reasons["sqnr_db"] = (
                "the outputs are identical, so the ratio to their error is infinite"
            )
        elif total["original"] > 0 and total["error"] > 0:
            figures["sqnr_db"] = 10 * math.log10(total["original"] / total["error"])
        else:
            reasons["sqnr_db"] = "the original's output is zero everywhere: there is no signal"
        return figures, reasons


class _Sum:
    """A sum of many numbers that does not gather rounding errors, however it is split.

    What each addition loses is kept beside it: Neumaier 1974, "Rundungsfehleranalyse einiger
    Verfahren zur Summation endlicher Summen".
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._lost = 0.0

    @property
    def total(self) -> float:
        return self._sum + self._lost if math.isfinite(self._sum) else self._sum

    def add(self, value: float) -> None:
        """Add one number."""
        together = self._sum + value
        larger, smaller = sorted((self._sum, value), key=abs, reverse=True)
        self._lost += (larger - together) + smaller
        self._sum = together

    def merge(self, other: _Sum) -> None:
        """Add another sum."""
        self.add(other._sum)
        self._lost += other._lost


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The sum of products.

    Of short runs first, whose sums are added pairwise: a long sum would gather rounding errors, and
    BLAS would wake threads for it.
    """
    whole = a.size // _RUN * _RUN
    runs = np.vecdot(*(part[:whole].reshape(-1, _RUN) for part in (a, b)))
    return float(runs.sum() + np.vecdot(a[whole:], b[whole:]))


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    """All numbers of an array; the real and the imaginary part of complex ones."""
    if values.dtype.kind == "c":
        return np.ascontiguousarray(values.astype(np.complex128)).ravel().view(np.float64)
    return values.ravel()
