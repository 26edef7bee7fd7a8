"""CA2xx: what the times mean."""

from __future__ import annotations

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Delta, Finding
from compaudit.units import format_count, format_interval, format_rate, format_seconds, format_share

__all__ = ["RULES"]

_NOTICEABLE = 1.05
_CAUSES = 3
_COSTLY = 0.01
"""Share of an inference from which on it is said what a cause costs."""


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
        f"inference takes {format_rate(1 / delta.value)} as long{_because(evidence)}",
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
        title="the difference in speed is within this machine's noise",
        detail=f"δ is {_delta_text(delta)}, and the original against itself differed by up to "
        f"{format_share(delta.noise_floor, 1)}",
        hint="give more --time-budget, or use a quieter machine",
    )


def never_steady(evidence: Evidence) -> Finding | None:
    """CA203: the time of a call had not settled when warming up ended, or declined after it."""
    if not evidence.never_steady:
        return None
    return Finding(
        code="CA203",
        severity="info",
        title="never reached a steady state",
        detail=f"the time of a call of the {' and the '.join(evidence.never_steady)} model still "
        "changed by more than 5 % after warming up",
        hint="other work on this machine is likely, or the model itself takes now more time, now "
        "less; see: compaudit doctor",
    )


def not_faster(evidence: Evidence) -> Finding | None:
    """CA204: the model shrank, its inference takes as long, and the profile says why."""
    delta, alpha = evidence.delta, evidence.alpha
    shrank = [
        f"α({basis}) is {format_rate(rate)}"
        for basis, rate in (("weight_bytes", alpha.weight_bytes), ("macs", alpha.macs))
        if rate is not None and rate >= _NOTICEABLE
    ]
    if delta is None or not shrank or not _because(evidence):
        return None
    unchanged = delta.verdict == "no_measurable_change"
    if not unchanged and (delta.verdict != "inconclusive" or delta.value >= 1):
        return None
    return Finding(
        code="CA204",
        severity="info",
        title="smaller, and no faster",
        detail=f"{' and '.join(shrank)}, and δ is {_delta_text(delta)}{_because(evidence)}",
        hint="see where the time goes, layer by layer, under profile in the JSON report",
    )


def compiled_again(evidence: Evidence) -> Finding | None:
    """CA205: the framework compiled a model while it was timed."""
    if not evidence.recompiled:
        return None
    detail = " and ".join(
        f"in {format_count(blocks)} of the {model} model's timed blocks"
        for model, blocks in evidence.recompiled.items()
    )
    return Finding(
        code="CA205",
        severity="warning",
        title="compiled again while it was timed",
        detail=f"the framework compiled {detail}, long after the first call: their times are in "
        "part those of the compiler",
        hint="TORCH_LOGS=recompiles tells which value changes from call to call; leave --compile "
        "out, or keep that value out of forward",
    )


def _because(evidence: Evidence) -> str:
    """The three causes that cost most, or nothing where no profile tells any."""
    if evidence.profile is None or not evidence.profile.causes:
        return ""
    least = _COSTLY * evidence.profile.compressed.total_s
    causes = [
        f"{cause.detail} (+{format_seconds(cause.extra_s)} an inference)"
        if cause.extra_s is not None and cause.extra_s >= least
        else cause.detail
        for cause in evidence.profile.causes[:_CAUSES]
    ]
    return f". Its time goes to: {'; '.join(causes)}"


def _delta_text(delta: Delta) -> str:
    interval = format_interval(
        None if delta.low is None else format_rate(delta.low),
        None if delta.high is None else format_rate(delta.high),
    )
    return f"{format_rate(delta.value)} {interval}".strip()


RULES: tuple[Rule, ...] = (
    smaller_but_slower,
    within_noise,
    never_steady,
    not_faster,
    compiled_again,
)
