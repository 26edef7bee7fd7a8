"""CA2xx: what the times mean."""

from __future__ import annotations

from compaudit.findings.evidence import Evidence, Rule
from compaudit.results import Delta, Finding
from compaudit.units import format_interval, format_rate, format_share

__all__ = ["RULES"]

_NOTICEABLE = 1.05


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


RULES: tuple[Rule, ...] = (smaller_but_slower, within_noise, never_steady)
