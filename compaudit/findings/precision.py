"""CA108, CA207, CA307: in which numbers a model is stored and computed, and what that undoes."""

from __future__ import annotations

from collections.abc import Mapping

from compaudit.findings.evidence import Evidence, Rule
from compaudit.models.base import Role, bits_of
from compaudit.results import Finding, ModelResult
from compaudit.units import format_bytes, format_count, format_part

__all__ = ["RULES"]

_HALF = 0.5
_HALVES = ("float16", "bfloat16")
_COMPUTED_BY: Mapping[tuple[str, str], frozenset[str]] = {
    ("onnxruntime", "float16"): frozenset({"fp16"}),
    ("onnxruntime", "bfloat16"): frozenset({"bf16"}),
    ("torch", "float16"): frozenset({"avx512_fp16", "amx_fp16", "fp16"}),
    ("torch", "bfloat16"): frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
}
"""The instructions with which a framework computes in 16 bits on a processor. ONNX Runtime has such
kernels for ARM alone (MLAS, mlas.h: MLAS_F16VEC_INTRINSICS_SUPPORTED), and casts elsewhere."""
_FRAMEWORKS = {"onnxruntime": "ONNX Runtime", "torch": "PyTorch"}
_FULL = 32
_WITH_PARAMETERS = (Role.WEIGHT, Role.BIAS, Role.BUFFER)


def float64_leftovers(evidence: Evidence) -> Finding | None:
    """CA108: tensors in float64, or parameters that are computed with in it."""
    stored = [
        tensor
        for tensor in evidence.compressed_tensors
        if tensor.dtype == "float64" and tensor.role in _WITH_PARAMETERS
    ]
    computed = evidence.compressed.computed_precision.get("float64", 0)
    if not stored and not computed:
        return None
    parts = []
    if stored:
        first = max(stored, key=lambda tensor: tensor.bytes).name
        size = format_bytes(sum(tensor.bytes for tensor in stored))
        parts.append(
            f"1 tensor is stored in float64 and takes {size}: {first}"
            if len(stored) == 1
            else f"{len(stored):,} tensors are stored in float64 and take {size}, {first} first"
        )
    if computed:
        parts.append(f"{format_count(computed)} parameters are computed with in float64")
    return Finding(
        code="CA108",
        severity="warning",
        title="float64 was left over",
        detail="; ".join(parts),
        hint="convert them to float32 before the export; NumPy and Python numbers are float64 "
        "unless told otherwise",
    )


def half_computed_in_float32(evidence: Evidence) -> Finding | None:
    """CA207: 16-bit floats are stored, and what computes widens them to 32 bits first."""
    compressed = evidence.compressed
    kind = next((kind for kind in _HALVES if _share(compressed.precision, kind) >= _HALF), None)
    if kind is None:
        return None
    reason = _why_widened(evidence, kind)
    if not reason:
        return None
    return Finding(
        code="CA207",
        severity="info",
        title="stored in 16 bits, computed in float32",
        detail=f"{format_part(_share(compressed.precision, kind))} of the parameters are stored as "
        f"{kind}, and {reason}: half the bytes, and no time saved",
        hint=f"time it on a device that computes in {kind}; for this one, int8 may gain",
    )


def _why_widened(evidence: Evidence, kind: str) -> str:
    """What says that it is computed in float32; nothing where nothing does."""
    if _share(evidence.compressed.computed_precision, "float32") >= _HALF:
        return "the graph converts them to float32 before it computes with them"
    for cause in evidence.profile.causes if evidence.profile is not None else ():
        if cause.kind == "float_fallback" and kind in cause.detail:
            return "the profile shows float32 operators that compute with them"
    runtime = evidence.runtimes[1] or ""
    computing = _COMPUTED_BY.get((runtime, kind))
    if computing is None or not evidence.instruction_sets or evidence.instruction_sets & computing:
        return ""
    return f"{_FRAMEWORKS[runtime]} has no {kind} arithmetic on this processor"


def different_precisions(evidence: Evidence) -> Finding | None:
    """CA307: the original is no full precision itself, or float32 means another thing in each."""
    found = [*_reduced_original(evidence.original), *_reduced_products(evidence)]
    if not found:
        return None
    return Finding(
        code="CA307",
        severity="info",
        title="different precisions",
        detail="; ".join(found),
        hint="audit against the original in float32, with the same settings for both, to see what "
        "the compression alone does",
    )


def _reduced_original(original: ModelResult) -> list[str]:
    """That the original is stored in few bits, so that rates are against that."""
    narrow = {
        kind: count
        for kind, count in original.precision.items()
        if _bits(kind) is not None and (_bits(kind) or 0) < _FULL
    }
    share = sum(narrow.values()) / max(sum(original.precision.values()), 1)
    if share < _HALF:
        return []
    kind = max(narrow, key=lambda kind: narrow[kind])
    return [
        f"the original is reduced already, {format_part(share)} of its parameters are {kind} or "
        "less, and all rates are against that"
    ]


def _reduced_products(evidence: Evidence) -> list[str]:
    """That float32 is multiplied in fewer bits in one of the models only."""
    sides = [_products_of(side) for side in (evidence.original, evidence.compressed)]
    original, compressed = sides
    if original is None or compressed is None or original == compressed:
        return []
    return [
        f"float32 is multiplied in {original} in the original and in {compressed} in the "
        "compressed model"
    ]


def _products_of(model: ModelResult) -> str | None:
    """What a device multiplies float32 in, by the settings that were read back."""
    settings = model.latency.settings if model.latency is not None else {}
    if "cuda.use_tf32" in settings:
        return "tf32" if settings["cuda.use_tf32"] == "1" else "float32"
    told = settings.get("float32_matmul")
    return "float32" if told == "ieee" else told


def _share(counts: Mapping[str, int], kind: str) -> float:
    return counts.get(kind, 0) / max(sum(counts.values()), 1)


def _bits(kind: str) -> int | None:
    try:
        return bits_of(kind)
    except ValueError:
        return None


RULES: tuple[Rule, ...] = (float64_leftovers, half_computed_in_float32, different_precisions)
