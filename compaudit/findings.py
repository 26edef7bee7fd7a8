"""What the numbers mean together: contradictions, and what a reviewer must know.

One small function per finding, with a stable code, in the tuple `RULES`. A rule returns its
finding, or None. CA1xx speak of size, CA2xx of speed, CA3xx of how the two were run, CA4xx of
quality.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from compaudit.models.base import Graph, Model, Role
from compaudit.results import (
    Accuracy,
    Delta,
    Divergence,
    Finding,
    ModelResult,
    RatesWithLimit,
)
from compaudit.units import (
    format_bytes,
    format_interval,
    format_points,
    format_rate,
    format_share,
)

__all__ = ["RULES", "Evidence", "find"]

_HALF = 0.5
_NOTICEABLE = 1.05
_SERIOUS_LOSS = -0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a rule may look at. What was not measured is None."""

    original: ModelResult
    compressed: ModelResult
    original_model: Model | None
    compressed_model: Model | None
    runtimes: tuple[str | None, str | None]
    alpha: RatesWithLimit
    delta: Delta | None
    accuracy: Accuracy | None
    divergence: Divergence | None
    never_steady: tuple[str, ...]


Rule = Callable[[Evidence], Finding | None]


def find(evidence: Evidence) -> list[Finding]:
    """All findings, the gravest first."""
    found = [finding for rule in RULES if (finding := rule(evidence)) is not None]
    order = ("error", "warning", "info")
    return sorted(found, key=lambda finding: order.index(finding.severity))


# ------------------------------------------------------------------------------- size, CA1xx


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


# ------------------------------------------------------------------------------ speed, CA2xx


def smaller_but_slower(evidence: Evidence) -> Finding | None:
    """CA201: the model shrank, and its inference takes longer."""
    alpha, delta = evidence.alpha.weight_bytes, evidence.delta
    if delta is None or delta.verdict != "slower" or alpha is None or alpha < _NOTICEABLE:
        return None
    return Finding(
        code="CA201",
        severity="warning",
        title="smaller, but slower",
        detail=f"α(weight_bytes) is {format_rate(alpha)}, and δ is {_delta_text(delta)}: one "
        f"inference takes {format_rate(1 / delta.value)} as long",
        hint="this runtime or processor has no fast path for what was compressed; time it where "
        "it will run",
    )


def within_noise(evidence: Evidence) -> Finding | None:
    """CA202: the interval excludes 1, and so it does for the original against itself."""
    delta = evidence.delta
    if delta is None or delta.verdict != "inconclusive" or delta.noise_floor is None:
        return None
    if delta.low is None or delta.high is None or delta.low <= 1 <= delta.high:
        return None
    return Finding(
        code="CA202",
        severity="info",
        title="the speed-up is within this machine's noise",
        detail=f"δ is {_delta_text(delta)}, and the original against itself differed by up to "
        f"{format_share(delta.noise_floor, 1)}",
        hint="give more --time-budget, or use a quieter machine",
    )


def never_steady(evidence: Evidence) -> Finding | None:
    """CA203: warming up ended before the time of a call had settled."""
    if not evidence.never_steady:
        return None
    return Finding(
        code="CA203",
        severity="info",
        title="never reached a steady state",
        detail=f"the time of a call of the {' and the '.join(evidence.never_steady)} model still "
        "changed by more than 5 % when warming up was cut short",
        hint="other work on this machine is likely; see: compaudit doctor",
    )


def _delta_text(delta: Delta) -> str:
    interval = format_interval(
        None if delta.low is None else format_rate(delta.low),
        None if delta.high is None else format_rate(delta.high),
    )
    return f"{format_rate(delta.value)} {interval}".strip()


# ----------------------------------------------------------------------- circumstances, CA3xx


def different_runtimes(evidence: Evidence) -> Finding | None:
    """CA301: the two models are executed by different frameworks."""
    original, compressed = evidence.runtimes
    if original is None or compressed is None or original == compressed:
        return None
    return Finding(
        code="CA301",
        severity="info",
        title="different runtimes",
        detail=f"the original runs in {original} and the compressed model in {compressed}: δ "
        "compares the runtimes as much as the models",
        hint="export both to one format to see what the compression alone gives",
    )


def synthetic_inputs(evidence: Evidence) -> Finding | None:
    """CA302: the outputs were compared on made-up inputs."""
    divergence = evidence.divergence
    if divergence is None or divergence.source != "synthetic":
        return None
    return Finding(
        code="CA302",
        severity="info",
        title="synthetic inputs",
        detail=f"divergence was measured on {divergence.samples} made-up inputs, which say little "
        "about real ones; accuracy was not measured",
        hint="give real samples with --data",
    )


# ---------------------------------------------------------------------------- quality, CA4xx


def accuracy_collapsed(evidence: Evidence) -> Finding | None:
    """CA401: top-1 accuracy fell, surely, by more than two points."""
    accuracy = evidence.accuracy
    if accuracy is None or accuracy.top1 is None:
        return None
    delta = accuracy.top1.delta
    if delta.high is None or delta.high >= _SERIOUS_LOSS:
        return None
    low = None if delta.low is None else format_points(delta.low)
    return Finding(
        code="CA401",
        severity="error",
        title="accuracy collapsed",
        detail=f"top-1 went from {format_share(accuracy.top1.original.value)} to "
        f"{format_share(accuracy.top1.compressed.value)}, a change of {format_points(delta.value)} "
        f"{format_interval(low, format_points(delta.high))}",
        hint="do not ship it; look at the layers that were compressed hardest",
    )


def outputs_not_numbers(evidence: Evidence) -> Finding | None:
    """CA402: an output of the compressed model is NaN or infinite."""
    divergence = evidence.divergence
    if divergence is None:
        return None
    for name, error in divergence.outputs.items():
        if error.nonfinite_compressed:
            return Finding(
                code="CA402",
                severity="error",
                title="outputs are NaN or infinite",
                detail=f"the compressed model's output {name!r} holds {error.nonfinite_compressed} "
                f"values that are not numbers, the original's {error.nonfinite_original}",
                hint="an overflow is likely: float16 ranges, a scale of zero, or a division",
            )
    return None


RULES: tuple[Rule, ...] = (
    fake_quantization,
    zeros_still_stored,
    file_grew,
    smaller_but_slower,
    within_noise,
    never_steady,
    different_runtimes,
    synthetic_inputs,
    accuracy_collapsed,
    outputs_not_numbers,
)
