"""Layer by layer: what became of each, and which ones changed most."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compaudit.report.rows.base import Cell, Column, Section, counted
from compaudit.report.rows.ordering import sum_of, zeros_of
from compaudit.report.rows.places import op_name
from compaudit.report.view import View
from compaudit.results import Comparison, Layer, LayerSide
from compaudit.units import NOT_MEASURED, format_number, format_part, format_rate

__all__ = ["changes_section"]

_MOST = 10


def changes_section(report: Comparison, view: View) -> Section | None:
    """All layers, or the ten that changed most; None where there is nothing to show."""
    if view.layers:
        return _all_layers(report.layers) if report.layers else None
    changed = [layer for layer in report.layers if _is_changed(layer)]
    if not changed:
        return None
    # What became part of another layer is told by that one's figures, and by a finding.
    folded = sum(layer.change == "folded" for layer in changed)
    shown = [layer for layer in changed if layer.change != "folded"] or changed
    by_bytes = any(_saved(layer) != 0 for layer in shown)
    shown.sort(key=lambda layer: (-abs(_saved(layer)), *_worst_first(layer)))
    counted = f"{len(changed):,} of {len(report.layers):,} layers changed"
    if folded:
        counted += f", {folded:,} of them folded into others"
    return Section(
        f"Layers that changed most, by {'weight bytes' if by_bytes else 'SQNR of their weights'}",
        *_rows(shown[:_MOST], _in_short),
        note=f"{counted}; --layers shows all.",
    )


def _all_layers(layers: Sequence[Layer]) -> Section:
    before = [layer.original for layer in layers if layer.original is not None]
    after = [layer.compressed for layer in layers if layer.compressed is not None]
    columns, rows = _rows(layers, _remark)
    footer = (counted(len(layers), "layer"), "", *_figures(before, after), "", "")
    return Section("Layers", columns, rows, footer[: len(columns)])


def _rows(
    layers: Sequence[Layer], remark: Callable[[Layer], str]
) -> tuple[tuple[Column, ...], tuple[tuple[Cell, ...], ...]]:
    """Columns and rows; without the last column where there is nothing to remark."""
    columns = (
        Column("layer", "name", least=16),
        Column("operator", "name", drop=2, least=10),
        Column("α bytes"),
        Column("bits"),
        Column("zeros", drop=1),
        Column("SQNR dB"),
        Column("what changed", "words"),
    )
    rows = tuple((*_row(layer), remark(layer)) for layer in layers)
    kept = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    return columns[:kept], tuple(row[:kept] for row in rows)


def _row(layer: Layer) -> tuple[Cell, ...]:
    sides = [[] if side is None else [side] for side in (layer.original, layer.compressed)]
    return (layer.name, op_name(layer.op), *_figures(*sides), _sqnr(layer))


def _figures(before: Sequence[LayerSide], after: Sequence[LayerSide]) -> tuple[str, str, str]:
    """α, bits and zeros of some layers and what became of them."""
    sizes = [sum(side.weight_bytes for side in sides) for sides in (before, after)]
    parameters = [sum(side.parameters for side in sides) for sides in (before, after)]
    nonzeros = [sum_of([side.nonzero_parameters for side in sides]) for sides in (before, after)]
    bits = [
        8 * size / count if count else None for size, count in zip(sizes, parameters, strict=True)
    ]
    zeros = [zeros_of(*pair) for pair in zip(parameters, nonzeros, strict=True)]
    present = [share for share, sides in zip(zeros, (before, after), strict=True) if sides]
    return (
        format_rate(sizes[0] / sizes[1]) if all(sizes) else NOT_MEASURED,
        _arrow(*(format_number(value) for value in bits)),
        _arrow(*(format_part(share) for share in (present[0], present[-1]))) if present else "",
    )


def _arrow(before: str, after: str) -> str:
    """Both, the unit once: ``0.0 → 89.7 %``; what is on neither side is not shown."""
    if before == after:
        return "" if before == NOT_MEASURED else before
    if before.endswith(" %") and after.endswith(" %"):
        before = before.removesuffix(" %")
    return f"{before} → {after}"


def _sqnr(layer: Layer) -> str:
    if layer.weights_equal:
        return "equal"
    if layer.weight_sqnr_db is None:
        return NOT_MEASURED if layer.original and layer.compressed else ""
    return format_number(layer.weight_sqnr_db).replace("-", "−")


def _remark(layer: Layer) -> str:
    if layer.note:
        return layer.note
    return "" if layer.change == "matched" else layer.change


def _in_short(layer: Layer) -> str:
    """Without what goes with a fold, which was counted already."""
    if layer.change == "added" and layer.name.startswith("("):
        return "scales added"
    parts = _remark(layer).split("; ")
    if len(parts) == 1 or not any(part.endswith(" folded in") for part in parts):
        return _remark(layer)
    kept = [part for part in parts if not part.endswith(" folded in") and part[:6] != "bias ("]
    return "; ".join(kept)


def _is_changed(layer: Layer) -> bool:
    before, after = layer.original, layer.compressed
    if layer.change != "matched" or before is None or after is None:
        return True
    return (
        layer.weights_equal is False
        or _saved(layer) != 0
        or before.precision != after.precision
        or before.parameters != after.parameters
    )


def _saved(layer: Layer) -> int:
    before, after = (
        0 if side is None else side.weight_bytes for side in (layer.original, layer.compressed)
    )
    return before - after


def _worst_first(layer: Layer) -> tuple[bool, float]:
    known = layer.weight_sqnr_db is not None
    return not known, layer.weight_sqnr_db or 0.0
