"""What a ranking is about in two drawings: how good each model still is, over α and over δ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from compaudit.report.html.drawing import COMPRESSED, MUTED, ORIGINAL, Chart, draw, labels
from compaudit.report.html.labels import write_names
from compaudit.report.rows.base import Form, Section, columns, interval, model_name, plain
from compaudit.report.rows.metrics import headline
from compaudit.results import Candidate, Estimate, Ranking
from compaudit.units import format_count, format_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Point", "best_of", "tradeoff_charts", "without_outliers"]

_Kind = Literal["original", "front", "perhaps", "likely dominated", "dominated", "unknown"]
_KINDS: dict[_Kind, str] = {
    "original": "original",
    "front": "on the front",
    "perhaps": "perhaps",
    "likely dominated": "perhaps not",
    "dominated": "dominated",
    "unknown": "not placed",
}
_INKS: dict[_Kind, str] = {"original": ORIGINAL, "front": COMPRESSED, "perhaps": COMPRESSED}
_Line = tuple[tuple[float, float], tuple[float, float]]
_FAR = 3.0
"""Below a gap of so many times what all better models and their intervals take up, a model is an
outlier."""
_FEW = 3
_SHARES = ("top1", "top5")


@dataclass(frozen=True, slots=True)
class Quality:
    """What models are as good as by.

    Attributes:
        name: along the axis.
        form: how a figure of it is written.
        higher: whether more of it is better.
        intervals: what its intervals are of.
        most: what it can be at most, if anything.
        of: its value with its interval; None where it was not measured.
        original: the original's.
    """

    name: str
    form: Form
    higher: bool
    intervals: str
    most: float | None
    of: Callable[[Candidate], Estimate | None]
    original: float


@dataclass(frozen=True, slots=True)
class Point:
    """A model in a drawing."""

    name: str
    x: Estimate
    y: Estimate
    kind: _Kind


def tradeoff_charts(report: Ranking) -> tuple[Chart, ...]:
    """Quality over α of the file and over δ; those without figures are left out."""
    quality = _quality_of(report)
    if quality is None:
        return ()
    drawn = (
        _chart(report, quality, "alpha", "α of the file", _alpha),
        _chart(report, quality, "delta", "speed-up δ", lambda one: one.delta),
    )
    return tuple(chart for chart in drawn if chart is not None)


def best_of(points: Sequence[Point], *, higher: bool) -> list[Point]:
    """Those that no other beats in both figures as measured, by rising x."""
    sign = 1 if higher else -1
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (-one.x.value, -sign * one.y.value)):
        if not found or sign * point.y.value > sign * found[-1].y.value:
            found.append(point)
    return found[::-1]


def without_outliers(figures: Sequence[Estimate], *, higher: bool) -> float | None:
    """Up to where an axis shows figures, so that a ruined model does not squeeze all others.

    Returns:
        The worst value that is no outlier; None where there is no outlier.
    """
    ordered = sorted(figures, key=lambda one: one.value, reverse=higher)
    for at in range(_FEW, len(ordered)):
        better = [edge for one in ordered[:at] for edge in _edges(one)]
        spread = max(max(better) - min(better), 1e-3 * abs(ordered[0].value), 1e-12)
        if abs(ordered[at].value - ordered[at - 1].value) > _FAR * spread:
            return ordered[at - 1].value
    return None


# ------------------------------------------------------------------------------------ figures


def _quality_of(report: Ranking) -> Quality | None:
    """The task's own metric; without data that has right answers, KL from the original."""
    known = next((one.accuracy for one in report.candidates if one.accuracy is not None), None)
    first = headline(known) if known is not None else None
    if first is None:
        if not any(_kl(one) for one in report.candidates):
            return None
        return Quality("KL(original‖compressed)", plain, False, "the mean", None, _kl, 0.0)
    metric, pair = first
    start = pair.original.value

    def of(one: Candidate) -> Estimate | None:
        found = headline(one.accuracy) if one.accuracy is not None else None
        if found is None or found[0].key != metric.key:
            return None
        value, change = found[1].compressed.value, found[1].delta
        if change.low is None or change.high is None:
            return Estimate(value=value, low=None, high=None)
        low, high = start + change.low, start + change.high
        if metric.key in _SHARES:
            low, high = max(low, 0.0), min(high, 1.0)
        return Estimate(value=value, low=low, high=high)

    higher = metric.higher_is_better is not False
    most = 1.0 if metric.key in _SHARES else None
    change = "its change from the original, paired"
    return Quality(metric.label, metric.form, higher, change, most, of, start)


def _kl(one: Candidate) -> Estimate | None:
    found = one.divergence.kl if one.divergence is not None else None
    return None if found is None else found.mean


def _alpha(one: Candidate) -> Estimate | None:
    value = None if one.alpha is None else one.alpha.file_bytes
    return None if value is None else Estimate(value=value, low=None, high=None)


def _points(
    report: Ranking, quality: Quality, figure: Callable[[Candidate], Estimate | None]
) -> list[Point]:
    one = Estimate(value=1.0, low=None, high=None)
    start = Estimate(value=quality.original, low=None, high=None)
    found = [Point(model_name(report.original), one, start, "original")]
    for candidate in report.candidates:
        x, y = figure(candidate), quality.of(candidate)
        if x is not None and y is not None:
            found.append(Point(candidate.label, x, y, _kind(candidate)))
    return found


def _kind(candidate: Candidate) -> _Kind:
    standing = candidate.standing
    if standing is None:
        return "unknown"
    if not standing.on_front:
        return "dominated"
    if standing.sure:
        return "front"
    return "likely dominated" if standing.likely_dominated_by else "perhaps"


# ------------------------------------------------------------------------------------ drawing


def _chart(
    report: Ranking,
    quality: Quality,
    key: str,
    name: str,
    figure: Callable[[Candidate], Estimate | None],
) -> Chart | None:
    points = _points(report, quality, figure)
    if len(points) < 2:
        return None
    best = best_of(points, higher=quality.higher)
    axes = 1 if report.front is None else len(report.front.axes)
    several = f" of all {format_count(axes)} axes" if axes > 1 else ""
    caption = (
        f"{format_count(len(points))} models; up and to the right is better. The line: measured, "
        f"no model beats {_listed(best)} in both. Filled: surely on the front{several}; hollow: "
        f"perhaps; grey: not, surely or as measured. Bars are intervals of {quality.intervals}"
        f"{', and of δ' if key == 'delta' else ''}."
    )
    rows = tuple(
        (
            point.name,
            f"{format_rate(point.x.value)} {interval(point.x, format_rate)}".rstrip(),
            f"{quality.form(point.y.value)} {interval(point.y, quality.form)}".rstrip(),
            _KINDS[point.kind],
        )
        for point in points
    )
    return draw(
        f"tradeoff-{key}",
        f"{quality.name[:1].upper()}{quality.name[1:]} against {name}",
        caption,
        lambda axes: _paint(axes[0], points, best, quality, name),
        height=4.2,
        data=Section("", columns("model", name, quality.name, "", words="last"), rows),
    )


def _paint(
    axes: Axes, points: Sequence[Point], best: Sequence[Point], quality: Quality, name: str
) -> None:
    worst = without_outliers([point.y for point in points], higher=quality.higher)
    shown = [p for p in points if worst is None or _no_worse(p.y.value, worst, quality.higher)]
    low, high = _limits([edge for point in shown for edge in _edges(point.y)])
    if quality.most is not None:
        high = min(high, quality.most + (high - low) * 0.03)
    axes.set_xlim(*_limits([edge for point in points for edge in _edges(point.x)], 0.16))
    axes.set_ylim((low, high) if quality.higher else (high, low))
    bottom = low if quality.higher else high
    for point in points:
        _mark(axes, point, point.y.value if point in shown else bottom, out=point not in shown)
    stairs = _stairs([point for point in best if point in shown], axes.get_xlim()[0], bottom)
    for (left, start), (right, end) in stairs:
        axes.plot([left, right], [start, end], color=COMPRESSED, linewidth=1, zorder=1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.yaxis.set_major_formatter(lambda value, _: quality.form(value))
    axes.set(xlabel=name, ylabel=quality.name)
    short = _short([point.name for point in points])
    write_names(
        axes,
        [(point.x.value, point.y.value if point in shown else bottom) for point in points],
        [
            text if point in shown else f"{text}: {quality.form(point.y.value)}"
            for text, point in zip(short, points, strict=True)
        ],
        [*stairs, *(line for point in shown for line in _bars(point))],
    )


def _mark(axes: Axes, point: Point, y: float, *, out: bool) -> None:
    ink = _INKS.get(point.kind, MUTED)
    for (left, start), (right, end) in () if out else _bars(point):
        axes.plot([left, right], [start, end], color=ink, linewidth=1, alpha=0.6, zorder=2)
    filled = point.kind in ("front", "original")
    shape = "D" if point.kind == "original" else "v" if out else "o"
    axes.plot(
        [point.x.value],
        [y],
        shape,
        color=ink,
        markersize=7,
        # A hollow mark shows the grid through it, as no colour is the page's in light and dark.
        markerfacecolor=ink if filled else "none",
        clip_on=False,
        zorder=3,
    )


def _bars(point: Point) -> list[_Line]:
    """The intervals of a model, level and upright."""
    x, y, found = point.x, point.y, list[_Line]()
    if x.low is not None and x.high is not None:
        found.append(((x.low, y.value), (x.high, y.value)))
    if y.low is not None and y.high is not None:
        found.append(((x.value, y.low), (x.value, y.high)))
    return found


def _stairs(best: Sequence[Point], left: float, bottom: float) -> list[_Line]:
    """From the left edge along those that no other beats, down to the bottom."""
    found: list[_Line] = []
    for point, following in pairwise([*best, None]):
        assert point is not None
        x, y = point.x.value, point.y.value
        found += [
            ((left, y), (x, y)),
            ((x, y), (x, bottom if following is None else following.y.value)),
        ]
        left = x
    return found


def _edges(figure: Estimate) -> list[float]:
    return [edge for edge in (figure.value, figure.low, figure.high) if edge is not None]


def _limits(values: Sequence[float], margin: float = 0.1) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * margin or max(abs(high) * 0.05, 1e-6)
    return low - room, high + room


def _no_worse(value: float, worst: float, higher: bool) -> bool:
    return value >= worst if higher else value <= worst


def _short(names: Sequence[str]) -> list[str]:
    """Without the suffix where all have the same, and no longer than fits."""
    suffixes = {PurePath(name).suffix for name in names}
    end = suffixes.pop() if len(suffixes) == 1 else ""
    return labels([name.removesuffix(end) or name for name in names])


def _listed(points: Sequence[Point]) -> str:
    names = labels([point.name for point in points[:4]])
    if len(points) > len(names):
        return f"{', '.join(names)} and {len(points) - len(names)} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
