"""CA4xx: whether the compressed model still gives the right answers."""

from __future__ import annotations

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Accuracy, ClassAccuracy, Finding, PairedMetric
from compaudit.units import (
    format_about,
    format_count,
    format_interval,
    format_number,
    format_part,
    format_points,
    format_share,
)

__all__ = ["RULES"]

_SERIOUS_LOSS = -0.02
_SURER = 0.05
"""By what share the entropy falls at least where a model is called surer of itself."""
_SURE = 0.05
_MANY_FLIPS, _ENOUGH_FLIPS = 0.05, 20
_FAR_APART_NATS, _ABOVE_FLOOR = 0.05, 10.0


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


def surer_than_right(evidence: Evidence) -> Finding | None:
    """CA405: the compressed model is surer of its answers, and not more often right."""
    accuracy, divergence = evidence.accuracy, evidence.divergence
    if accuracy is None or accuracy.top1 is None or accuracy.calibration_error is None:
        return None
    entropy = divergence.entropy if divergence is not None else None
    if entropy is None or entropy.compressed > (1 - _SURER) * entropy.original:
        return None
    error = accuracy.calibration_error
    if error.delta.low is None or error.delta.low <= 0 or accuracy.top1.delta.value > 0:
        return None
    return Finding(
        code="CA405",
        severity="warning",
        title="surer of itself, and no more often right",
        detail=f"the mean entropy of its answers fell from {format_number(entropy.original)} to "
        f"{format_number(entropy.compressed)} nats, top-1 changed by "
        f"{format_points(accuracy.top1.delta.value)}, and the calibration error rose from "
        f"{format_share(error.original.value)} to {format_share(error.compressed.value)}",
        hint="thresholds on its probabilities mean something else now; calibrate it again, for "
        "example by one temperature",
    )


def one_class_lost(evidence: Evidence) -> Finding | None:
    """CA406: one class alone carries most of what was lost."""
    accuracy = evidence.accuracy
    if accuracy is None or accuracy.flips is None or not accuracy.flips.broken:
        return None
    broken = accuracy.flips.broken
    for found in accuracy.per_class:
        # Broken less fixed of a class: never more than what broke in it.
        lost = round(-found.delta * found.samples)
        if found.p_value < _SURE and lost > broken / 2:
            return Finding(
                code="CA406",
                severity="warning",
                title="one class carries the loss",
                detail=f"{_class_text(found)} went from {format_share(found.original)} to "
                f"{format_share(found.compressed)} on {format_count(found.samples)} samples and "
                f"lost {format_count(lost)} of the {format_count(broken)} that broke, more than "
                f"chance explains (p {format_number(found.p_value)}, corrected for "
                f"{format_count(len(accuracy.per_class))} classes)",
                hint="is this class in the data that the compression was calibrated with?",
            )
    return None


def _class_text(found: ClassAccuracy) -> str:
    return f"class {found.label}" if found.name is None else f"{found.name!r} ({found.label})"


def many_flips(evidence: Evidence) -> Finding | None:
    """CA407: accuracy is alike because as many samples were fixed as broken.

    Source: Dutta et al. 2024, "Accuracy is Not All You Need", arXiv 2407.09141, section 3.
    """
    accuracy = evidence.accuracy
    if accuracy is None or accuracy.flips is None or not _looks_equal(accuracy.top1):
        return None
    flips = accuracy.flips.broken + accuracy.flips.fixed
    graded = _graded(accuracy)
    if flips < _ENOUGH_FLIPS or flips < _MANY_FLIPS * graded:
        return None
    return Finding(
        code="CA407",
        severity="warning",
        title="equal accuracy, other answers",
        detail=f"top-1 is alike, and yet {format_count(flips)} of {format_count(graded)} answers "
        f"({format_part(flips / graded)}) flipped: {format_count(accuracy.flips.broken)} from "
        f"right to wrong and {format_count(accuracy.flips.fixed)} back",
        hint="users of the original will notice; see which under worst in the JSON report",
    )


def _graded(accuracy: Accuracy) -> int:
    """How many answers there were: one a sample, or one a token."""
    return accuracy.language.tokens if accuracy.language is not None else accuracy.samples


def outputs_differ_more(evidence: Evidence) -> Finding | None:
    """CA408: accuracy looks equal, and the distributions are far apart."""
    accuracy, divergence = evidence.accuracy, evidence.divergence
    if accuracy is None or divergence is None or divergence.kl is None:
        return None
    kl, floor = divergence.kl.mean, divergence.kl.noise_floor
    if not _looks_equal(accuracy.top1) or kl.low is None or kl.low < _FAR_APART_NATS:
        return None
    if floor is not None and kl.low < _ABOVE_FLOOR * floor:
        return None
    agreed = divergence.top1_agreement
    text = f"the mean KL is {format_number(kl.value)} nats"
    if floor is not None:
        text += f", where the original differs from itself by {format_number(floor)}"
    if agreed is not None:
        text += f", and they agree on {format_share(agreed.value)} of the answers"
    return Finding(
        code="CA408",
        severity="info",
        title="the outputs differ more than accuracy shows",
        detail=f"top-1 shows no difference, but {text}",
        hint="whatever uses the probabilities, and not the answer alone, is another matter; "
        "require a bound, such as divergence.kl.mean <= 0.05",
    )


def too_few_samples(evidence: Evidence) -> Finding | None:
    """CA409: even with no change at all, so few samples could not show that there is none."""
    accuracy = evidence.accuracy
    if accuracy is None or accuracy.equivalence is None or accuracy.top1 is None:
        return None
    equivalence, delta = accuracy.equivalence, accuracy.top1.delta
    if equivalence.metric != "top1" or equivalence.status != "undecided":
        return None
    if delta.worst_case is None or delta.value - delta.worst_case < equivalence.margin:
        return None
    blind = format_points(delta.value - delta.worst_case).lstrip("+")
    claim = format_points(equivalence.margin).lstrip("+")
    counted = (
        "a single sample leaves"
        if accuracy.samples == 1
        else f"{format_count(accuracy.samples)} samples leave"
    )
    needed = (
        f"about {format_about(equivalence.samples)} samples would, if the change stays what it is"
        if equivalence.samples is not None
        else "with the change that was seen, no number of samples would"
    )
    return Finding(
        code="CA409",
        severity="info",
        title="too few samples to decide",
        detail=f"{counted} {blind} of top-1 open, and cannot show "
        f"that no more than {claim} are lost; {needed}",
        hint="give more labelled samples with --data before you rely on equal accuracy",
    )


def _looks_equal(metric: PairedMetric | None) -> bool:
    """Whether the interval of the change holds zero."""
    if metric is None or metric.delta.low is None or metric.delta.high is None:
        return False
    return metric.delta.low <= 0 <= metric.delta.high


RULES: tuple[Rule, ...] = (
    accuracy_collapsed,
    surer_than_right,
    one_class_lost,
    many_flips,
    outputs_differ_more,
    too_few_samples,
)
