"""CA4xx: whether outputs are alike from call to call, and where in the network they part."""

from __future__ import annotations

from statistics import median

from compaudit.findings.evidence import Evidence, Rule
from compaudit.findings.numbers import not_numbers
from compaudit.results import Finding
from compaudit.results.behaviour import OutputChange
from compaudit.units import format_count, format_decibels, format_number, format_part

__all__ = ["RULES"]

_RUINED_DB = 6.0
_BELOW_OTHERS_DB = 20.0
_ENOUGH_LAYERS = 3
_FEW_LEFT_OUT = 0.01
_HARMED_AGREEMENT = 0.9
# What float16 rounds to. A GPU adds in another order each time, which changes less than that.
_ROUNDING = 1e-3


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


def first_layer_that_breaks(evidence: Evidence) -> Finding | None:
    """CA410: from one place in the network on, the outputs are far from the original's."""
    found = evidence.first_break
    if found is None or not _outputs_are_worse(evidence):
        return None
    sqnr = "" if found.sqnr_db is None else f"an SQNR of {format_decibels(found.sqnr_db)}"
    broken = not_numbers(found.nonfinite_compressed) if found.nonfinite_compressed else ""
    return Finding(
        code="CA410",
        severity="warning",
        title="the outputs break at one place",
        detail=f"the output of {found.name} ({found.op}) is the first that is far from the "
        f"original's: {broken or sqnr or 'nothing of its signal is left'}",
        hint="compress this layer more gently, or leave it out",
    )


def _outputs_are_worse(evidence: Evidence) -> bool:
    """Whether what is far off inside does harm; a model trained anew is far off, and good."""
    accuracy, divergence = evidence.accuracy, evidence.divergence
    if accuracy is not None and accuracy.top1 is not None and accuracy.top1.delta.high is not None:
        return accuracy.top1.delta.high < 0
    if divergence is not None and divergence.top1_agreement is not None:
        return divergence.top1_agreement.value < _HARMED_AGREEMENT
    return True


def samples_left_out(evidence: Evidence) -> Finding | None:
    """CA411: more than one sample in a hundred could not be read."""
    data = evidence.data
    if data is None or data.skipped_samples <= _FEW_LEFT_OUT * data.samples:
        return None
    share = format_part(data.skipped_samples / data.samples)
    first = (
        f"; the first is {data.skipped[0].name}: {data.skipped[0].reason}" if data.skipped else ""
    )
    return Finding(
        code="CA411",
        severity="warning",
        title="samples were left out",
        detail=f"{format_count(data.skipped_samples)} of {format_count(data.samples)} samples "
        f"({share}) could not be read, and no figure speaks of them{first}",
        hint="repair or remove them: what cannot be read may not be like the rest",
    )


RULES: tuple[Rule, ...] = (
    one_layer_ruined,
    outputs_change,
    first_layer_that_breaks,
    samples_left_out,
)
