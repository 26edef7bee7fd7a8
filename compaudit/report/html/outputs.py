"""Charts of how far the outputs are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from compaudit.report.html.drawing import (
    BAD,
    COMPRESSED,
    GOOD,
    INK,
    MUTED,
    Chart,
    draw,
    few_ticks,
    labels,
    legend,
)
from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison, Distribution, Histogram
from compaudit.units import format_count, format_number, format_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["classes_chart", "divergence_chart"]

_QUANTILES = ("p50", "p90", "p99", "p999", "max")
_TITLES = ("median", "p90", "p99", "p99.9", "max")
_MOST = 15
_SURE = 0.05
_DECADES = 2
"""How far from the values the noise floor may lie to have a line of its own."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def divergence_chart(report: Comparison) -> Chart | None:
    """How KL is distributed over the samples; its quantiles where no histogram was kept."""
    found = report.divergence
    kl = found.kl if found else None
    if found is None or kl is None:
        return None
    figures = tuple(format_number(getattr(kl, name)) for name in _QUANTILES)
    data = Section("", columns("", *_TITLES), (("KL", *figures),))
    caption = f"The mean is {format_number(kl.mean.value)} nats, the worst {format_number(kl.max)}."
    if kl.noise_floor is not None:
        caption += f" The noise floor is {format_number(kl.noise_floor)}."
    title = "KL(original‖compressed)"
    bins = kl.histogram
    if bins is not None and bins.counts:
        what = f"{found.per}s"
        if bins.zeros:
            caption += f" Of {format_count(bins.zeros)} {what} it is zero."
        return draw("kl", title, caption, lambda a: _bins(a[0], bins, kl, what), data=data)
    if bins is not None:
        return None  # all of them are zero, as the table says
    return draw("kl", title, caption, lambda a: _quantiles(a[0], kl), data=data)


def _bins(axes: Axes, bins: Histogram, kl: Distribution, what: str) -> None:
    widths = [high - low for low, high in zip(bins.edges, bins.edges[1:], strict=False)]
    axes.bar(bins.edges[:-1], bins.counts, widths, align="edge", color=COMPRESSED, linewidth=0)
    axes.set_xscale("log")
    if kl.mean.value > 0:
        axes.axvline(kl.mean.value, color=INK, linestyle="--", linewidth=1.2, label="mean")
    floor = kl.noise_floor
    if floor and bins.edges[0] / 10**_DECADES < floor < bins.edges[-1] * 10**_DECADES:
        axes.axvline(floor, color=MUTED, linestyle=":", linewidth=1.4, label="noise floor")
    _decades(axes)
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(few_ticks(integer=True))
    axes.set_xlabel("nats")
    axes.set_ylabel(what)
    legend(axes)


def _quantiles(axes: Axes, kl: Distribution) -> None:
    values = [float(getattr(kl, name)) for name in _QUANTILES]
    axes.plot(range(len(values)), values, "s-", color=COMPRESSED, label="KL")
    axes.axhline(kl.mean.value, color=INK, linestyle="--", linewidth=1.2, label="mean")
    floor = kl.noise_floor
    if floor and min(values) / 10**_DECADES < floor:
        axes.axhline(floor, color=MUTED, linestyle=":", linewidth=1.4, label="noise floor")
    if min(values) > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: _power(value))
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xticks(range(len(values)), list(_TITLES))
    axes.set_ylabel("nats")
    legend(axes, columns=3)


def _decades(axes: Axes) -> None:
    """Marks at powers of ten; where there are too few of those, between them too."""
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    low, high = axes.get_xlim()
    if math.log10(high / low) >= _DECADES:
        axes.xaxis.set_major_locator(LogLocator(numticks=7))
        axes.xaxis.set_major_formatter(lambda value, _: _power(value))
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=7))
        axes.xaxis.set_major_formatter(lambda value, _: format_number(value, 1))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    """A power of ten: ``10⁻⁴``."""
    return "10" + str(round(math.log10(value))).translate(_SUPERSCRIPTS)


def classes_chart(report: Comparison) -> Chart | None:
    """The change of accuracy within the classes that lost and gained most."""
    classes = sorted(report.accuracy.per_class if report.accuracy else (), key=lambda c: c.delta)
    if len(classes) < 2:
        return None
    shown = classes if len(classes) <= 2 * _MOST else [*classes[:_MOST], *classes[-_MOST:]]
    names = [one.name or str(one.label) for one in shown]

    def paint(axes: Sequence[Axes]) -> None:
        inks = [MUTED if c.p_value >= _SURE else BAD if c.delta < 0 else GOOD for c in shown]
        places, changes = range(len(shown)), [100 * c.delta for c in shown]
        axes[0].barh(places, changes, 0.6, color=inks)
        axes[0].axvline(0, color=INK, linewidth=1)
        axes[0].set_yticks(places, labels(names))
        axes[0].tick_params(axis="y", labelcolor=INK)
        axes[0].set_ylim(len(shown) - 0.4, -0.6)
        axes[0].margins(x=0.08)
        axes[0].grid(visible=False, axis="y")
        axes[0].xaxis.set_major_locator(few_ticks())
        axes[0].set_xlabel("change of accuracy, pp")

    which = "" if len(shown) == len(classes) else ", those that lost and gained most"
    caption = (
        f"{format_count(len(shown))} of {format_count(len(classes))} classes{which}; grey where "
        "chance explains the change (p ≥ 0.05)."
    )
    rows = tuple((n, format_points(c.delta)) for n, c in zip(names, shown, strict=True))
    data = Section("", columns("class", "change"), rows)
    height = 0.6 + 0.23 * len(shown)
    return draw("classes", "Accuracy by class", caption, paint, height=height, data=data)
