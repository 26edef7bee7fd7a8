"""Where the bytes of a model are, for a glance: a bar for every layer, or for every module."""

from __future__ import annotations

from dataclasses import dataclass

from compaudit.report.rows.base import Bar, Cell, Column, Section
from compaudit.report.rows.ordering import Arranged, arranged, layer_key, others
from compaudit.report.rows.tree import Line, open_tree, tree_of
from compaudit.report.view import View
from compaudit.results import InspectedModel, LayerSide
from compaudit.units import format_bytes, format_count, format_part

__all__ = ["op_name", "places_section"]

_TOP = 10
_MOST, _TINY = 0.8, 0.001
"""Shares of the weight bytes: what the largest layers hold at least, and what is worth a line."""
_MOST_LINES = 20


@dataclass(frozen=True, slots=True)
class _Place:
    """Something that takes bytes. `what` is an operator, or how many layers a module has."""

    name: str
    what: str
    parameters: str
    size: int


def places_section(model: InspectedModel) -> Section:
    """Layers and the rest of the file, the largest first; they add up to the file."""
    held = sum(tensor.bytes for tensor in model.tensors)
    places, heading, title = _layers(model)
    in_layers = sum(layer.weight_bytes for layer in model.layers)
    if held > in_layers:
        places.append(_Place("other tensors", "", "", held - in_layers))
    if model.graph_bytes:
        places.append(_Place("graph", "", "", model.graph_bytes))
    whole = held if model.file_bytes is None else model.file_bytes
    longest = max((place.size for place in places), default=0)
    named = any(place.what for place in places)
    rows: list[tuple[Cell, ...]] = [
        (
            place.name,
            *([place.what] if named else []),
            place.parameters,
            format_bytes(place.size),
            format_part(place.size / whole if whole else None),
            Bar(place.size / longest if longest else 0.0),
        )
        for place in places
    ]
    return Section(
        title,
        (
            Column("", "name"),
            *([heading] if named else []),
            Column("parameters", drop=3),
            Column("bytes"),
            Column("share"),
            Column("", "bar", drop=1),
        ),
        tuple(rows),
        (
            "tensors" if model.file_bytes is None else "file",
            *([""] if named else []),
            format_count(model.parameters),
            format_bytes(whole),
            format_part(1.0 if whole else None),
            "",
        ),
    )


def op_name(op: str) -> str:
    """An operator without what tells nothing: ``aten.linear.default``, ``BatchNormalization``."""
    if op.startswith("aten."):
        return op.split(".")[1]
    return op.replace("Normalization", "Norm")


def _layers(model: InspectedModel) -> tuple[list[_Place], Column, str]:
    """The largest layers where these hold most of the bytes, else the tree of modules."""
    whole = sum(layer.weight_bytes for layer in model.layers)
    worth_a_line = [layer for layer in model.layers if layer.weight_bytes >= _TINY * whole]
    top = min(_TOP, len(worth_a_line))
    top += len(model.layers) == top + 1  # rather than "1 other layer"
    found = arranged(model.layers, layer_key, View(sort="bytes", top=top))
    if sum(layer.weight_bytes for layer in found.shown) < _MOST * whole:
        lines = open_tree(tree_of(model.layers), _MOST_LINES)
        if any(line.depth for line in lines) or any(" … " in line.name for line in lines):
            title = "Where the bytes are: modules, the largest first"
            return [_module(line) for line in lines], Column("layers", drop=2), title
    title = "Where the bytes are: layers, the largest first"
    return _largest(found), Column("", "name", least=10, drop=2), title


def _largest(found: Arranged[LayerSide]) -> list[_Place]:
    places = [
        _Place(layer.name, op_name(layer.op), format_count(layer.parameters), layer.weight_bytes)
        for layer in found.shown
    ]
    if found.rest:
        parameters = sum(layer.parameters for layer in found.rest)
        size = sum(layer.weight_bytes for layer in found.rest)
        places.append(_Place(others(found.rest, "layer"), "", format_count(parameters), size))
    return places


def _module(line: Line) -> _Place:
    name = f"{'  ' * line.depth}{line.name}"
    return _Place(name, format_count(line.layers), format_count(line.parameters), line.size)
