"""Charts of where the bytes, the bits and the errors of a network are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from compaudit.report.html.drawing import COMPRESSED, ORIGINAL, Chart, draw, label
from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison, LayerSide
from compaudit.units import format_bytes, format_count, format_decibels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

__all__ = ["depth_chart", "layer_bytes_chart", "precision_chart", "role_chart"]

_MOST = 30
_Pair = tuple[str, float, float]


def layer_bytes_chart(report: Comparison) -> Chart | None:
    """Weight bytes of the layers that hold most, and of the rest together."""
    pairs = [(one.name, _bytes(one.original), _bytes(one.compressed)) for one in report.layers]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: -max(pair[1:]))
    shown, rest = pairs[:_MOST], pairs[_MOST:]
    if rest:
        name = f"the other {format_count(len(rest))}"
        shown.append((name, sum(p[1] for p in rest), sum(p[2] for p in rest)))
    whole = [
        format_bytes(sum(figures)) for figures in zip(*(pair[1:] for pair in pairs), strict=True)
    ]
    caption = f"{format_count(len(pairs))} layers, {whole[0]} in the original, {whole[1]} after."
    rows = tuple((name, format_bytes(a), format_bytes(b)) for name, a, b in shown)
    data = Section("", columns("layer", "original", "compressed"), rows)
    title = "Weight bytes by layer"
    return draw(
        "bytes",
        title,
        caption,
        lambda axes: _bars(axes[0], shown, format_bytes),
        height=1.1 + 0.3 * len(shown),
        data=data,
    )


def role_chart(report: Comparison) -> Chart | None:
    """Stored elements by role: the report holds no bytes of roles."""
    before, after = report.original.elements_by_role, report.compressed.elements_by_role
    shown = [(role, before.get(role, 0), after.get(role, 0)) for role in {**before, **after}]
    if not shown:
        return None
    rows = tuple((role, format_count(a), format_count(b)) for role, a, b in shown)
    return draw(
        "roles",
        "Elements by role",
        "How many stored numbers are weights, biases, scales and others.",
        lambda axes: _bars(axes[0], [(r, float(a), float(b)) for r, a, b in shown], format_count),
        height=1.1 + 0.4 * len(shown),
        data=Section("", columns("role", "original", "compressed"), rows),
    )


def precision_chart(report: Comparison) -> Chart | None:
    """Bits per weight and share of zeros of every layer, along the depth."""
    if not report.layers:
        return None
    sides = {
        "original": [one.original for one in report.layers],
        "compressed": [one.compressed for one in report.layers],
    }

    def paint(axes: Sequence[Axes]) -> None:
        for place, figure in enumerate((_bits, _zeros_percent)):
            for (name, found), ink in zip(sides.items(), (ORIGINAL, COMPRESSED), strict=True):
                values = [math.nan if one is None else figure(one) for one in found]
                axes[place].plot(range(1, len(values) + 1), values, _mark(len(values), name))
                axes[place].lines[-1].set(color=ink, markersize=5, label=name)
            axes[place].set_ylim(bottom=0)
            axes[place].xaxis.set_major_locator(_few_ticks(integer=True))
        axes[0].set_ylabel("bits per weight")
        axes[1].set_ylabel("zeros, %")
        axes[1].set_xlabel("layer, from input to output")
        axes[0].legend(loc="lower left", ncols=2, bbox_to_anchor=(0, 1))

    caption = "Gaps are layers that one of the models lacks, or whose figure was not measured."
    return draw("precision", "Bits and zeros by layer", caption, paint, height=4.2, panels=2)


def depth_chart(report: Comparison) -> Chart | None:
    """SQNR of the traced outputs, else of the weights, along the depth."""
    traced = [one.sqnr_db for one in report.trace]
    values = traced or [one.weight_sqnr_db for one in report.layers]
    known = [value for value in values if value is not None]
    if not known:
        return None
    what = "intermediate outputs" if traced else "weights of the layers"

    def paint(axes: Sequence[Axes]) -> None:
        places = range(1, len(values) + 1)
        heights = [math.nan if value is None else value for value in values]
        axes[0].plot(places, heights, _mark(len(values), "compressed"), color=COMPRESSED)
        axes[0].set_xlim(0.5, len(values) + 0.5)
        axes[0].xaxis.set_major_locator(_few_ticks(integer=True))
        axes[0].set_ylabel("SQNR, dB")
        axes[0].set_xlabel(f"{'output' if traced else 'layer'}, from input to output")

    caption = (
        f"Of the {what}: {format_count(len(known))} of {format_count(len(values))} have a figure, "
        f"the lowest {format_decibels(min(known))}. "
        "Those without are identical or cannot be compared."
    )
    return draw("depth", "SQNR along the depth", caption, paint)


def _bars(axes: Axes, shown: Sequence[_Pair], form: Callable[[float], str]) -> None:
    places = range(len(shown))
    for side, ink, shift, name in (
        (1, ORIGINAL, -0.2, "original"),
        (2, COMPRESSED, 0.2, "compressed"),
    ):
        axes.barh([p + shift for p in places], [pair[side] for pair in shown], 0.38, color=ink)
        axes.containers[-1].set_label(name)
    axes.set_yticks(list(places), [label(pair[0]) for pair in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: form(value))
    axes.xaxis.set_major_locator(_few_ticks())
    axes.legend(loc="lower left", ncols=2, bbox_to_anchor=(0, 1))


def _few_ticks(*, integer: bool = False) -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(8 if integer else 5, integer=integer)


def _mark(count: int, side: str) -> str:
    shape = "o" if side == "original" else "s"
    return "-" if count > 60 else f"{shape}-"


def _bytes(side: LayerSide | None) -> float:
    return 0.0 if side is None else float(side.weight_bytes)


def _bits(side: LayerSide) -> float:
    return math.nan if side.bits_per_weight is None else side.bits_per_weight


def _zeros_percent(side: LayerSide) -> float:
    if side.nonzero_parameters is None or not side.parameters:
        return math.nan
    return 100 * (1 - side.nonzero_parameters / side.parameters)
