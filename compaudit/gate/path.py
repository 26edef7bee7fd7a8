"""Paths into the JSON report, checked against the report's own types."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from compaudit.errors import RequestError
from compaudit.results import Comparison, Estimate

__all__ = ["format_path", "kind_of", "parse_path", "refused", "scan_path", "value_at"]

_STEP = re.compile(r"""\.?([A-Za-z_]\w*)|\[(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\]""")
_POINTS = ("value", "low", "high")
# What people call a figure, and how the report does.
_OTHER_WORDS = {
    "speedup": ("delta",),
    "speed_up": ("delta",),
    "speed": ("delta",),
    "latency": ("compressed", "latency", "median_s"),
    "size": ("compressed", "file_bytes"),
    "ratio": ("alpha", "file_bytes"),
    "compression_ratio": ("alpha", "file_bytes"),
    "accuracy_drop": ("accuracy", "top1", "delta"),
    "memory": ("compressed", "peak_memory_bytes"),
}


def scan_path(text: str, start: int = 0) -> tuple[tuple[str, ...], int]:
    """The steps of the path that begins at `start`, and where it ends; none where none begins."""
    steps: list[str] = []
    position = start
    while match := _STEP.match(text, position):
        plain, double, single = match.groups()
        if plain is not None and bool(steps) != match[0].startswith("."):
            break
        quoted = double if double is not None else single
        steps.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = match.end()
    return tuple(steps), position


def parse_path(text: str) -> tuple[str, ...]:
    """The steps of a path: ``divergence.outputs["a.b"].cosine`` has four. Raises RequestError."""
    steps, end = scan_path(text)
    if not steps or end < len(text):
        raise refused(f"{text!r} is not a path", 'for example divergence.outputs["logits"].cosine')
    return steps


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


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    """What a path names in a report of plain values; None where there is nothing."""
    for step in path:
        if not isinstance(values, dict):
            return None
        values = values.get(step)
    return values


def kind_of(path: tuple[str, ...], text: str) -> type:
    """The type of the value a path names: `Estimate` or a number.

    Args:
        path: into a comparison.
        text: the requirement that it stands in, for the message.

    Raises:
        RequestError: there is no such key, or what it names is not a number.
    """
    kind: Any = Comparison
    for position, step in enumerate(path):
        if _is_struct(kind):
            fields = _fields(kind)
            if step not in fields:
                raise _unknown(path, position, fields, text)
            kind = _without_none(fields[step])
        elif get_origin(kind) is dict:
            kind = _without_none(get_args(kind)[1])
        else:
            raise refused(
                f"{text!r}: {format_path(path[:position])} has no parts",
                "name the value alone",
            )
    if _is_struct(kind) and issubclass(kind, Estimate):
        return Estimate
    if kind in (int, float):
        return float
    if _is_struct(kind):
        raise refused(
            f"{text!r}: {format_path(path)} is a group of values, not one",
            f"name one of them: {', '.join(_fields(kind))}",
        )
    raise refused(f"{text!r}: {format_path(path)} is not a number", "see: compaudit schema")


def refused(message: str, hint: str, code: str = "bad-requirement") -> RequestError:
    """The error of a requirement that is none."""
    return RequestError(message, hint=hint, code=code)


@cache
def _fields(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (typing.Union, types.UnionType):
        rest = [member for member in get_args(kind) if member is not type(None)]
        return rest[0] if len(rest) == 1 else kind
    return kind


# ------------------------------------------------------------------------------ did you mean


def _unknown(
    path: tuple[str, ...], position: int, fields: Iterable[str], text: str
) -> RequestError:
    step, before = path[position], path[:position]
    where = f"{format_path(before)} has" if before else "the report has"
    meant = _meant(path, position, fields)
    hint = f"did you mean {format_path(meant)}?" if meant else f"choose from: {', '.join(fields)}"
    return refused(f"{text!r}: {where} no {step!r}", hint, code="unknown-metric")


def _meant(path: tuple[str, ...], position: int, fields: Iterable[str]) -> tuple[str, ...] | None:
    """The figure that a mistyped path may mean: one spelled alike, or one whose end it is."""
    import difflib

    close = difflib.get_close_matches(path[position], list(fields), n=1)
    if close:
        return (*path[:position], close[0])
    if position == 0 and path[0].lower() in _OTHER_WORDS:
        return _OTHER_WORDS[path[0].lower()]
    # The compressed model is what requirements are about.
    known = sorted(figures(), key=lambda figure: figure[0] != "compressed")
    inner = next((figure for figure in known if _holds(figure, path)), None)
    if inner is not None:
        return inner
    spelled = {format_path(figure): figure for figure in known}
    alike = difflib.get_close_matches(format_path(path), list(spelled), n=1, cutoff=0.75)
    return spelled[alike[0]] if alike else None


def _holds(figure: tuple[str, ...], part: tuple[str, ...]) -> bool:
    starts = range(len(figure) - len(part) + 1)
    return any(figure[start : start + len(part)] == part for start in starts)


@cache
def figures() -> tuple[tuple[str, ...], ...]:
    """Every path that a requirement can name, but for names that only a model or a user gives."""
    return tuple(_figures(Comparison, ()))


def _figures(kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    kind = _without_none(kind)
    if kind in (int, float):
        yield path
    elif _is_struct(kind):
        if issubclass(kind, Estimate):
            yield path
        for name, inner in _fields(kind).items():
            if name not in _POINTS:
                yield from _figures(inner, (*path, name))
