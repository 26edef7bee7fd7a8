"""Several models lined up: a column each, or a row each where there are many."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.report.rows.base import Column, Section, columns, counted, model_name, quotient
from compaudit.report.rows.ordering import arranged, layer_key, others
from compaudit.report.rows.storage import ROLES, role_bytes, share_of, types_of
from compaudit.report.view import View
from compaudit.results import InspectedModel, LayerSide
from compaudit.units import (
    NOT_MEASURED,
    format_bytes,
    format_count,
    format_number,
    format_part,
    format_si,
)

__all__ = ["lined_up_layers", "lined_up_sections", "names_of"]

_MOST_COLUMNS = 4
_SELDOM = ("format", "graph bytes", "bits per weight", "constant", "unused", "unclassified")
"""Figures that go first where the terminal is too narrow for a row a model."""

Row = tuple[str, list[str]]
"""A label, and a figure of every model."""


def lined_up_sections(models: Sequence[InspectedModel]) -> tuple[Section, ...]:
    """The figures of all models, their rates against the first, roles and element types."""
    names = names_of(models)
    first, *rest = models
    few = len(models) <= _MOST_COLUMNS
    matrix = _by_figure if few else _by_model
    return (
        matrix("What they are made of", names, _figures(models)),
        matrix(f"α of {names[0]} against", names[1:], _rates(first, rest)),
        matrix("Bytes by role", names, _roles(models)),
        _by_figure("Parameters by element type", names, _types(models))
        if few
        else _types_in_words(models, names),
    )


def names_of(models: Sequence[InspectedModel]) -> list[str]:
    """File names, or whole paths where two files have the same name."""
    names = [model_name(model) for model in models]
    return [
        model.path if names.count(name) > 1 else name
        for model, name in zip(models, names, strict=True)
    ]


def lined_up_layers(models: Sequence[InspectedModel], view: View) -> list[Section]:
    """Weight bytes of the layers of all models, those of one name in one row."""
    names = names_of(models)
    by_name = [{layer.name: layer for layer in model.layers} for model in models]
    known: dict[str, LayerSide] = {}
    for layers in by_name:
        for name, layer in layers.items():
            known.setdefault(name, layer)
    found = arranged(list(known.values()), layer_key, view)
    sections = []
    for start in range(0, len(models), _MOST_COLUMNS):
        part = by_name[start : start + _MOST_COLUMNS]

        def cells(layers: Sequence[LayerSide]) -> list[str]:
            return [_bytes_of(layers, side) for side in part]  # noqa: B023

        rows = [(layer.name, *cells([layer])) for layer in found.shown]
        if found.rest:
            rows.append((others(found.rest, "layer"), *cells(found.rest)))
        sections.append(
            Section(
                "Weight bytes by layer",
                columns("layer", *names[start : start + _MOST_COLUMNS]),
                tuple(rows),
                (counted(len(known), "layer"), *cells(list(known.values()))),
            )
        )
    return sections


def _bytes_of(layers: Sequence[LayerSide], side: dict[str, LayerSide]) -> str:
    """Bytes of those layers in one model; nothing where it has none of them."""
    sizes = [side[layer.name].weight_bytes for layer in layers if layer.name in side]
    return format_count(sum(sizes)) if sizes else ""


def _by_figure(title: str, names: Sequence[str], rows: Sequence[Row]) -> Section:
    """A column a model."""
    return Section(title, columns("", *names), tuple((label, *cells) for label, cells in rows))


def _by_model(title: str, names: Sequence[str], rows: Sequence[Row]) -> Section:
    """A row a model."""
    by_model = zip(*(cells for _, cells in rows), strict=True)
    return Section(
        title,
        (
            Column("", "name", least=20),
            *(Column(label, drop=int(label in _SELDOM)) for label, _ in rows),
        ),
        tuple((name, *cells) for name, cells in zip(names, by_model, strict=True)),
    )


def _figures(models: Sequence[InspectedModel]) -> list[Row]:
    return [
        ("format", [model.format for model in models]),
        ("parameters", [format_count(model.parameters) for model in models]),
        ("sparsity", [format_part(model.sparsity) for model in models]),
        ("weight bytes", [format_bytes(model.weight_bytes) for model in models]),
        ("bits per weight", [format_number(model.bits_per_weight) for model in models]),
        ("entropy bytes", [format_bytes(model.entropy_bytes) for model in models]),
        ("graph bytes", [format_bytes(model.graph_bytes) for model in models]),
        ("file bytes", [format_bytes(model.file_bytes) for model in models]),
        ("MACs", [format_si(m.macs.total if m.macs else None) for m in models]),
    ]


def _rates(first: InspectedModel, rest: Sequence[InspectedModel]) -> list[Row]:
    rows = [
        (
            key.replace("_", " "),
            [quotient(getattr(first, key), getattr(model, key)) for model in rest],
        )
        for key in ("parameters", "weight_bytes", "file_bytes", "entropy_bytes")
    ]
    rows.append(("MACs", [quotient(_all_macs(first), _all_macs(model)) for model in rest]))
    return rows


def _all_macs(model: InspectedModel) -> int | None:
    """None where some operators are not in the sum: a quotient of two parts says nothing."""
    macs = model.macs
    return macs.total if macs is not None and not macs.uncounted_ops else None


def _roles(models: Sequence[InspectedModel]) -> list[Row]:
    sizes = [role_bytes(model) for model in models]
    present = [role for role in ROLES if any(role in size for size in sizes)]
    rows = [
        (role, [format_count(size[role]) if role in size else "" for size in sizes])
        for role in present
    ]
    rows.append(("graph", [format_count(model.graph_bytes) for model in models]))
    rows.append(("file", [format_count(model.file_bytes) for model in models]))
    return rows


def _types(models: Sequence[InspectedModel]) -> list[Row]:
    stored = [
        (f"stored {dtype}", [share_of(model.precision, dtype) for model in models])
        for dtype in types_of(*models)
        if any(dtype in model.precision for model in models)
    ]
    computed = [
        (f"computed {dtype}", [share_of(model.computed_precision, dtype) for model in models])
        for dtype in types_of(*models)
        if any(dtype in model.computed_precision for model in models)
    ]
    return [*stored, *computed]


def _types_in_words(models: Sequence[InspectedModel], names: Sequence[str]) -> Section:
    def in_words(counts: dict[str, int]) -> str:
        ordered = sorted(counts, key=lambda dtype: -counts[dtype])
        return ", ".join(f"{dtype} {share_of(counts, dtype)}" for dtype in ordered) or NOT_MEASURED

    return Section(
        "Parameters by element type",
        (Column("", "name", least=16), Column("stored", "words"), Column("computed", "words")),
        tuple(
            (name, in_words(model.precision), in_words(model.computed_precision))
            for name, model in zip(names, models, strict=True)
        ),
    )
