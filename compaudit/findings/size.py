"""CA1xx: what the sizes mean."""

from __future__ import annotations

from collections.abc import Sequence

from compaudit.findings.evidence import Evidence, Rule
from compaudit.models.base import Graph, Model, Role
from compaudit.results import Finding, Layer
from compaudit.units import format_bytes, format_rate, format_share

__all__ = ["RULES"]

_HALF = 0.5
_NOTICEABLE_SHARE = 0.01
_MOST_LISTED = 3


def fake_quantization(evidence: Evidence) -> Finding | None:
    """CA101: float weights pass through Quantize and Dequantize, and are stored as floats."""
    model = evidence.compressed_model
    if model is None or model.graph is None:
        return None
    wrapped = _quantized_at_run_time(model, model.graph)
    if not wrapped:
        return None
    return Finding(
        code="CA101",
        severity="warning",
        title="fake quantisation: the weights are stored as floats",
        detail=f"{len(wrapped)} weights, {wrapped[0]!r} first, are quantised and dequantised when "
        f"the model runs; the file holds them as {evidence.compressed.bits_per_weight:.1f} bits "
        "each, so nothing got smaller",
        hint="convert the model to real integer weights before shipping it",
    )


def _quantized_at_run_time(model: Model, graph: Graph) -> list[str]:
    floats = {
        tensor.name
        for tensor in model.tensors
        if tensor.role is Role.WEIGHT and tensor.dtype.startswith("float")
    }
    return [
        node.inputs[0]
        for node in graph.nodes
        if node.op == "QuantizeLinear" and node.inputs and node.inputs[0] in floats
    ]


def zeros_still_stored(evidence: Evidence) -> Finding | None:
    """CA102: most weights are zero, and the file stores every one of them."""
    compressed, alpha = evidence.compressed, evidence.alpha
    if compressed.sparsity is None or compressed.sparsity < _HALF:
        return None
    if alpha.nonzero_parameters is None or alpha.weight_bytes is None:
        return None
    if alpha.nonzero_parameters < 2 * alpha.weight_bytes:
        return None
    return Finding(
        code="CA102",
        severity="warning",
        title="the pruned weights are still stored",
        detail=f"{format_share(compressed.sparsity, 1)} of the weights are zero: "
        f"α(nonzero_parameters) is {format_rate(alpha.nonzero_parameters)}, and α(weight_bytes) "
        f"only {format_rate(alpha.weight_bytes)}",
        hint="store them sparsely, compress the file, or remove whole channels",
    )


def file_grew(evidence: Evidence) -> Finding | None:
    """CA103: the compressed model's file is larger than the original's."""
    alpha = evidence.alpha.file_bytes
    if alpha is None or alpha >= 1:
        return None
    return Finding(
        code="CA103",
        severity="warning",
        title="the file grew",
        detail=f"{format_bytes(evidence.original.file_bytes)} became "
        f"{format_bytes(evidence.compressed.file_bytes)}",
        hint="compare the ledgers: compaudit inspect ORIGINAL COMPRESSED",
    )


def stored_twice(evidence: Evidence) -> Finding | None:
    """CA104: tensors of equal contents under different names."""
    twice = [
        tensor
        for tensor in evidence.compressed_tensors
        if tensor.duplicate_of is not None and tensor.role in (Role.WEIGHT, Role.BIAS)
    ]
    size = sum(tensor.bytes for tensor in twice)
    if not _is_worth_saving(size, evidence):
        return None
    first = max(twice, key=lambda tensor: tensor.bytes)
    return Finding(
        code="CA104",
        severity="info",
        title="tensors are stored twice",
        detail=f"{first.name} holds the same as {first.duplicate_of}; "
        f"{len(twice)} such tensors take {format_bytes(size)} and count as parameters",
        hint="store one and let both names point at it: tie the weights before the export",
    )


def never_read(evidence: Evidence) -> Finding | None:
    """CA106: tensors that no operator reads, or that belong to training."""
    unused = [tensor for tensor in evidence.compressed_tensors if tensor.role == Role.UNUSED]
    size = sum(tensor.bytes for tensor in unused)
    if not _is_worth_saving(size, evidence):
        return None
    first = max(unused, key=lambda tensor: tensor.bytes)
    return Finding(
        code="CA106",
        severity="warning",
        title="the file holds what nothing uses",
        detail=f"{len(unused)} tensors, {first.name} first, take {format_bytes(size)}",
        hint="leave them out when saving: dead initializers, averaged copies, optimiser state",
    )


def _is_worth_saving(size: int, evidence: Evidence) -> bool:
    whole = evidence.compressed.file_bytes or evidence.compressed.weight_bytes or 0
    return size > 0 and size >= _NOTICEABLE_SHARE * whole


def exported_differently(evidence: Evidence) -> Finding | None:
    """CA105: parameters came or went with the export, not with the compression."""
    folded = [layer for layer in evidence.layers if layer.change == "folded"]
    matched = [layer for layer in evidence.layers if layer.change == "matched"]
    again = [layer for layer in matched if _parameters(layer)[0] == 0 < _parameters(layer)[1]]
    # Equal weights, and yet another number of parameters: a bias came or went.
    other = [
        layer
        for layer in matched
        if layer.weights_equal and 0 < _parameters(layer)[0] != _parameters(layer)[1]
    ]
    said = [
        f"{what} {_listed(layers)}"
        for what, layers in (
            ("folded into other layers:", folded),
            ("tied in the original and stored again:", again),
            ("with or without a bias now:", other),
        )
        if layers
    ]
    if not said:
        return None
    return Finding(
        code="CA105",
        severity="info",
        title="the export changed the number of parameters",
        detail="; ".join(said),
        hint="α(parameters) counts this too; see every layer with --layers",
    )


def _parameters(layer: Layer) -> tuple[int, int]:
    """Of the original's layer and the compressed one."""
    before, after = layer.original, layer.compressed
    return before.parameters if before else 0, after.parameters if after else 0


def _listed(layers: Sequence[Layer]) -> str:
    """Names with what each adds or takes away, few of them, and the sum of all."""
    changes = [after - before for before, after in map(_parameters, layers)]
    names = [
        f"{layer.name} ({_signed(change)})" for layer, change in zip(layers, changes, strict=True)
    ]
    if len(names) <= _MOST_LISTED:
        return ", ".join(names)
    more = f"and {len(names) - _MOST_LISTED} more, {_signed(sum(changes))} in all"
    return ", ".join([*names[:_MOST_LISTED], more])


def _signed(count: int) -> str:
    return f"{count:+,}".replace("-", "−")


RULES: tuple[Rule, ...] = (
    fake_quantization,
    zeros_still_stored,
    file_grew,
    stored_twice,
    exported_differently,
    never_read,
)
