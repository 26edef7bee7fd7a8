"""How every chart is drawn, so that they look alike."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compaudit.report.html.svg import inline_svg
from compaudit.report.layout import shortened
from compaudit.report.rows.base import Form, Section
from compaudit.units import without_controls

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import MaxNLocator

__all__ = [
    "BAD",
    "COMPRESSED",
    "GOOD",
    "INK",
    "MUTED",
    "ORIGINAL",
    "Chart",
    "Pair",
    "draw",
    "few_ticks",
    "labels",
    "legend",
    "paired_bars",
]

INK, MUTED, RULE, ORIGINAL, COMPRESSED, GOOD, BAD = (f"#0{n}0{n}0{n}" for n in range(1, 8))
_WIDTH = 5.0
"""Inches. A column of the page is a little wider, a phone a little narrower."""
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "compaudit",
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.color": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
}
_LETTERS = 26
_LABELLED = 10
"""So many pairs of bars have their figures beside them; more would be a thicket."""

_EMPTY_DECIMALS = re.compile(r"\.0+(?= |$)")

Pair = tuple[str, float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its text alternative: a sentence, and the figures where they are few."""

    title: str
    svg: str
    caption: str
    data: Section | None = None


def draw(
    key: str,
    title: str,
    caption: str,
    paint: Callable[[Sequence[Axes]], None],
    *,
    height: float = 2.4,
    panels: int = 1,
    data: Section | None = None,
) -> Chart:
    """A chart of `panels` one below another; `paint` fills their axes. Height in inches."""
    # Before the import, which has something to say where no home can be written to.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.figure import Figure

    caption = without_controls(caption)
    settings: dict[Any, Any] = _SETTINGS
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        # The browser has glyphs that matplotlib's font lacks; it only measures with it.
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
        paint(list(axes))
        svg = inline_svg(figure, key, f"{title}. {caption}")
    return Chart(title, svg, caption, data)


def _label(name: str) -> str:
    """A name as an axis can carry it."""
    return shortened(without_controls(name), _LETTERS)


def labels(names: Sequence[str]) -> list[str]:
    """Names as an axis can carry them; where their middles tell them apart, only their ends."""
    short = [_label(name) for name in names]
    if len({*short}) == len({*names}):
        return short
    return [
        name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"
        for name in map(without_controls, names)
    ]


def legend(axes: Axes, columns: int = 2) -> None:
    """What the colours mean, above the drawing."""
    axes.legend(
        loc="lower left",
        ncols=columns,
        bbox_to_anchor=(-0.02, 1),
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=1.4,
    )


def few_ticks(*, integer: bool = False) -> MaxNLocator:
    """Where an axis has its marks: few, and at round numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(8 if integer else 5, integer=integer, steps=[1, 2, 5, 10])


def paired_bars(axes: Axes, shown: Sequence[Pair], form: Form) -> None:
    """A bar of the original and one of the compressed model for every name."""
    places = range(len(shown))
    for side, ink, shift, name in (
        (1, ORIGINAL, -0.2, "original"),
        (2, COMPRESSED, 0.2, "compressed"),
    ):
        values = [float(pair[side]) for pair in shown]
        bars = axes.barh([p + shift for p in places], values, 0.36, color=ink, label=name)
        if len(shown) <= _LABELLED:
            written = [form(value) if value else "" for value in values]
            axes.bar_label(bars, written, padding=3, fontsize=8, color=MUTED)
    axes.set_yticks(list(places), labels([pair[0] for pair in shown]))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.14 if len(shown) <= _LABELLED else 0.03)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: _EMPTY_DECIMALS.sub("", form(value)))
    axes.xaxis.set_major_locator(few_ticks())
    legend(axes)
