"""CA4xx: whether the compressed model is still as good."""

from __future__ import annotations

from statistics import median

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Finding
from compaudit.results.behaviour import OutputChange
from compaudit.units import (
    format_decibels,
    format_interval,
    format_number,
    format_part,
    format_points,
    format_share,
)

__all__ = ["RULES"]

_SERIOUS_LOSS = -0.02
_RUINED_DB = 6.0
_BELOW_OTHERS_DB = 20.0
_ENOUGH_LAYERS = 3
# What float16 rounds to. A GPU adds in another order each time, which changes less than that.
_ROUNDING = 1e-3


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
    """CA402: an output is NaN or infinite, and the two models do not agree on where."""
    if evidence.divergence is None:
        return None
    broken = [
        (name, error)
        for name, error in evidence.divergence.outputs.items()
        # Infinities that both models agree on (a masked class) leave the figures as they are.
        if error.max_abs_error is None and (error.nonfinite_compressed or error.nonfinite_original)
    ]
    if not broken:
        return None
    name, error = max(broken, key=lambda pair: pair[1].nonfinite_compressed > 0)
    original, compressed = error.nonfinite_original, error.nonfinite_compressed
    if not compressed:
        return Finding(
            code="CA402",
            severity="warning",
            title="the original's outputs are NaN or infinite",
            detail=f"its output {name!r} holds {original} values that are not numbers, so that the "
            "compressed model cannot be compared with it",
            hint="give inputs that the original can take, with --data, or repair it first",
        )
    return Finding(
        code="CA402",
        severity="error",
        title="outputs are NaN or infinite",
        detail=f"the compressed model's output {name!r} holds {compressed} values that are not "
        f"numbers, the original's {original or 'none'}",
        hint="the original's are there without any compression: give inputs that it can take, with "
        "--data, or repair it first"
        if original
        else "an overflow is likely: float16 ranges, a scale of zero, or a division",
    )


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


def outputs_change(evidence: Evidence) -> Finding | None:
    """CA404: a model gives other outputs when it runs again on the same inputs."""
    changes = evidence.output_changes
    if not changes:
        return None
    rounding = all(_is_rounding(change) for change in changes.values())
    detail = "; ".join(_change_text(model, change) for model, change in changes.items())
    if rounding:
        return Finding(
            code="CA404",
            severity="info",
            title="outputs change from call to call, by rounding",
            detail=f"run again on the same inputs, {detail}: as when a device adds in another "
            "order each time",
            hint="differences as small as that are not the compression's doing",
        )
    return Finding(
        code="CA404",
        severity="warning",
        title="outputs change from call to call",
        detail=f"run again on the same inputs, {detail}: divergence and accuracy contain that "
        "noise, and another audit will give other figures",
        hint="look for randomness (sampling, dropout that is still on) or state that the model "
        "keeps from call to call",
    )


def _is_rounding(change: OutputChange) -> bool:
    difference = change.largest_difference
    return change.real and difference is not None and difference <= _ROUNDING * change.largest_value


def _change_text(model: str, change: OutputChange) -> str:
    text = f"the {model} model's output {change.output!r} "
    if change.largest_difference is None:
        text += change.what
    else:
        text += f"differed by up to {format_number(change.largest_difference)}"
        if change.largest_value > 0:
            share = format_part(change.largest_difference / change.largest_value)
            text += f", {share} of its largest value"
    return text + (f" (and {change.others} more of its outputs changed)" if change.others else "")


RULES: tuple[Rule, ...] = (
    accuracy_collapsed,
    outputs_not_numbers,
    one_layer_ruined,
    outputs_change,
)
