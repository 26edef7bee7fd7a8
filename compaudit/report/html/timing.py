"""Charts of how long the models take, in the order of the run, and of δ."""

from __future__ import annotations

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
)
from compaudit.report.rows.base import Section, columns, interval
from compaudit.results import Comparison, RawBlock
from compaudit.units import format_count, format_rate, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["delta_chart", "latency_chart"]

_POINTS = 600
_SIDES = (("original", ORIGINAL, "o"), ("compressed", COMPRESSED, "s"))


def latency_chart(report: Comparison) -> Chart | None:
    """Every timed block in the order of the run, and how the times of calls are distributed."""
    blocks = report.samples.blocks if report.samples else []
    if not blocks:
        return None
    together = -(-len(blocks) // _POINTS)

    def paint(axes: Sequence[Axes]) -> None:
        for name, ink, shape in _SIDES:
            own = [(at, one) for at, one in enumerate(blocks, 1) if one.model == name]
            groups = [own[i : i + together] for i in range(0, len(own), together)]
            xs = [sum(at for at, _ in group) / len(group) for group in groups]
            ys = [sum(_call_ms(one) for _, one in group) / len(group) for group in groups]
            axes[0].plot(xs, ys, shape, color=ink, markersize=4, label=name)
            times = sorted(time for _, one in own for time in _times_ms(one))
            if times:
                picked = [round(i * (len(times) - 1) / 200) for i in range(201)]
                axes[1].plot([times[i] for i in picked], [i / 2 for i in range(201)], color=ink)
        for at, (one, after) in enumerate(pairwise(blocks), 1):
            if one.epoch != after.epoch and blocks[-1].epoch <= 60:
                axes[0].axvline(at + 0.5, color=MUTED, linewidth=0.6, linestyle=":")
        axes[0].set(xlabel="timed block, in the order of the run", ylabel="ms per call")
        axes[0].set_ylim(bottom=0)
        axes[1].set(xlabel="ms per call", ylabel="% of calls not slower")
        axes[0].legend(loc="lower left", ncols=2, bbox_to_anchor=(0, 1))

    caption = (
        f"{format_count(len(blocks))} blocks; dotted lines stand between pairs of fresh processes."
    )
    if together > 1:
        caption += f" A point is the mean of {together} blocks of one model."
    return draw("latency", "Latency", caption, paint, height=4.8, panels=2)


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
                axes[0].plot([one.low, one.high], [place] * 2, color=COMPRESSED, linewidth=3)
            axes[0].plot([one.value], [place], "o", color=COMPRESSED, markersize=8)
        axes[0].set_yticks(range(len(found)), [name for name, _ in found])
        axes[0].set_ylim(len(found) - 0.5, -0.5)
        axes[0].set_xlabel("original / compressed: right of 1.0 is faster")

    caption = f"δ is {format_rate(delta.value)} {interval(delta, format_rate)}".rstrip()
    caption += "; the line stands at 1.0, no change"
    caption += f", the band is the noise floor of {format_share(floor, 1)}." if floor else "."
    rows = tuple((n, format_rate(one.value), interval(one, format_rate)) for n, one in found)
    return draw(
        "delta",
        "Speed-up with its interval",
        caption,
        paint,
        height=1.1 + 0.5 * len(found),
        data=Section("", columns("", "rate", "interval"), rows),
    )


def _call_ms(block: RawBlock) -> float:
    return 1e3 * block.elapsed_s / block.calls


def _times_ms(block: RawBlock) -> list[float]:
    return [1e3 * time for time in block.times_s] or [_call_ms(block)]
