"""Requirements from text: a path into the report, a comparison, and a limit in SI units."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from compaudit import units
from compaudit.errors import RequestError
from compaudit.results import Comparison, Estimate

__all__ = ["Requirement", "format_path", "parse_path", "parse_requirement"]

_REQUIREMENT = re.compile(r"\s*(?P<path>.+?)\s*(?P<operator>>=|<=|==|!=|>|<)\s*(?P<limit>.+?)\s*")
_STEP = re.compile(r"""\.?([A-Za-z_]\w*)|\[(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\]""")


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
    path = parse_path(match["path"])
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


def parse_path(text: str) -> tuple[str, ...]:
    """The steps of a path: ``divergence.outputs["a.b"].cosine`` has four. Raises RequestError."""
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


def format_path(path: tuple[str, ...]) -> str:
    """A path as the JSON report's reasons and requirements write it, names in brackets."""
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
                f"{text!r}: {format_path(path[:position])} has no parts",
                "name the value alone",
            )
    if _is_struct(kind) and issubclass(kind, Estimate):
        return Estimate
    if kind in (int, float):
        return float
    if _is_struct(kind):
        raise _refused(
            f"{text!r}: {format_path(path)} is a group of values, not one",
            f"name one of them: {', '.join(get_type_hints(kind))}",
        )
    raise _refused(f"{text!r}: {format_path(path)} is not a number", "see: compaudit schema")


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
    where = f"{format_path(before)} has" if before else "the report has"
    hint = (
        f"did you mean {format_path((*before, close[0]))}?"
        if close
        else f"choose from: {', '.join(names)}"
    )
    return _refused(f"{text!r}: {where} no {step!r}", hint, code="unknown-metric")


def _refused(message: str, hint: str, code: str = "bad-requirement") -> RequestError:
    return RequestError(message, hint=hint, code=code)
