"""The wording of requirements: what was required, what it is, and why it came out so."""

from __future__ import annotations

import re

from compaudit.report.rows.base import Form, Mood, Note, interval, plain
from compaudit.results import Check, Gate
from compaudit.units import (
    dimension_of,
    format_bytes,
    format_cosine,
    format_count,
    format_decibels,
    format_interval,
    format_number,
    format_points,
    format_rate,
    format_ratio,
    format_seconds,
    format_share,
    format_si,
    formatter_for,
)

__all__ = ["check_notes"]

_MOODS: dict[str, Mood] = {
    "passed": "good",
    "failed": "bad",
    "inconclusive": "warning",
    "not_measured": "warning",
}
_NUMERIC_LIMIT = re.compile(r"[<>=≤≥]\s*[-+−]?[\d.][^*]*$")
_SHARES = ("top1", "top5", "calibration_error", "top1_agreement", "top5_agreement")
_ONLY_WARNS = "only warns"


def check_notes(gate: Gate) -> tuple[Note, ...]:
    """A note for every requirement, in the order in which they were given."""
    return tuple(_note(check) for check in gate.checks)


def _note(check: Check) -> Note:
    label, mood = check.status.replace("_", " "), _MOODS[check.status]
    reason = check.reason.removeprefix(label).removeprefix(": ")
    text = ": ".join(part for part in (check.requirement, _observed(check), reason) if part)
    if check.severity == "warn" and check.status == "failed":
        label, mood = "warning", "warning"
    elif check.severity == "warn" and check.status != "passed":
        text, mood = f"{text} ({_ONLY_WARNS})", "plain"
    return Note(label, text, check.message if check.status != "passed" else "", mood)


def _observed(check: Check) -> str:
    """What it is, and the limit where that is made from another figure."""
    if check.observed is None:
        return ""
    form = _form_of(check)
    bounds = format_interval(
        None if check.low is None else form(check.low),
        None if check.high is None else form(check.high),
    )
    observed = f"is {form(check.observed)} {bounds}".rstrip()
    if check.reference is None:
        return observed
    other = f"{form(check.reference.value)} {interval(check.reference, form)}".rstrip()
    source = "the baseline" if re.search(r"\bbaseline\b", check.requirement) else "from"
    return f"{observed}, limit {form(check.limit)} ({source} {other})"


def _form_of(check: Check) -> Form:
    """The unit of the limit, or else of the figure; what is close to one takes more digits."""
    if _NUMERIC_LIMIT.search(check.requirement):
        form = formatter_for(check.requirement)
        if form is not format_number:
            return form
    steps = check.metric.split(".")
    last = next((step for step in reversed(steps) if step not in ("value", "low", "high")), "")
    match dimension_of(steps):
        case "bytes":
            return format_bytes
        case "seconds":
            return format_seconds
        case "decibels":
            return format_decibels
        case "number":
            pass
    if last in ("parameters", "nonzero_parameters") and steps[0] in ("original", "compressed"):
        return format_count
    if "macs" in steps and last in ("total", "nonzero"):
        return format_si
    if last.startswith("cosine"):
        return format_cosine
    if last == "perplexity_ratio":
        return format_ratio
    if check.reference is not None:
        if steps[0] in ("alpha", "delta"):
            return format_rate
        if set(steps) & set(_SHARES):
            return format_points if last == "delta" else format_share
    return plain
