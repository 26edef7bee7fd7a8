"""A report held against requirements, each by its value or by the whole of its interval."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeGuard

import msgspec

from compaudit.errors import ExitCode, RequestError
from compaudit.gate.requirement import Requirement, format_path, parse_path
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

Status = Literal["passed", "failed", "inconclusive"]


def judge(requirements: Iterable[Requirement], report: Comparison) -> Gate:
    """Judge every requirement; the gate's status is that of the worst check."""
    values = msgspec.to_builtins(report)
    return gate_of([_check(requirement, values, report) for requirement in requirements])


def gate_of(checks: list[Check]) -> Gate:
    """All checks together; ``none`` where there is none."""
    if not checks:
        return Gate(status="none", checks=[])
    statuses = {check.status for check in checks}
    status: Status = "passed"
    if "failed" in statuses:
        status = "failed"
    elif "inconclusive" in statuses:
        status = "inconclusive"
    return Gate(status=status, checks=checks)


def exit_code_of(gate: Gate, inconclusive: Literal["fail", "warn", "pass"]) -> ExitCode:
    """0, 1 or 3, as the gate's outcome and ``--inconclusive`` say."""
    if gate.status == "failed":
        return ExitCode.REQUIREMENT_FAILED
    if gate.status == "inconclusive" and inconclusive == "fail":
        return ExitCode.UNDECIDED
    return ExitCode.DONE


def _check(requirement: Requirement, values: dict[str, Any], report: Comparison) -> Check:
    found = _value_at(values, requirement.path)
    status, message = _decide(requirement, found, report)
    estimate = found if isinstance(found, dict) else {}
    observed = estimate.get("value") if estimate else found
    return Check(
        requirement=requirement.text,
        metric=format_path(requirement.path),
        observed=observed if _is_number(observed) else None,
        low=estimate.get("low"),
        high=estimate.get("high"),
        status=status,
        severity="fail",
        message=message,
    )


def _decide(requirement: Requirement, found: Any, report: Comparison) -> tuple[Status, str]:
    if requirement.path[0] == "accuracy" and found is not None and _is_made_up(report):
        return "inconclusive", "the inputs are synthetic, and say nothing of accuracy on real ones"
    holds = _OPERATORS[requirement.operator]
    if isinstance(found, dict):
        low, high, value = found.get("low"), found.get("high"), found.get("value")
        if not (_is_number(low) and _is_number(high) and _is_number(value)):
            if value is None:
                return "inconclusive", _why_missing(requirement.path, report)
            return "inconclusive", "there is no interval; .value would name the point alone"
        at_low, at_high = holds(low, requirement.limit), holds(high, requirement.limit)
        if at_low and at_high:
            return "passed", ""
        if not at_low and not at_high:
            return "failed", ""
        estimate = Estimate(value=value, low=low, high=high)
        return "inconclusive", "; ".join(
            part
            for part in (
                "the interval has the limit inside it",
                what_would_decide(requirement.path, estimate, requirement.limit, report),
            )
            if part
        )
    if not _is_number(found):
        return "inconclusive", _why_missing(requirement.path, report)
    return ("passed", "") if holds(found, requirement.limit) else ("failed", "")


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


def _value_at(values: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(values, dict):
            return None
        values = values.get(step)
    return values
