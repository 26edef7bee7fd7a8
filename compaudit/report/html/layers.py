"""Charts along the depth of a network: precision, zeros, and where the errors come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compaudit.report.html.drawing import (
    BAD,
    COMPRESSED,
    ORIGINAL,
    Chart,
    draw,
    few_ticks,
    legend,
)
from compaudit.report.layout import shortened
from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison, LayerSide
from compaudit.units import format_count, format_decibels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["precision_chart", "trace_chart", "weights_chart"]

_MOST_POINTS = 150
"""More layers are drawn in groups of neighbours: nobody could tell the points apart."""
_MARKED = 60
_MOST_ROWS = 24
_NAME = 60
_Figure = Callable[[Sequence[LayerSide]], "float | None"]


@dataclass(frozen=True, slots=True)
class _Point:
    """One place along the depth, counted from 1, and its figure."""

    place: float
    value: float


def precision_chart(report: Comparison) -> Chart | None:
    """Bits per weight and share of zeros of every layer."""
    if not report.layers:
        return None
    sides = {
        "original": ([one.original for one in report.layers], ORIGINAL, "o"),
        "compressed": ([one.compressed for one in report.layers], COMPRESSED, "s"),
    }
    together = -(-len(report.layers) // _MOST_POINTS)

    def paint(axes: Sequence[Axes]) -> None:
        for panel, figure in zip(axes, (_bits, _zeros_percent), strict=True):
            for name, (layers, ink, shape) in sides.items():
                points = list(_grouped(layers, figure, together))
                _plot(panel, points, ink, shape, len(layers), name)
            panel.set_ylim(bottom=0)
            panel.set_xlim(0.5, len(report.layers) + 0.5)
            panel.xaxis.set_major_locator(few_ticks(integer=True))
            panel.grid(visible=False, axis="x")
        axes[1].set_ylim(top=max(axes[1].get_ylim()[1], 1))
        axes[0].set_ylabel("bits per weight")
        axes[1].set_ylabel("zeros, %")
        axes[1].set_xlabel("layer, from input to output")
        legend(axes[0])

    caption = "A layer that one of the models lacks has no mark there."
    if together > 1:
        caption += f" A point stands for {together} layers in a row, taken together."
    return draw("precision", "Bits and zeros by layer", caption, paint, height=3.5, panels=2)


def trace_chart(report: Comparison) -> Chart | None:
    """SQNR of the traced outputs."""
    found = [(one.name, one.sqnr_db) for one in report.trace]
    return _depth("trace", "SQNR of the outputs along the depth", "output", found)


def weights_chart(report: Comparison) -> Chart | None:
    """SQNR of the weights of every layer."""
    found = [(one.name, one.weight_sqnr_db) for one in report.layers]
    return _depth("weights", "SQNR of the weights along the depth", "layer", found)


def _depth(key: str, title: str, what: str, found: list[tuple[str, float | None]]) -> Chart | None:
    """Signal over noise in decibels from input to output; the lower, the more was lost."""
    known = [(at, name, value) for at, (name, value) in enumerate(found, 1) if value is not None]
    if not known:
        return None
    at, name, lowest = min(known, key=lambda one: one[2])
    together = -(-len(found) // _MOST_POINTS)
    groups = [known[i : i + together] for i in range(0, len(known), together)]
    points = [_Point(*min(((a, v) for a, _, v in group), key=lambda p: p[1])) for group in groups]

    def paint(axes: Sequence[Axes]) -> None:
        _plot(axes[0], points, COMPRESSED, "s", len(found), "")
        axes[0].plot([at], [lowest], "s", color=BAD, markersize=6)
        axes[0].set_xlim(0.5, len(found) + 0.5)
        axes[0].margins(y=0.12)
        axes[0].xaxis.set_major_locator(few_ticks(integer=True))
        axes[0].yaxis.set_major_locator(few_ticks())
        axes[0].grid(visible=False, axis="x")
        axes[0].set_ylabel("SQNR, dB")
        axes[0].set_xlabel(f"{what}, from input to output")

    caption = f"The lowest is {format_decibels(lowest)}, at {shortened(name, _NAME)}."
    if missing := len(found) - len(known):
        counted = f"{format_count(missing)} of {format_count(len(found))}"
        caption += f" {counted} are identical or cannot be compared."
    if together > 1:
        caption += f" A point is the lowest of {together} {what}s in a row."
    rows = [(name, format_decibels(value)) for name, value in found if value is not None]
    first = what
    if len(rows) > _MOST_ROWS:
        lows = sorted(known, key=lambda one: one[2])[:_MOST_ROWS]
        rows = [(name, format_decibels(value)) for _, name, value in lows]
        first = f"{what}, the {_MOST_ROWS} lowest"
    data = Section("", columns(first, "SQNR"), tuple(rows))
    return draw(key, title, caption, paint, data=data)


def _plot(
    axes: Axes, points: Sequence[_Point], ink: str, shape: str, count: int, name: str
) -> None:
    axes.plot(
        [point.place for point in points],
        [point.value for point in points],
        f"{shape}-" if count <= _MARKED else "-",
        color=ink,
        markersize=4,
        label=name or None,
    )


def _grouped(
    layers: Sequence[LayerSide | None], figure: _Figure, together: int
) -> Iterator[_Point]:
    """The figure of so many layers in a row at a time, where it is known of one of them."""
    for first in range(0, len(layers), together):
        group = [one for one in layers[first : first + together] if one is not None]
        value = figure(group)
        if value is not None:
            yield _Point(first + (min(together, len(layers) - first) + 1) / 2, value)


def _bits(layers: Sequence[LayerSide]) -> float | None:
    known = [one for one in layers if one.bits_per_weight is not None]
    parameters = sum(one.parameters for one in known)
    return 8 * sum(one.weight_bytes for one in known) / parameters if parameters else None


def _zeros_percent(layers: Sequence[LayerSide]) -> float | None:
    known = [(one.parameters, one.nonzero_parameters) for one in layers]
    counted = [(count, some) for count, some in known if some is not None and count]
    parameters = sum(count for count, _ in counted)
    if not parameters:
        return None
    return 100 * (1 - sum(some for _, some in counted) / parameters)
