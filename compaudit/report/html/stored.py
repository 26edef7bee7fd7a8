"""Charts of where the bytes of both models are."""

from __future__ import annotations

from compaudit.report.html.drawing import Chart, Pair, draw, paired_bars
from compaudit.report.rows.base import Section, columns
from compaudit.results import Comparison, LayerSide
from compaudit.units import format_bytes, format_count

__all__ = ["layer_bytes_chart", "role_chart"]

_MOST = 20
_TINY = 0.01
"""Of the longest bar; shorter ones could hardly be seen."""


def layer_bytes_chart(report: Comparison) -> Chart | None:
    """Weight bytes of the layers that hold most, and of the rest together."""
    pairs = [(one.name, _bytes(one.original), _bytes(one.compressed)) for one in report.layers]
    if not pairs:
        return None
    pairs.sort(key=lambda pair: -max(pair[1:]))
    whole = [sum(figures) for figures in zip(*(pair[1:] for pair in pairs), strict=True)]
    visible = sum(max(pair[1:]) >= _TINY * max(pairs[0][1:]) for pair in pairs)
    top = max(min(_MOST, visible), 1)
    top += len(pairs) == top + 1  # rather than "the other 1"
    shown, rest = pairs[:top], pairs[top:]
    if rest:
        name = f"the other {format_count(len(rest))}"
        shown.append((name, sum(p[1] for p in rest), sum(p[2] for p in rest)))
    before, after = map(format_bytes, whole)
    layers = "1 layer" if len(pairs) == 1 else f"{format_count(len(pairs))} layers"
    caption = f"{layers}: {before} in the original, {after} in the compressed model."
    rows = tuple((name, format_bytes(a), format_bytes(b)) for name, a, b in shown)
    return draw(
        "bytes",
        "Weight bytes by layer",
        caption,
        lambda axes: paired_bars(axes[0], shown, format_bytes),
        height=0.8 + 0.27 * len(shown),
        data=Section("", columns("layer", "original", "compressed"), rows),
    )


def role_chart(report: Comparison) -> Chart | None:
    """Stored bytes by role; elements in reports that do not have the bytes."""
    sides = report.original, report.compressed
    before, after = (one.bytes_by_role for one in sides)
    in_bytes = bool(before or after)
    if not in_bytes:
        before, after = (one.elements_by_role for one in sides)
    shown: list[Pair] = [
        (role, before.get(role, 0), after.get(role, 0)) for role in {**before, **after}
    ]
    shown = [pair for pair in shown if pair[1] or pair[2]]
    graphs = [one.graph_bytes for one in sides]
    if in_bytes and None not in graphs:
        shown.append(("graph", graphs[0] or 0, graphs[1] or 0))
    if not shown:
        return None
    shown.sort(key=lambda pair: -max(pair[1:]))
    form = format_bytes if in_bytes else format_count
    rows = tuple((role, form(a), form(b)) for role, a, b in shown)
    caption = (
        "What the stored bytes are for: weights, biases, scales, statistics, the graph itself."
        if in_bytes
        else "How many stored numbers are weights, biases, scales and others."
    )
    return draw(
        "roles",
        "Bytes by role" if in_bytes else "Elements by role",
        caption,
        lambda axes: paired_bars(axes[0], shown, lambda value: form(int(value or 0))),
        height=0.8 + 0.34 * len(shown),
        data=Section("", columns("role", "original", "compressed"), rows),
    )


def _bytes(side: LayerSide | None) -> float:
    return 0.0 if side is None else float(side.weight_bytes)
