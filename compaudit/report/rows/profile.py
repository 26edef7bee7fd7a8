"""Where the time goes: what slows the compressed model down, by operator and by layer."""

from __future__ import annotations

from collections import defaultdict

from compaudit.report.rows.base import Cell, Column, Section
from compaudit.report.view import View
from compaudit.results import Comparison, ModelProfile, Profile, ProfiledLayer
from compaudit.units import NOT_MEASURED, format_count, format_part, format_seconds

__all__ = ["profile_sections"]

_MOST = 10
_KINDS = {
    "quantize_nodes": "quantising and dequantising",
    "cast_nodes": "casts",
    "layout_nodes": "layout changes",
    "transfers": "copies between devices",
    "other_provider": "another provider",
    "float_fallback": "computed in float",
    "integer_operators_no_faster": "integer operators no faster",
    "slower_float_operators": "slower float operators",
    "factorized_layers": "factorised layers",
    "added_nodes": "more operators",
    "no_int8_instructions": "no int8 instructions",
}


def profile_sections(report: Comparison, view: View) -> tuple[Section, ...]:
    """Operators, layers and causes; nothing where the models were not profiled."""
    profile = report.profile
    if profile is None:
        return ()
    sections = [_operators(profile), _layers(profile, view)]
    if profile.causes:
        sections.append(_causes(profile))
    return tuple(sections)


def _operators(profile: Profile) -> Section:
    """Both models by operator, in the order of what they cost together."""
    sides = profile.original, profile.compressed
    seconds: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    nodes: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for place, side in enumerate(sides):
        for row in side.operators:
            seconds[row.op][place] += row.seconds
            nodes[row.op][place] += row.nodes
    ordered = sorted(seconds, key=lambda op: -sum(seconds[op]))
    shown, rest = ordered[:_MOST], ordered[_MOST:]
    rows = [_operator_row(op, nodes[op], seconds[op], sides) for op in shown]
    if rest:
        counts = [sum(nodes[op][place] for op in rest) for place in (0, 1)]
        times = [sum(seconds[op][place] for op in rest) for place in (0, 1)]
        others = "1 other operator" if len(rest) == 1 else f"{len(rest)} other operators"
        rows.append(_operator_row(others, counts, times, sides))
    between = [side.overhead_share * side.total_s for side in sides]
    rows.append(_operator_row("between operators", [0, 0], between, sides))
    return Section(
        "Where the time goes, by operator",
        (
            Column("operator", "name"),
            Column("original"),
            Column("share", drop=1),
            Column("nodes", drop=2),
            Column("compressed"),
            Column("share", drop=1),
            Column("nodes", drop=2),
        ),
        tuple(rows),
        _operator_row(
            "one inference, profiled",
            [sum(row.nodes for row in side.operators) for side in sides],
            [side.total_s for side in sides],
            sides,
        ),
        note=_conditions(profile),
    )


def _operator_row(
    name: str, nodes: list[int], seconds: list[float], sides: tuple[ModelProfile, ModelProfile]
) -> tuple[Cell, ...]:
    cells: list[Cell] = [name]
    for count, spent, side in zip(nodes, seconds, sides, strict=True):
        if not count and not spent:
            cells += ["", "", ""]
            continue
        share = format_part(spent / side.total_s if side.total_s else None)
        cells += [format_seconds(spent), share, format_count(count) if count else ""]
    return tuple(cells)


def _conditions(profile: Profile) -> str:
    """How the figures came about, and what they leave open."""
    sides = (("original", profile.original), ("compressed", profile.compressed))
    runs = " and ".join(f"{side.runs} runs of the {name}" for name, side in sides)
    text = f"Means over the calmest {runs}; profiling takes time itself, so δ is not taken from it."
    unknown = [
        f"{format_part(side.unattributed_share)} of the {name}"
        for name, side in sides
        if side.unattributed_share >= 0.001
    ]
    return f"{text} Not attributed to the model: {' and '.join(unknown)}." if unknown else text


def _layers(profile: Profile, view: View) -> Section:
    """All layers, or the ten whose time changed most."""
    layers = profile.layers
    title = "Where the time goes, by layer"
    note = ""
    if not view.layers and len(layers) > _MOST:
        layers = sorted(layers, key=lambda row: -abs(row.delta_s))[:_MOST]
        title = "Layers whose time changed most"
        note = f"{_MOST} of {len(profile.layers):,} rows; --layers shows all."
    return Section(
        title,
        (
            Column("layer", "name"),
            Column("original"),
            Column("compressed"),
            Column("change"),
        ),
        tuple(_layer_row(row) for row in layers),
        note=note,
    )


def _layer_row(row: ProfiledLayer) -> tuple[Cell, ...]:
    return (
        row.name,
        *("" if spent is None else format_seconds(spent) for spent in _spent(row)),
        _change(row.delta_s),
    )


def _spent(row: ProfiledLayer) -> tuple[float | None, float | None]:
    return row.original_s, row.compressed_s


def _change(seconds: float) -> str:
    return f"{'−' if seconds < 0 else '+'}{format_seconds(abs(seconds))}"


def _causes(profile: Profile) -> Section:
    return Section(
        "What costs the compressed model time",
        (
            Column("cause", "name"),
            Column("takes"),
            Column("more than before"),
            Column("what", "words"),
        ),
        tuple(
            (
                _KINDS[cause.kind],
                format_seconds(cause.seconds),
                NOT_MEASURED if cause.extra_s is None else _change(cause.extra_s),
                cause.detail,
            )
            for cause in profile.causes
        ),
    )
