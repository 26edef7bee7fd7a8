"""Charts of how long the models take, in the order of the run, and of δ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
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
from compaudit.report.rows.base import Section, columns, interval
from compaudit.results import Comparison, RawBlock
from compaudit.units import format_count, format_rate, format_seconds, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["delta_chart", "latency_chart"]

_POINTS = 600
_MOST_LINES = 60
_SIDES = (("original", ORIGINAL, "o"), ("compressed", COMPRESSED, "s"))
_NEARLY_ALL = 0.99
"""What is slower than so many calls would squeeze all others into a corner."""


def latency_chart(report: Comparison) -> Chart | None:
    """Every timed block and how the times are distributed; without blocks, what sums them up."""
    if report.samples is None or not report.samples.blocks:
        return _summary_chart(report)
    blocks = report.samples.blocks
    together = -(-len(blocks) // _POINTS)
    times = {name: _times_ms(blocks, name) for name, _, _ in _SIDES}
    highest, limit = _limit([_call_ms(one) for one in blocks])
    slowest, slow = _limit([time for found in times.values() for time in found])

    def paint(axes: Sequence[Axes]) -> None:
        for name, ink, shape in _SIDES:
            own = [(at, one) for at, one in enumerate(blocks, 1) if one.model == name]
            groups = [own[i : i + together] for i in range(0, len(own), together)]
            xs = [sum(at for at, _ in group) / len(group) for group in groups]
            ys = [sum(_call_ms(one) for _, one in group) / len(group) for group in groups]
            axes[0].plot(xs, ys, shape, color=ink, markersize=3.5, label=name)
            if found := times[name]:
                picked = [round(i * (len(found) - 1) / 200) for i in range(201)]
                axes[1].plot([found[i] for i in picked], [i / 2 for i in range(201)], color=ink)
        if blocks[-1].epoch <= _MOST_LINES:
            for at, (one, after) in enumerate(pairwise(blocks), 1):
                if one.epoch != after.epoch:
                    axes[0].axvline(at + 0.5, color=MUTED, linewidth=0.6, linestyle=":")
        axes[0].set(xlabel="timed block, in the order of the run", ylabel="ms a call")
        axes[0].set_ylim(0, limit)
        axes[0].grid(visible=False, axis="x")
        axes[1].set(xlabel="ms a call", ylabel="% of calls not slower")
        axes[1].set_xlim(0, slow)
        legend(axes[0])

    caption = f"{format_count(len(blocks))} timed blocks"
    if blocks[-1].epoch:
        caption += "; dotted lines stand between pairs of fresh processes"
    caption += f". A point is the mean of {together} blocks of one model." if together > 1 else "."
    if slowest > slow or highest > limit:
        caption += f" The slowest 1 % lie outside, up to {format_seconds(slowest / 1e3)}."
    return draw("latency", "Latency", caption, paint, height=4.2, panels=2)


def _summary_chart(report: Comparison) -> Chart | None:
    """The median with its interval, p90 and p99: what a report keeps without raw blocks."""
    found = [
        (name, ink, shape, latency, median)
        for (name, ink, shape), model in zip(
            _SIDES, (report.original, report.compressed), strict=True
        )
        if (latency := model.latency) is not None and (median := latency.median_s) is not None
    ]
    if not found:
        return None

    def paint(axes: Sequence[Axes]) -> None:
        for place, (_, ink, shape, latency, median) in enumerate(found):
            tails = [1e3 * one for one in (latency.p90_s, latency.p99_s) if one is not None]
            if tails:
                line = [1e3 * median.value, tails[-1]]
                axes[0].plot(line, [place] * 2, color=ink, linewidth=1)
                axes[0].plot(tails, [place] * len(tails), "|", color=ink, markersize=11)
            if median.low is not None and median.high is not None:
                bounds = [1e3 * median.low, 1e3 * median.high]
                axes[0].plot(bounds, [place] * 2, color=ink, linewidth=4, solid_capstyle="butt")
            axes[0].plot([1e3 * median.value], [place], shape, color=ink, markersize=7)
        axes[0].set_yticks(range(len(found)), [name for name, *_ in found])
        axes[0].tick_params(axis="y", labelcolor=INK)
        axes[0].set_ylim(len(found) - 0.5, -0.5)
        axes[0].set_xlim(left=0)
        axes[0].grid(visible=False, axis="y")
        axes[0].set_xlabel("ms a call")

    tails = any(latency.p90_s is not None for *_, latency, _ in found)
    caption = "The mark is the median, the thick bar its interval"
    caption += ", the ticks p90 and p99." if tails else "."
    caption += " With --raw the report keeps every timed block, and this chart shows them."
    rows = tuple(
        (name, *map(format_seconds, (median.value, one.p90_s, one.p99_s)))
        for name, _, _, one, median in found
    )
    data = Section("", columns("", "median", "p90", "p99"), rows)
    return draw("latency", "Latency", caption, paint, height=0.7 + 0.45 * len(found), data=data)


def delta_chart(report: Comparison) -> Chart | None:
    """δ with its interval, beside no change and what the machine's noise amounts to."""
    if (delta := report.delta) is None:
        return None
    found = [("δ, end to end", delta)] + [
        (name, one)
        for name, one in (
            ("processor time", delta.cpu_time_ratio),
            ("on the device", delta.device_ratio),
        )
        if one is not None
    ]
    floor = delta.noise_floor

    def paint(axes: Sequence[Axes]) -> None:
        axes[0].axvline(1.0, color=INK, linewidth=1)
        if floor:
            axes[0].axvspan(1 / (1 + floor), 1 + floor, color=MUTED, alpha=0.25, linewidth=0)
        for place, (_, one) in enumerate(found):
            if one.low is not None and one.high is not None:
                axes[0].plot(
                    [one.low, one.high],
                    [place] * 2,
                    color=COMPRESSED,
                    linewidth=4,
                    solid_capstyle="butt",
                )
            axes[0].plot([one.value], [place], "s", color=COMPRESSED, markersize=7)
        axes[0].set_yticks(range(len(found)), [name for name, _ in found])
        axes[0].tick_params(axis="y", labelcolor=INK)
        axes[0].set_ylim(len(found) - 0.5, -0.5)
        axes[0].margins(x=0.08)
        axes[0].grid(visible=False, axis="y")
        axes[0].xaxis.set_major_locator(few_ticks())
        axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axes[0].set_xlabel("original / compressed: right of 1× is faster")

    caption = f"δ is {format_rate(delta.value)} {interval(delta, format_rate)}".rstrip()
    caption += "; the line stands at 1×, no change"
    if floor:
        caption += f", the band is the noise floor of {format_share(floor, 1)}."
    else:
        caption += ". The noise floor was not measured."
    rows = tuple((n, format_rate(one.value), interval(one, format_rate)) for n, one in found)
    return draw(
        "delta",
        "Speed-up with its interval",
        caption,
        paint,
        height=0.7 + 0.45 * len(found),
        data=Section("", columns("", "rate", "interval"), rows),
    )


def _limit(times: Sequence[float]) -> tuple[float, float]:
    """The largest, and where an axis from 0 may end: at that, unless hardly any come near it."""
    ordered = sorted(times)
    largest = ordered[-1]
    usual = ordered[math.ceil(_NEARLY_ALL * len(ordered)) - 1]
    return largest, 1.08 * (usual if largest > 2 * usual else largest)


def _call_ms(block: RawBlock) -> float:
    return 1e3 * block.elapsed_s / block.calls


def _times_ms(blocks: Sequence[RawBlock], model: str) -> list[float]:
    """Every call's time, ascending; of blocks without those the mean of each."""
    return sorted(
        1e3 * time
        for block in blocks
        if block.model == model
        for time in block.times_s or [block.elapsed_s / block.calls]
    )
