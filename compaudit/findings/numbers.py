"""CA402, CA412, CA413: whether outputs are numbers, have room to differ, and were read right."""

from __future__ import annotations

from compaudit.config import Which
from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Finding
from compaudit.results.behaviour import Extremes
from compaudit.units import format_count, format_number, format_part

__all__ = ["RULES", "not_numbers"]

_CLIPPED_SHARE, _TIMES_THE_ORIGINALS, _ENOUGH_CLIPPED = 0.01, 10.0, 20
"""A share of the values that lie exactly at an end; how many times that of the original's; and how
many there are at least."""


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
            detail=f"its output {name!r} holds {not_numbers(original)}, so that the "
            "compressed model cannot be compared with it"
            f"{_first_places(evidence, name, 'original')}",
            hint="give inputs that the original can take, with --data, or repair it first",
        )
    return Finding(
        code="CA402",
        severity="error",
        title="outputs are NaN or infinite",
        detail=f"the compressed model's output {name!r} holds {not_numbers(compressed)}, "
        f"the original's {format_count(original) if original else 'none'}"
        f"{_first_places(evidence, name, 'compressed')}",
        hint="the original's are there without any compression: give inputs that it can take, with "
        "--data, or repair it first"
        if original
        else "an overflow is likely: float16 ranges, a scale of zero, or a division"
        + ("" if evidence.trace else "; --trace shows where they begin"),
    )


def not_numbers(count: int) -> str:
    """So many values that are NaN or infinite, in words."""
    if count == 1:
        return "1 value that is not a number"
    return f"{format_count(count)} values that are not numbers"


def _first_places(evidence: Evidence, output: str, which: Which) -> str:
    """The sample in which they begin, and where in the network, as far as it was looked."""
    reason = evidence.reasons.get(f'divergence.outputs["{output}"].max_abs_error', "")
    said, sample = reason.partition("first in sample ")[1:]
    text = f"; {said}{sample.partition(',')[0]}" if said else ""
    for found in evidence.trace:
        if found.nonfinite_original if which == "original" else found.nonfinite_compressed:
            return f"{text}; the first are in the output of {found.name} ({found.op})"
    return text


def saturated(evidence: Evidence) -> Finding | None:
    """CA412: many of the compressed model's outputs are exactly the largest or smallest there is.

    Not so in the original: a ReLU puts many values at zero in both, and means no harm.
    """
    found = [
        text
        for name, (original, compressed) in evidence.extremes.items()
        if (text := _clipped(name, original, compressed, may_be_zero=_is_sure(evidence, name)))
    ]
    if not found:
        return None
    return Finding(
        code="CA412",
        severity="warning",
        title="outputs are saturated",
        detail="; ".join(found),
        hint="a range is too narrow, or a scale too small: calibrate the last layers with data "
        "that reaches their largest values, or leave them out",
    )


def _is_sure(evidence: Evidence, name: str) -> bool:
    """Whether an output holds probabilities, of which many are rightly next to nothing."""
    divergence = evidence.divergence
    if divergence is None or divergence.scores is None or divergence.output != name:
        return False
    return divergence.scores.compressed == "probabilities"


def _clipped(name: str, original: Extremes, compressed: Extremes, *, may_be_zero: bool) -> str:
    """What is to be said of the fuller end; nothing where it is as full in the original."""
    if compressed.lowest == compressed.highest:
        if original.lowest == original.highest:
            return ""
        return f"every value of its output {name!r} is {_signed(compressed.lowest)}"
    ends = (
        ("smallest", compressed.lowest, compressed.at_lowest, original.at_lowest),
        ("largest", compressed.highest, compressed.at_highest, original.at_highest),
    )
    end, value, count, before = max(
        (one for one in ends if not (may_be_zero and one[1] == 0)), key=lambda one: one[2]
    )
    share, share_before = count / compressed.elements, before / original.elements
    if count < _ENOUGH_CLIPPED or share < _CLIPPED_SHARE:
        return ""
    if share < _TIMES_THE_ORIGINALS * share_before:
        return ""
    return (
        f"{format_part(share)} of the values of its output {name!r} are exactly the {end} there "
        f"is, {_signed(value)}; of the original's {format_part(share_before)}"
    )


def _signed(value: float) -> str:
    return format_number(value).replace("-", "−")


def shares_read_as_logits(evidence: Evidence) -> Finding | None:
    """CA413: class scores look like probabilities, and do not sum to one."""
    divergence = evidence.divergence
    if divergence is None or divergence.scores is None or divergence.output is None:
        return None
    ends = evidence.extremes.get(divergence.output)
    if ends is None:
        return None
    models: tuple[Which, Which] = ("original", "compressed")
    read = divergence.scores.original, divergence.scores.compressed
    found = [
        model
        for model, kind, end in zip(models, read, ends, strict=True)
        # An output of one number throughout says nothing.
        if kind == "logits" and 0 <= end.lowest < end.highest <= 1
    ]
    if not found:
        return None
    whose = "both models" if len(found) == 2 else f"the {found[0]} model"
    return Finding(
        code="CA413",
        severity="warning",
        title="numbers between 0 and 1 were read as logits",
        detail=f"all numbers in the output {divergence.output!r} of {whose} lie between 0 and 1, "
        "and the classes of a sample do not sum to one: they were read as logits, so entropies, "
        "divergences and losses are those of a softmax on top of them",
        hint="if they are probabilities of classes of which one is right, have the model "
        "normalise them; if every class is decided for itself, use a --metric of your own",
    )


RULES: tuple[Rule, ...] = (outputs_not_numbers, saturated, shares_read_as_logits)
