"""Charts of how far the outputs are apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compaudit.report.html.drawing import BAD, COMPRESSED, GOOD, INK, MUTED, Chart, draw, label
from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison
from compaudit.units import format_count, format_number, format_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["classes_chart", "divergence_chart"]

_QUANTILES = ("p50", "p90", "p99", "p999", "max")
_TITLES = ("median", "p90", "p99", "p99.9", "max")
_MOST = 15
_SURE = 0.05


def divergence_chart(report: Comparison) -> Chart | None:
    """Quantiles of KL over the samples."""
    kl = report.divergence.kl if report.divergence else None
    if kl is None:
        return None
    values = [float(getattr(kl, name)) for name in _QUANTILES]

    def paint(axes: Sequence[Axes]) -> None:
        axes[0].plot(range(len(values)), values, "s-", color=COMPRESSED, label="KL")
        axes[0].axhline(kl.mean.value, color=INK, linestyle="--", label="mean")
        if kl.noise_floor:
            axes[0].axhline(kl.noise_floor, color=MUTED, linestyle=":", label="noise floor")
        if min(values) > 0:
            axes[0].set_yscale("log")
            axes[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
            axes[0].yaxis.set_minor_formatter(lambda value, _: "")
        axes[0].set_xticks(range(len(values)), list(_TITLES))
        axes[0].set_ylabel("nats")
        axes[0].legend(loc="lower left", ncols=3, bbox_to_anchor=(0, 1))

    caption = f"The mean is {format_number(kl.mean.value)} nats, the worst {format_number(kl.max)}."
    data = Section("", columns("", *_TITLES), (("KL", *map(format_number, values)),))
    return draw("kl", "KL(original‖compressed)", caption, paint, data=data)


def classes_chart(report: Comparison) -> Chart | None:
    """The change of accuracy within the classes that lost and gained most."""
    classes = sorted(report.accuracy.per_class if report.accuracy else (), key=lambda c: c.delta)
    if len(classes) < 2:
        return None
    shown = classes if len(classes) <= 2 * _MOST else [*classes[:_MOST], *classes[-_MOST:]]
    names = [one.name or str(one.label) for one in shown]

    def paint(axes: Sequence[Axes]) -> None:
        inks = [MUTED if c.p_value >= _SURE else BAD if c.delta < 0 else GOOD for c in shown]
        axes[0].barh(range(len(shown)), [100 * c.delta for c in shown], 0.7, color=inks)
        axes[0].axvline(0, color=INK, linewidth=1)
        axes[0].set_yticks(range(len(shown)), [label(name) for name in names])
        axes[0].set_ylim(len(shown) - 0.4, -0.6)
        axes[0].grid(visible=False, axis="y")
        axes[0].set_xlabel("change of accuracy, pp")

    caption = (
        f"{format_count(len(shown))} of {format_count(len(classes))} classes, those that lost and "
        "gained most; grey where chance explains the change (p ≥ 0.05)."
    )
    rows = tuple((n, format_points(c.delta)) for n, c in zip(names, shown, strict=True))
    data = Section("", columns("class", "change"), rows)
    height = 0.9 + 0.26 * len(shown)
    return draw("classes", "Accuracy by class", caption, paint, height=height, data=data)
