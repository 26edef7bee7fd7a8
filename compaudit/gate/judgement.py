"""A report held against requirements, each by its value or by the whole of its interval."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeGuard

import msgspec

from compaudit.errors import ExitCode, RequestError
from compaudit.gate.baseline import incomparable
from compaudit.gate.path import format_path, parse_path, value_at
from compaudit.gate.requirement import Reference, Requirement
from compaudit.gate.sample_size import what_would_decide
from compaudit.results import Check, Comparison, Estimate, Gate

__all__ = ["exit_code_of", "gate_of", "judge"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}

Status = Literal["passed", "failed", "inconclusive", "not_measured"]
_Figure = float | Estimate
_Outcome = tuple[Status, str]


def judge(
    requirements: Iterable[Requirement], report: Comparison, baseline: Comparison | None = None
) -> Gate:
    """Judge every requirement; the gate's status is that of the worst check that binds.

    Args:
        requirements: of this report; see `parse_requirement`.
        report: of an audit. Its own `gate` is not looked at.
        baseline: an earlier report of the same original, for requirements that compare with one;
            see `require_comparable`.
    """
    bench = _Bench(report, baseline)
    return gate_of([bench.check(requirement) for requirement in requirements])


def gate_of(checks: list[Check]) -> Gate:
    """All checks together; ``none`` where there is none that binds."""
    statuses = {check.status for check in checks if check.severity == "fail"}
    status: Literal["passed", "failed", "inconclusive", "none"] = "none"
    if "failed" in statuses:
        status = "failed"
    elif statuses & {"inconclusive", "not_measured"}:
        status = "inconclusive"
    elif statuses:
        status = "passed"
    return Gate(status=status, checks=checks)


def exit_code_of(gate: Gate, inconclusive: Literal["fail", "warn", "pass"]) -> ExitCode:
    """0, 1 or 3, as the gate's outcome and ``--inconclusive`` say."""
    if gate.status == "failed":
        return ExitCode.REQUIREMENT_FAILED
    if gate.status == "inconclusive" and inconclusive == "fail":
        return ExitCode.UNDECIDED
    return ExitCode.DONE


class _Bench:
    """A report, and perhaps an earlier one, before which requirements come."""

    def __init__(self, report: Comparison, baseline: Comparison | None) -> None:
        self._report = report
        self._values = _values(report)
        self._baseline = baseline
        self._earlier = None if baseline is None else _values(baseline)

    def check(self, requirement: Requirement) -> Check:
        """How one requirement comes out."""
        limit = requirement.limit
        found = value_at(self._values, requirement.path)
        other = self._figure_of(limit) if isinstance(limit, Reference) else None
        status, reason = self._decide(requirement, _figure(found), other)
        observed = _figure(found)
        if isinstance(limit, Reference):
            exact = None if other is None else limit.limit(_point(other))
        else:
            exact = limit
        estimate = observed if isinstance(observed, Estimate) else None
        return Check(
            requirement=requirement.text,
            metric=format_path(requirement.path),
            observed=None if observed is None else _point(observed),
            low=estimate.low if estimate else None,
            high=estimate.high if estimate else None,
            limit=exact if _is_number(exact) else None,
            reference=_as_estimate(other),
            status=status,
            severity=requirement.severity,
            message=requirement.message,
            reason=reason,
        )

    def _figure_of(self, reference: Reference) -> _Figure | None:
        values = self._earlier if reference.baseline else self._values
        return _figure(value_at(values, reference.path))

    def _decide(
        self, requirement: Requirement, found: _Figure | None, other: _Figure | None
    ) -> _Outcome:
        limit, report = requirement.limit, self._report
        if found is None:
            return "not_measured", _why_missing(requirement.path, report)
        of_accuracy = requirement.path[0] == "accuracy" or (
            isinstance(limit, Reference) and limit.path[0] == "accuracy"
        )
        if of_accuracy and _is_made_up(report):
            what = "the inputs are synthetic, and say nothing of accuracy on real ones"
            return "inconclusive", what
        if not isinstance(limit, Reference):
            return _against_number(requirement, limit, found, report)
        if limit.baseline:
            if self._baseline is None:
                return "not_measured", "no baseline was given: --baseline REPORT.json"
            if other is None:
                why = _why_missing(limit.path, self._baseline)
                return "not_measured", f"in the baseline, {format_path(limit.path)} is {why}"
            why = incomparable(requirement.path, report, self._baseline) or incomparable(
                limit.path, report, self._baseline
            )
            if why:
                return "inconclusive", why
        elif other is None:
            why = _why_missing(limit.path, report)
            return "not_measured", f"{format_path(limit.path)} is {why}"
        return _against_figure(requirement, limit, found, other)


def _against_number(
    requirement: Requirement, limit: float, found: _Figure, report: Comparison
) -> _Outcome:
    """A figure and a number: the whole of an interval has to satisfy it."""
    holds = _OPERATORS[requirement.operator]
    if not isinstance(found, Estimate):
        return ("passed", "") if holds(found, limit) else ("failed", "")
    if found.low is None or found.high is None:
        return "inconclusive", "there is no interval; .value would name the point alone"
    at_low, at_high = holds(found.low, limit), holds(found.high, limit)
    if at_low != at_high:
        hint = what_would_decide(requirement.path, found, limit, report)
        return "inconclusive", "; ".join(
            filter(None, ("the interval has the limit inside it", hint))
        )
    return ("passed", "") if at_low else ("failed", "")


def _against_figure(
    requirement: Requirement, limit: Reference, found: _Figure, other: _Figure
) -> _Outcome:
    """A figure and another one, both as uncertain as they are.

    The interval of the difference of two uncertain figures is made of both of theirs (MOVER: Zou
    and Donner 2008, *Statistics in Medicine* 27, section 2), for independent ones. Figures that
    share their noise differ by less than that, so that this errs on the side of "undecided".
    """
    holds = _OPERATORS[requirement.operator]
    if not isinstance(found, Estimate) and not isinstance(other, Estimate):
        bound = limit.limit(other)
        if not math.isfinite(bound):
            return "inconclusive", "the limit is beyond all numbers"
        return ("passed", "") if holds(found, bound) else ("failed", "")
    ours, theirs = _interval(found), _interval(other)
    if ours is None or theirs is None:
        whose = "the figure" if ours is None else "what it is compared with"
        return "inconclusive", f"{whose} has no interval; .value would name the point alone"
    bound, *ends = (limit.limit(end) for end in theirs)
    least, most = min(bound, *ends), max(bound, *ends)
    value, low, high = ours
    difference = value - bound
    # Either figure alone leaves no more room than both, which huge numbers lose in rounding.
    below = min(difference - math.hypot(value - low, most - bound), low - bound, value - most)
    above = max(difference + math.hypot(high - value, bound - least), high - bound, value - least)
    if not (math.isfinite(below) and math.isfinite(above)):
        return "inconclusive", "the limit is beyond all numbers"
    # Where one side is exact, the other's interval is held against it as it stands.
    if least == most:
        below, above = low - bound, high - bound
    elif low == high:
        below, above = value - most, value - least
    at_low, at_high = holds(below, 0.0), holds(above, 0.0)
    if at_low != at_high:
        return "inconclusive", "the difference may be noise: both intervals together hold the limit"
    return ("passed", "") if at_low else ("failed", "")


# ------------------------------------------------------------------------------------- figures


def _values(report: Comparison) -> Any:
    """A report as plain values; nothing is ever required of raw blocks."""
    return msgspec.to_builtins(msgspec.structs.replace(report, samples=None))


def _figure(found: Any) -> _Figure | None:
    """What was found at a path: a finite number, an estimate of finite ones, or nothing.

    An interval that is not one, or not around its figure, is left out.
    """
    if not isinstance(found, dict):
        return found if _is_number(found) else None
    value, low, high = found.get("value"), found.get("low"), found.get("high")
    if not _is_number(value):
        return None
    if not (_is_number(low) and _is_number(high)) or not _is_around(low, value, high):
        low = high = None
    return Estimate(value=value, low=low, high=high)


def _is_around(low: float, value: float, high: float) -> bool:
    """Whether an interval holds its figure, but for what rounding does to a narrow one."""
    slack = 1e-9 * max(abs(low), abs(value), abs(high))
    return low - slack <= value <= high + slack and low <= high


def _point(figure: _Figure) -> float:
    return figure.value if isinstance(figure, Estimate) else figure


def _interval(figure: _Figure) -> tuple[float, float, float] | None:
    """Value, low and high; an exact number is its own interval."""
    if not isinstance(figure, Estimate):
        return figure, figure, figure
    if figure.low is None or figure.high is None:
        return None
    return figure.value, figure.low, figure.high


def _as_estimate(figure: _Figure | None) -> Estimate | None:
    if figure is None or isinstance(figure, Estimate):
        return figure
    return Estimate(value=figure, low=None, high=None)


def _is_made_up(report: Comparison) -> bool:
    """Whether the models were fed synthetic inputs."""
    sources = (report.data and report.data.kind, report.divergence and report.divergence.source)
    return "synthetic" in sources or (report.data is not None and report.data.uri is None)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _why_missing(path: tuple[str, ...], report: Comparison) -> str:
    """The recorded reason for the longest part of the path that was skipped."""
    reasons = {_steps(skipped.metric): skipped.reason for skipped in report.skipped}
    for length in range(len(path), 0, -1):
        reason = reasons.get(path[:length])
        if reason is not None:
            return f"not measured: {reason}"
    return "not measured"


def _steps(metric: str) -> tuple[str, ...]:
    """The path of a skipped figure, however it quotes its names."""
    try:
        return parse_path(metric)
    except RequestError:
        return (metric,)
