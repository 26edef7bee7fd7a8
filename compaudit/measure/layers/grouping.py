"""From a ledger to the layers of one model; their parameters and bytes add up to the model's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from compaudit.measure.layers.names import ELSEWHERE
from compaudit.measure.macs.count import MacCount
from compaudit.models.base import Model
from compaudit.results import LayerSide, TensorResult

__all__ = ["layers_of", "places_of", "summed_up"]

_PARAMETERS = ("weight", "bias")
_WEIGHT_BYTES = ("weight", "bias", "quantization")


def places_of(model: Model | None) -> dict[str, int]:
    """When each stored tensor is computed with, and each node: places in the graph, by name."""
    if model is None or model.graph is None:
        return {}
    places = {node.name: place for place, node in enumerate(model.graph.nodes)}
    return places | {
        tensor.name: places[tensor.use.node]
        for tensor in model.tensors
        if tensor.use is not None and tensor.use.node in places
    }


def layers_of(
    tensors: Sequence[TensorResult], macs: MacCount | None, places: Mapping[str, int]
) -> list[LayerSide]:
    """The layers of a model in the order of execution; of its ledger, where no graph tells.

    Args:
        tensors: its ledger.
        places: see `places_of`.
        macs: its operations, where they were counted. Those without a stored weight (attention)
            are layers too.
    """
    grouped: dict[str, list[TensorResult]] = defaultdict(list)
    for row in tensors:
        if row.layer is not None:
            grouped[row.layer].append(row)
    by_layer: Counter[str] = Counter()
    ops: dict[str, str] = {}
    if macs is not None:
        owners = {row.name: row.layer for row in tensors}
        for node in macs.per_node:
            name = owners.get(node.weight or "") or node.name
            by_layer[name] += node.macs
            ops.setdefault(name, node.op)
    names = [*grouped, *(name for name in by_layer if name not in grouped)]
    names.sort(key=lambda name: _first(name, grouped.get(name, ()), places))
    return [
        _layer(
            name,
            grouped.get(name, []),
            None if macs is None else by_layer[name],
            ops.get(name, ""),
        )
        for name in names
    ]


def _first(name: str, rows: Sequence[TensorResult], places: Mapping[str, int]) -> tuple[int, int]:
    """Where a layer stands; one that no graph places keeps its order, behind the others."""
    known = [places[row.name] for row in rows if row.name in places and row.role != "constant"]
    if not rows and name in places:
        known = [places[name]]
    return (0, min(known)) if known and name != ELSEWHERE else (1, 0)


def summed_up(name: str, op: str, layers: Sequence[LayerSide]) -> LayerSide:
    """Several layers as one: the factors of a factorised one."""
    parameters = sum(layer.parameters for layer in layers)
    weight_bytes = sum(layer.weight_bytes for layer in layers)
    nonzeros = [layer.nonzero_parameters for layer in layers]
    macs = [layer.macs for layer in layers]
    precision: Counter[str] = Counter()
    for layer in layers:
        precision.update(layer.precision)
    return LayerSide(
        name=name,
        op=op,
        parameters=parameters,
        nonzero_parameters=_sum(nonzeros),
        weight_bytes=weight_bytes,
        bits_per_weight=8 * weight_bytes / parameters if parameters else None,
        macs=_sum(macs),
        precision=dict(precision),
        tensors=[tensor for layer in layers for tensor in layer.tensors],
    )


def _layer(name: str, rows: Sequence[TensorResult], macs: int | None, op: str) -> LayerSide:
    own = [row for row in rows if row.role in _PARAMETERS and row.tied_to is None]
    parameters = sum(row.logical_elements for row in own)
    weight_bytes = sum(row.bytes for row in rows if row.role in _WEIGHT_BYTES)
    precision: Counter[str] = Counter()
    for row in own:
        precision[row.dtype] += row.logical_elements
    largest = max(
        (row for row in rows if row.role == "weight"), key=lambda row: row.logical_elements,
        default=None,
    )  # fmt: skip
    stated = (largest.op if largest is not None else None) or next(
        (row.op for row in rows if row.op), ""
    )
    return LayerSide(
        name=name,
        op="" if name == ELSEWHERE else stated or op,
        parameters=parameters,
        nonzero_parameters=_sum([row.nonzeros for row in own]),
        weight_bytes=weight_bytes,
        bits_per_weight=8 * weight_bytes / parameters if parameters else None,
        macs=macs,
        precision=dict(precision),
        tensors=[row.name for row in rows],
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
