"""Requirements against results: passed, failed, or inconclusive. No evidence is never a pass.

A requirement names a value by its path in the JSON report: ``alpha.file_bytes >= 3.5``,
``accuracy.top1.delta >= -2 pp``, ``divergence.outputs["a.b"].cosine >= 0.99``. An estimate is
judged by its whole interval; ``.value`` names the point.
"""

from __future__ import annotations

import math
import operator
import re
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeGuard, get_args, get_origin, get_type_hints

import msgspec

from compaudit import units
from compaudit.errors import ExitCode, RequestError
from compaudit.results import Check, Comparison, Estimate, Gate

__all__ = ["Requirement", "exit_code_of", "gate_of", "judge", "parse_requirement"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_REQUIREMENT = re.compile(r"\s*(?P<path>.+?)\s*(?P<operator>>=|<=|==|!=|>|<)\s*(?P<limit>.+?)\s*")
_STEP = re.compile(r"""\.?([A-Za-z_]\w*)|\[(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\]""")

Status = Literal["passed", "failed", "inconclusive"]


class Requirement(msgspec.Struct, frozen=True):
    """One requirement, parsed: a path, a comparison, and a limit in SI units."""

    text: str
    path: tuple[str, ...]
    operator: str
    limit: float


def parse_requirement(text: str) -> Requirement:
    """Parse and check a requirement against the report's own types.

    Raises:
        RequestError: it has no comparison, its limit is no number, or no report has such a value.
    """
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise _refused(
            f"{text!r} is not a requirement", 'for example --require "alpha.file_bytes >= 3.5"'
        )
    path = _parse_path(match["path"])
    kind = _kind_at(path, text)
    try:
        limit = units.parse_quantity(match["limit"])
    except ValueError as error:
        raise _refused(f"{text!r}: {error}", "give a number, with a unit if you like") from error
    if kind is Estimate and match["operator"] in ("==", "!="):
        raise _refused(
            f"{text!r}: an uncertain figure is never equal to a number",
            f"use >= or <=, or name its point: {match['path']}.value",
        )
    return Requirement(text, path, match["operator"], limit)


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
        metric=_format_path(requirement.path),
        observed=observed if _is_number(observed) else None,
        low=estimate.get("low"),
        high=estimate.get("high"),
        status=status,
        severity="fail",
        message=message,
    )


def _decide(requirement: Requirement, found: Any, report: Comparison) -> tuple[Status, str]:
    holds = _OPERATORS[requirement.operator]
    if isinstance(found, dict):
        low, high = found.get("low"), found.get("high")
        if not (_is_number(low) and _is_number(high) and _is_number(found.get("value"))):
            if found.get("value") is None:
                return "inconclusive", _why_missing(requirement.path, report)
            return "inconclusive", "there is no interval; .value would name the point alone"
        at_low, at_high = holds(low, requirement.limit), holds(high, requirement.limit)
        if at_low and at_high:
            return "passed", ""
        if not at_low and not at_high:
            return "failed", ""
        return "inconclusive", "the interval has the limit inside it"
    if not _is_number(found):
        return "inconclusive", _why_missing(requirement.path, report)
    return ("passed", "") if holds(found, requirement.limit) else ("failed", "")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _why_missing(path: tuple[str, ...], report: Comparison) -> str:
    """The recorded reason for the longest part of the path that was skipped."""
    reasons = {skipped.metric: skipped.reason for skipped in report.skipped}
    for length in range(len(path), 0, -1):
        reason = reasons.get(_format_path(path[:length]))
        if reason is not None:
            return f"not measured: {reason}"
    return "not measured"


def _value_at(values: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(values, dict):
            return None
        values = values.get(step)
    return values


# ---------------------------------------------------------------------------------- paths


def _parse_path(text: str) -> tuple[str, ...]:
    steps = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise _refused(
                f"{text!r} is not a path", 'for example divergence.outputs["logits"].cosine'
            )
        plain, double, single = match.groups()
        quoted = double if double is not None else single
        steps.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = match.end()
    return tuple(steps)


def _format_path(path: tuple[str, ...]) -> str:
    text = ""
    for step in path:
        if re.fullmatch(r"[A-Za-z_]\w*", step):
            text += f".{step}" if text else step
        else:
            escaped = step.replace("\\", "\\\\").replace('"', '\\"')
            text += f'["{escaped}"]'
    return text


def _kind_at(path: tuple[str, ...], text: str) -> type:
    """The type of the value a path names: `Estimate` or a number.

    Raises:
        RequestError: there is no such key, or what it names is not a number.
    """
    kind: Any = Comparison
    for position, step in enumerate(path):
        if _is_struct(kind):
            fields = get_type_hints(kind)
            if step not in fields:
                raise _unknown(step, path[:position], fields, text)
            kind = _without_none(fields[step])
        elif get_origin(kind) is dict:
            kind = _without_none(get_args(kind)[1])
        else:
            raise _refused(
                f"{text!r}: {_format_path(path[:position])} has no parts",
                "name the value alone",
            )
    if _is_struct(kind) and issubclass(kind, Estimate):
        return Estimate
    if kind in (int, float):
        return float
    if _is_struct(kind):
        raise _refused(
            f"{text!r}: {_format_path(path)} is a group of values, not one",
            f"name one of them: {', '.join(get_type_hints(kind))}",
        )
    raise _refused(f"{text!r}: {_format_path(path)} is not a number", "see: compaudit schema")


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (typing.Union, types.UnionType):
        rest = [member for member in get_args(kind) if member is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind


def _unknown(step: str, before: tuple[str, ...], fields: Iterable[str], text: str) -> RequestError:
    import difflib

    names = list(fields)
    close = difflib.get_close_matches(step, names, n=1)
    where = f"{_format_path(before)} has" if before else "the report has"
    hint = (
        f"did you mean {_format_path((*before, close[0]))}?"
        if close
        else f"choose from: {', '.join(names)}"
    )
    return _refused(f"{text!r}: {where} no {step!r}", hint, code="unknown-metric")


def _refused(message: str, hint: str, code: str = "bad-requirement") -> RequestError:
    return RequestError(message, hint=hint, code=code)
