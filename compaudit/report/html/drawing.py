"""How every chart is drawn, so that they look alike."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compaudit.report.html.svg import inline_svg
from compaudit.report.layout import shortened
from compaudit.report.rows.base import Section
from compaudit.units import without_controls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BAD", "COMPRESSED", "GOOD", "INK", "MUTED", "ORIGINAL", "Chart", "draw", "label"]

INK, MUTED, RULE, ORIGINAL, COMPRESSED, GOOD, BAD = (f"#0{n}0{n}0{n}" for n in range(1, 8))
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "compaudit",
    "text.parse_math": False,
    "font.size": 10,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}
_LETTERS = 26


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
    height: float = 3.0,
    panels: int = 1,
    data: Section | None = None,
) -> Chart:
    """A chart of `panels` one below another; `paint` fills their axes. Height in inches."""
    import matplotlib
    from matplotlib.figure import Figure

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    settings: dict[Any, Any] = _SETTINGS
    with warnings.catch_warnings(), matplotlib.rc_context(settings):
        # The browser has glyphs that matplotlib's font lacks; it only measures with it.
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(6.4, height), layout="constrained")
        axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
        paint(list(axes))
        svg = inline_svg(figure, key, f"{title}. {caption}")
    return Chart(title, svg, caption, data)


def label(name: str) -> str:
    """A name as an axis can carry it."""
    return shortened(without_controls(name), _LETTERS)
