"""Requirements from text: a path into the report, a comparison, and a limit.

The grammar, all of it (docs/gate.md)::

    requirement = ["fail:" | "warn:"] path operator limit ["#" message]
    operator    = ">=" | "<=" | ">" | "<" | "==" | "!="
    limit       = quantity | reference [("+" | "-") tolerance]
    reference   = [quantity "*"] ("baseline" | ["baseline."] path)
    tolerance   = quantity | "max(" quantity {"," quantity} ")"
    quantity    = number [unit]
"""

from __future__ import annotations

import re
from typing import Literal, NoReturn

import msgspec

from compaudit import units
from compaudit.errors import RequestError
from compaudit.gate.path import format_path, kind_of, refused, scan_path
from compaudit.results import Estimate

__all__ = ["Reference", "Requirement", "Severity", "Tolerance", "parse_requirement"]

Severity = Literal["fail", "warn"]

_EXAMPLE = 'for example --require "alpha.file_bytes >= 3.5"'
_SEVERITY = re.compile(r"\s*([A-Za-z]\w*)\s*:\s*")
_OPERATOR = re.compile(r"\s*(>=|<=|==|!=|≥|≤|>|<|=)\s*")
_SIGNS = {"≥": ">=", "≤": "<="}
_QUANTITY = re.compile(rf"\s*({units.QUANTITY})\s*")
_FACTOR = re.compile(rf"\s*({units.QUANTITY})\s*\*\s*")
_TOLERANCE = re.compile(r"\s*([-+−])\s*(?:max\s*\(([^)]*)\)|([^#]*[^#\s]))\s*")
_BASELINE = "baseline"


class Tolerance(msgspec.Struct, frozen=True):
    """A distance from a figure: a share of it where `relative`, else in its own unit."""

    amount: float
    relative: bool


class Reference(msgspec.Struct, frozen=True):
    """A limit that is made from a figure of this report, or of the baseline's.

    Attributes:
        path: of the figure.
        baseline: whether it is the baseline's.
        factor: what it is multiplied by.
        sign: +1 where the tolerance is added, −1 where it is taken away.
        tolerances: the largest counts, so that a regression has to exceed all of them.
    """

    path: tuple[str, ...]
    baseline: bool
    factor: float
    sign: int
    tolerances: tuple[Tolerance, ...]

    def limit(self, figure: float) -> float:
        """The limit, were the figure exactly this."""
        base = self.factor * figure
        distances = (
            one.amount * abs(base) if one.relative else one.amount for one in self.tolerances
        )
        return base + self.sign * max(distances, default=0.0)


class Requirement(msgspec.Struct, frozen=True):
    """One requirement, parsed: a path, a comparison, and a limit in SI units.

    Attributes:
        text: without severity and message.
        path: of the figure that is judged.
        operator: one of ``>=``, ``<=``, ``>``, ``<``, ``==`` and ``!=``.
        limit: a number, or what it is made from.
        severity: ``warn`` is shown, and changes no exit code.
        message: the author's own words, for whoever breaks it.
    """

    text: str
    path: tuple[str, ...]
    operator: str
    limit: float | Reference
    severity: Severity = "fail"
    message: str = ""

    @property
    def needs_baseline(self) -> bool:
        """Whether it can be judged with a baseline only."""
        return isinstance(self.limit, Reference) and self.limit.baseline


def parse_requirement(text: str) -> Requirement:
    """Parse and check a requirement against the report's own types.

    Raises:
        RequestError: it has no comparison, its limit is none, its unit is that of another kind of
            figure, or no report has such a value.
    """
    severity, start = _severity(text)
    path, position = scan_path(text, start + len(text[start:]) - len(text[start:].lstrip()))
    match = _OPERATOR.match(text, position)
    if not path or match is None or match.end() == len(text):
        raise refused(f"{text!r} is not a requirement", _EXAMPLE)
    if match[1] == "=":
        raise refused(f"{text!r}: = is no comparison", f"use >= or <= or ==; {_EXAMPLE}")
    if path[0] == _BASELINE:
        raise refused(f"{text!r}: the baseline is what is compared with", "put it on the right")
    kind = kind_of(path, text)
    operator = _SIGNS.get(match[1], match[1])
    limit, end = _limit(text, match.end(), path, kind)
    message = text[end:].strip()
    if message and not message.startswith("#"):
        raise refused(
            f"{text!r} is not understood from {message!r} on",
            "a requirement is: PATH OPERATOR LIMIT, then # and a message of your own",
        )
    uncertain = kind is Estimate or (isinstance(limit, Reference) and _is_estimate(limit.path))
    if uncertain and operator in ("==", "!="):
        raise refused(
            f"{text!r}: an uncertain figure is never equal to a number",
            f"use >= or <=, or name its point: {format_path(path)}.value",
        )
    said = text[start:end].strip()
    return Requirement(said, path, operator, limit, severity, message.lstrip("#").strip())


def _severity(text: str) -> tuple[Severity, int]:
    """What stands before the colon, and where the rest begins."""
    match = _SEVERITY.match(text)
    if match is None:
        return "fail", 0
    match match[1]:
        case "warn":
            return "warn", match.end()
        case "fail":
            return "fail", match.end()
        case other:
            raise refused(
                f"{text!r}: {other!r} is no severity", "put warn: or fail: before a requirement"
            )


def _limit(
    text: str, start: int, path: tuple[str, ...], kind: type
) -> tuple[float | Reference, int]:
    """What the figure is compared with, and where that ends."""
    factor, match = 1.0, _FACTOR.match(text, start)
    position = start
    if match is not None:
        factor, dimension = _quantity(match[1], text, path)
        if dimension not in (None, "number"):
            raise refused(
                f"{text!r}: {match[1].strip()} times a figure is none",
                "multiply by a number, such as 0.8 * original.latency.median_s",
            )
        position = match.end()
    steps, end = scan_path(text, position)
    if steps:
        return _reference(text, steps, end, path, factor)
    if match is not None:
        raise refused(f"{text!r}: nothing is multiplied", "name a figure of the report after the *")
    found = _QUANTITY.match(text, position)
    written = (found[1] if found else text[position:]).strip()
    if found is not None and "max" in text[found.end() : found.end() + 8]:
        raise refused(f"{text!r}: a number has no tolerance", "give the limit itself")
    value, dimension = _quantity(written, text, path)
    _require_same(text, path, written, dimension)
    assert found is not None, "a quantity was read"
    return value, found.end()


def _reference(
    text: str, steps: tuple[str, ...], end: int, path: tuple[str, ...], factor: float
) -> tuple[Reference, int]:
    of_baseline = steps[0] == _BASELINE
    named = (steps[1:] or path) if of_baseline else steps
    if not of_baseline and len(steps) == 1:
        _require_figure(steps[0], text)
    kind_of(named, text)
    if not of_baseline and named == path:
        raise refused(
            f"{text!r} compares a figure with itself", f"did you mean {_BASELINE}, or another one?"
        )
    if units.dimension_of(named) != units.dimension_of(path):
        raise refused(
            f"{text!r}: {format_path(path)} and {format_path(named)} are of different kinds",
            f"one is counted in {units.dimension_of(path)}, the other in "
            f"{units.dimension_of(named)}",
        )
    match = _TOLERANCE.match(text, end)
    if match is None:
        rest = text[end:].strip()
        if rest and not rest.startswith("#"):
            raise refused(
                f"{text!r} is not understood from {rest!r} on",
                "after a figure comes + or − and how much, such as baseline - 2 %",
            )
        return Reference(named, of_baseline, factor, 1, ()), len(text[:end].rstrip())
    sign, several, single = match.groups()
    parts = [part.strip() for part in (several.split(",") if several is not None else [single])]
    tolerances = tuple(_tolerance(part, text, path) for part in parts)
    return Reference(named, of_baseline, factor, 1 if sign == "+" else -1, tolerances), match.end()


def _require_figure(word: str, text: str) -> None:
    """Refuse a word that is neither a number nor a figure of the report."""
    try:
        kind_of((word,), text)
    except RequestError as error:
        import difflib

        hint = "give a number, with a unit if you like"
        if difflib.get_close_matches(word, [_BASELINE]):
            hint = f"did you mean {_BASELINE!r}?"
        elif error.hint.startswith("did you mean"):
            hint += f", or a figure: {error.hint}"
        elif error.code != "unknown-metric":
            raise
        raise refused(f"{text!r}: {word!r} is neither a number nor a figure", hint) from error


def _tolerance(written: str, text: str, path: tuple[str, ...]) -> Tolerance:
    if re.search(r"\b(and|or)\b", written) or _QUANTITY.match(written) is None:
        raise refused(
            f"{text!r}: {written!r} is no tolerance",
            "give an amount, or several of which the largest counts: baseline + max(2 %, 10 kB)",
        )
    amount, dimension = _quantity(written, text, path)
    if amount < 0:
        raise refused(f"{text!r}: a tolerance below zero", "the sign before it says the direction")
    relative = written.endswith("%")
    if relative and amount > 1:
        raise refused(
            f"{text!r}: {written} is more than the whole", "write a factor, such as 2.5 * baseline"
        )
    if not relative:
        _require_same(text, path, written, dimension)
    return Tolerance(amount, relative)


def _quantity(
    written: str, text: str, path: tuple[str, ...]
) -> tuple[float, units.Dimension | None]:
    try:
        return units.parse_with_dimension(written)
    except ValueError as error:
        _refuse_quantity(written, text, path, error)


def _refuse_quantity(written: str, text: str, path: tuple[str, ...], error: ValueError) -> NoReturn:
    hint = "give a number, with a unit if you like"
    if "unknown unit" in str(error):
        hint += f"; {units.closest_unit(written, units.dimension_of(path))}"
    raise refused(f"{text!r}: {str(error).partition('; known')[0]}", hint) from error


def _require_same(
    text: str, path: tuple[str, ...], written: str, dimension: units.Dimension | None
) -> None:
    """Refuse ``3 ms`` for a figure in bytes; a number without a unit fits every figure."""
    expected = units.dimension_of(path)
    if dimension is None or dimension == expected:
        return
    hint = units.closest_unit(written, expected)
    if written.endswith("%") and path[0] == "compressed":
        hint = f"did you mean {written} * {format_path(('original', *path[1:]))}?"
    raise refused(f"{text!r}: {written} is no amount of {format_path(path)}", hint)


def _is_estimate(path: tuple[str, ...]) -> bool:
    try:
        return kind_of(path, "") is Estimate
    except RequestError:
        return False
