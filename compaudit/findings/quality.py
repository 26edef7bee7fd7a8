"""CA4xx: whether the compressed model is still as good."""

from __future__ import annotations

from statistics import median

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Finding
from compaudit.units import format_decibels, format_interval, format_points, format_share

__all__ = ["RULES"]

_SERIOUS_LOSS = -0.02
_RUINED_DB = 6.0
_BELOW_OTHERS_DB = 20.0
_ENOUGH_LAYERS = 3


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


def one_layer_ruined(evidence: Evidence) -> Finding | None:
    """CA403: the weights of one layer are far from the original's, and those of others are not."""
    measured = [
        (layer.weight_sqnr_db, layer)
        for layer in evidence.layers
        if layer.weight_sqnr_db is not None and layer.change == "matched"
    ]
    if len(measured) < _ENOUGH_LAYERS:
        return None
    others = median(sqnr for sqnr, _ in measured)
    worst, layer = min(measured, key=lambda pair: pair[0])
    if worst >= _RUINED_DB or worst > others - _BELOW_OTHERS_DB:
        return None
    return Finding(
        code="CA403",
        severity="warning",
        title="the weights of one layer are far off",
        detail=f"{layer.name} has a weight SQNR of {format_decibels(worst)}, the median of "
        f"{len(measured)} layers is {format_decibels(others)}",
        hint="was it given a wrong scale or zero point? compress this layer again, or leave it out",
    )


RULES: tuple[Rule, ...] = (accuracy_collapsed, outputs_not_numbers, one_layer_ruined)
