"""Charts of models over batch sizes or threads: latency, throughput and δ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compaudit.report.html.drawing import (
    COMPRESSED,
    INK,
    MUTED,
    ORIGINAL,
    Chart,
    draw,
    few_ticks,
    legend,
)
from compaudit.report.rows.base import Form, Section, columns
from compaudit.report.rows.benchmark import axis_of, crossover_text, line_name
from compaudit.results import Benchmark, Estimate, SettingResult, TimedModel
from compaudit.units import format_count, format_rate, format_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curves_of"]

_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", ":", "-.")
_MOST_LINES = 12
"""More in one chart cannot be told apart; the table has them all."""

Read = Callable[[TimedModel], Estimate | None]


@dataclass(frozen=True, slots=True)
class _Line:
    """One model along the axis, all else the same.

    Attributes:
        name: as the legend shows it.
        ink, shape, dash: how it is drawn.
        points: places on the axis, and the model there.
    """

    name: str
    ink: str
    shape: str
    dash: str
    points: list[tuple[int, TimedModel]]


def curves_of(report: Benchmark) -> tuple[Chart, ...]:
    """The three charts; none where only one value of every setting was measured."""
    axis = axis_of(report)
    if axis is None:
        return ()
    lines = list(_lines(report, axis))
    shown = lines[:_MOST_LINES]
    left_out = f" The first {_MOST_LINES} of {len(lines)} lines." if len(lines) > len(shown) else ""
    others = [line for line in shown if any(timed.delta for _, timed in line.points)]
    unit = "batch size" if axis == "batch_size" else "threads"
    charts = [
        _chart(
            "curve-latency",
            "Latency",
            f"Median time of a whole batch over the {unit}, with its interval.{left_out}",
            shown,
            unit,
            _median,
            format_seconds,
        ),
        _chart(
            "curve-throughput",
            "Throughput",
            f"Samples a second over the {unit}.{left_out}",
            shown,
            unit,
            _throughput,
            _per_second,
        ),
    ]
    if others:
        found = " ".join(f"{crossover_text(one)}." for one in report.crossovers)
        charts.append(
            _chart(
                "curve-delta",
                "Speed-up",
                f"δ against {report.settings[0].models[0].model}; the line stands at 1×, no "
                f"change. {found}".rstrip(),
                others,
                unit,
                lambda timed: timed.delta,
                format_rate,
                line_at=1.0,
            )
        )
    return tuple(charts)


def _chart(
    key: str,
    title: str,
    caption: str,
    lines: Sequence[_Line],
    unit: str,
    read: Read,
    form: Form,
    *,
    line_at: float | None = None,
) -> Chart:
    ticks = sorted({at for line in lines for at, _ in line.points})

    def paint(axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import LogLocator

        (area,) = axes
        if line_at is not None:
            area.axhline(line_at, color=INK, linewidth=1)
        for line in lines:
            found = [(at, value) for at, timed in line.points if (value := read(timed))]
            area.plot(
                [at for at, _ in found],
                [value.value for _, value in found],
                line.shape + line.dash,
                color=line.ink,
                markersize=5,
                label=line.name,
            )
            for at, value in found:
                if value.low is not None and value.high is not None:
                    area.plot([at, at], [value.low, value.high], color=line.ink, linewidth=2.5)
        area.set_xscale("log", base=2)
        area.set_xticks(ticks, [format_count(tick) for tick in ticks])
        area.set_xticks([], minor=True)
        if line_at is None:
            area.set_yscale("log")
            area.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            area.yaxis.set_minor_formatter(lambda value, _: "")
        else:
            area.yaxis.set_major_locator(few_ticks())
        area.yaxis.set_major_formatter(lambda value, _: form(value))
        area.tick_params(axis="y", labelcolor=MUTED)
        area.set_xlabel(unit)
        legend(area, columns=1 if len(lines) > 2 else 2)

    rows = tuple(
        (line.name, *(form(value.value) if value else "" for value in _along(line, ticks, read)))
        for line in lines
    )
    data = Section("", columns("", *map(str, ticks)), rows)
    height = 2.6 + 0.19 * (len(lines) if len(lines) > 2 else 1)
    return draw(key, title, caption, paint, height=height, data=data)


def _lines(report: Benchmark, axis: str) -> Iterator[_Line]:
    groups: dict[tuple[object, ...], list[SettingResult]] = {}
    for one in report.settings:
        key = (one.device, one.batch_size if axis == "threads" else one.threads)
        groups.setdefault(key, []).append(one)
    for dash, group in enumerate(groups.values()):
        for place, model in enumerate(group[0].models):
            yield _Line(
                line_name(model.model, group[0], report, axis),
                COMPRESSED if place else ORIGINAL,
                _SHAPES[place % len(_SHAPES)],
                _DASHES[dash % len(_DASHES)],
                [(getattr(one, axis), one.models[place]) for one in group],
            )


def _along(line: _Line, ticks: Sequence[int], read: Read) -> list[Estimate | None]:
    values = {at: read(timed) for at, timed in line.points}
    return [values.get(tick) for tick in ticks]


def _median(timed: TimedModel) -> Estimate | None:
    return timed.latency.median_s if timed.latency else None


def _throughput(timed: TimedModel) -> Estimate | None:
    """From the mean time and its interval: the slowest gives the fewest."""
    latency = timed.latency
    if latency is None or latency.mean_s is None:
        return None
    mean, batch = latency.mean_s, latency.batch_size
    return Estimate(
        value=batch / mean.value,
        low=None if mean.high is None else batch / mean.high,
        high=None if not mean.low else batch / mean.low,
    )


def _per_second(rate: float | None) -> str:
    return f"{format_count(rate)}/s"
