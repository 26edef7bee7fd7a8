"""CA1xx: what the sizes mean."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compaudit.findings.evidence import Evidence, Rule
from compaudit.models.base import Graph, Model, Role
from compaudit.results import Finding, Layer
from compaudit.units import format_bytes, format_number, format_part, format_rate, format_share

__all__ = ["RULES"]

_HALF = 0.5
_QUANTIZES = re.compile(r"^QuantizeLinear$|\bquantize_per_|\bfake_quantize_per_")
_MOST_LISTED = 3
_WELL_COVERED = 0.9
_SAME_SIZE = 0.995
"""α down to which two sizes are called the same, as the report does."""


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
        detail=_wrapped_text(wrapped) + " quantised and dequantised when the model runs; the file "
        f"holds {format_number(evidence.compressed.bits_per_weight)} bits a weight, so nothing "
        "got smaller",
        hint="convert the model to real integer weights before shipping it",
    )


def _wrapped_text(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"1 weight, {names[0]!r}, is"
    return f"{len(names):,} weights, {names[0]!r} first, are"


def _quantized_at_run_time(model: Model, graph: Graph) -> list[str]:
    """Weights in float that an operator quantises, be it ONNX's or PyTorch's fake quantisation."""
    floats = {
        tensor.name
        for tensor in model.tensors
        if tensor.role is Role.WEIGHT and tensor.dtype in ("float32", "float16", "bfloat16")
    }
    return [
        node.inputs[0]
        for node in graph.nodes
        if node.inputs and node.inputs[0] in floats and _QUANTIZES.search(node.op)
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
    if alpha is None or alpha > _SAME_SIZE:
        return None
    return Finding(
        code="CA103",
        severity="warning",
        title="the file grew",
        detail=f"{format_bytes(evidence.original.file_bytes)} became "
        f"{format_bytes(evidence.compressed.file_bytes)}",
        hint="compare the ledgers: compaudit inspect ORIGINAL COMPRESSED",
    )


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


def operations_not_counted(evidence: Evidence) -> Finding | None:
    """CA110: so many operations have no count that MACs say little, or α(macs) nothing."""
    sides = (("original", evidence.original), ("compressed", evidence.compressed))
    counted = [(name, side.macs) for name, side in sides if side.macs is not None]
    undefined = len(counted) == 2 and evidence.alpha.macs is None
    poor = [
        (name, macs)
        for name, macs in counted
        if macs.uncounted_ops
        and (undefined or (macs.coverage is not None and macs.coverage < _WELL_COVERED))
    ]
    if not poor:
        return None
    text = "; ".join(
        f"in the {name} model {format_part(macs.coverage)} of the operations are counted, and not: "
        f"{_named(macs.uncounted_ops)}"
        for name, macs in poor
    )
    without = ", and α(macs) is left out, for some of them may multiply" if undefined else ""
    return Finding(
        code="CA110",
        severity="info",
        title="MACs do not cover the whole model",
        detail=f"{text}{without}",
        hint="give sizes that are left open with --input-shape; operators of somebody's own "
        "library have no count: judge by δ",
    )


def _named(operators: Sequence[str]) -> str:
    more = len(operators) - _MOST_LISTED
    return ", ".join(operators[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


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
    exported_differently,
    operations_not_counted,
)
