"""Saved reports: a file becomes a `Comparison` again, or one sentence says why it does not.

A report is data that somebody may have cut, mixed up or altered. What leaves this file has every
key, finite numbers, intervals that hold their figures, and settings that can be judged by.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from compaudit.config import Config
from compaudit.errors import ExitCode, RequestError
from compaudit.results import SCHEMA_VERSION, Benchmark, Comparison, Estimate, Ranking
from compaudit.results.additions import with_additions

__all__ = ["judged_by", "read_comparison", "read_report"]

_MOST_BYTES = 10**9
"""With --raw, ten minutes of the shortest calls there are."""
_DEEPEST = 32
_LARGEST = 2**63
_WRITE_ONE = "write one: compaudit compare ORIGINAL COMPRESSED -o REPORT.json"
_OTHERS = {
    "inspection": "is an inspection, and there is nothing in it to judge",
    "doctor": "is a report of a machine, and there is nothing in it to judge",
    "benchmark": "is a benchmark, and there is nothing in it to judge",
    "ranking": "is a ranking, which holds many audits; rank again with other requirements",
}
_SHOWN: dict[str, type[Ranking | Benchmark]] = {"ranking": Ranking, "benchmark": Benchmark}
_NO_NUMBER = re.compile(rb"-?(NaN|Infinity)")
_PLACE = re.compile(r" \(byte (\d+)\)$")
_WHERE = re.compile(r" - at `\$?\.?(?:key in )?([^`]*)`$")


Kind = TypeVar("Kind")


class _Head(msgspec.Struct):
    """What tells one document of compaudit from another."""

    kind: str
    schema_version: str
    error: dict[str, Any] | None = None


def read_comparison(path: str) -> Comparison:
    """The report of an audit from a file, or from standard input where `path` is ``-``.

    Raises:
        RequestError: it cannot be read, is no report of an audit, or one that no audit wrote.
    """
    name = "standard input" if path == "-" else path
    return _judgeable(_text_of(path, name), name)


def _judgeable(text: bytes, name: str) -> Comparison:
    kind = _kind_of(text, name)
    if kind != "comparison":
        what = _OTHERS.get(kind, f"is a {kind!r}, which this command does not judge")
        raise _refused(f"{name} {what}", "other-report")
    report = _whole(text, Comparison, name)
    _require_sense(report, name)
    return report


def read_report(path: str) -> Comparison | Ranking | Benchmark:
    """A report that can be shown again, from a file or from standard input (``-``).

    Raises:
        RequestError: it cannot be read, or is no report of an audit, a ranking or a benchmark.
    """
    name = "standard input" if path == "-" else path
    text = _text_of(path, name)
    kind = _kind_of(text, name)
    if kind not in _SHOWN:
        return _judgeable(text, name)
    report = _whole(text, _SHOWN[kind], name)
    if _is_deeper(report.config, _DEEPEST):
        raise _refused(f"{name} is nested deeper than any report")
    lean = msgspec.structs.replace(report, samples=[]) if isinstance(report, Ranking) else report
    _require_figures(lean, name)
    return report


def judged_by(report: Comparison) -> Config:
    """The recorded settings that a verdict depends on; all others are left at their defaults.

    The confidence is that of δ, which may have been computed again at another one than the audit's.

    Raises:
        RequestError: no audit was ever run with such settings.
    """
    keys = ("requirements", "inconclusive", "confidence", "resolution")
    recorded = {key: report.config[key] for key in keys if key in report.config}
    models = {"original": report.original.path, "compressed": report.compressed.path}
    try:
        settings = msgspec.convert({**models, **recorded}, Config)
        if report.delta is None:
            return settings
        return msgspec.structs.replace(settings, confidence=report.delta.confidence)
    except (RequestError, msgspec.ValidationError) as error:
        what = error.message if isinstance(error, RequestError) else _in_words(error)
        raise _refused(f"the report's settings are not those of an audit: {what}") from error


# ---------------------------------------------------------------------------------- bytes


def _text_of(path: str, name: str) -> bytes:
    try:
        if path == "-":
            text = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(path).open("rb") as stream:
                text = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    if len(text) > _MOST_BYTES:
        raise _refused(f"{name} holds more than {_MOST_BYTES // 10**9} GB, and no report does")
    if not text.strip():
        raise _refused(f"{name} is empty")
    return text


def _unreadable(name: str, error: OSError | ValueError) -> RequestError:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return _refused(f"{name} does not exist", "missing-report")
        case IsADirectoryError():
            return _refused(f"{name} is a folder, not a report")
        case OSError():
            return _refused(f"{name} cannot be read: {error.strerror or error}")
        case _:
            return _refused(f"{name} cannot be read: {error}")


# ------------------------------------------------------------------------------- documents


def _kind_of(text: bytes, name: str) -> str:
    """What a document is; failed requests and later schemas are refused."""
    try:
        head = _decoded(text, _Head, name)
    except msgspec.ValidationError as error:
        raise _refused(f"{name} is JSON, but no report of compaudit") from error
    major = head.schema_version.partition(".")[0]
    if major != SCHEMA_VERSION.partition(".")[0]:
        raise RequestError(
            f"{name} has schema {head.schema_version}, and this compaudit reads {SCHEMA_VERSION}",
            hint="read it with the version of compaudit that wrote it",
            code="other-schema",
        )
    if head.kind == "error":
        why = (head.error or {}).get("message") or "for a reason that it does not tell"
        raise _refused(f"{name} is the report of a request that failed: {why}", "other-report")
    return head.kind


def _whole(text: bytes, kind: type[Kind], name: str) -> Kind:
    """The report, also as an older compaudit of the same major schema wrote it."""
    try:
        return _decoded(text, kind, name)
    except msgspec.ValidationError as error:
        found = error
    try:
        return msgspec.convert(with_additions(_decoded(text, dict, name)), kind)
    except msgspec.ValidationError as error:
        # A number that no float holds is already in the way of reading the document as it is.
        why = error if "missing" in str(found) else found
        raise _refused(f"{name} is not a whole report: {_in_words(why)}") from error
    except RecursionError as error:
        raise _refused(f"{name} is nested deeper than any report") from error


def _decoded(text: bytes, kind: type[Kind], name: str) -> Kind:
    """The JSON as this type. Raises RequestError for what is no JSON, ValidationError for other."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError as error:
        _refuse_malformed(text, str(error), name)
    except UnicodeDecodeError as error:
        raise _refused(f"{name} is not UTF-8, as JSON is") from error
    except RecursionError as error:
        raise _refused(f"{name} is nested deeper than any report") from error


def _refuse_malformed(text: bytes, error: str, name: str) -> NoReturn:
    place = _PLACE.search(error)
    if place is None:
        raise _refused(f"{name} ends in the middle: it is not a whole JSON document")
    at = int(place[1])
    newlines = text.count(b"\n", 0, at)
    line = f"line {newlines + 1}"
    found = _NO_NUMBER.match(text, max(at - 1, 0)) or _NO_NUMBER.match(text, at)
    if found is not None:
        raise _refused(f"{name} holds {found[0].decode()} in {line}, which is no number in JSON")
    if "trailing characters" in error:
        raise _refused(f"{name} holds more than one JSON document: another begins in {line}")
    raise _refused(f"{name} is not JSON: {_PLACE.sub('', error).rpartition(': ')[2]} in {line}")


def _in_words(error: msgspec.ValidationError) -> str:
    """``alpha: object missing required field …`` for what msgspec says the other way round."""
    text = str(error)
    where = _WHERE.search(text)
    said = _WHERE.sub("", text).replace("`", "'")
    said = said[0].lower() + said[1:]
    return f"{where[1]}: {said}" if where is not None and where[1] else said


# ---------------------------------------------------------------------------------- sense


def _require_sense(report: Comparison, name: str) -> None:
    """Refuse what has the shape of a report and says what no audit could.

    Raises:
        RequestError: an interval beside its figure, a count beyond 64 bits, an exit code that no
            audit records, values nested too deeply to be written again, impossible settings.
    """
    died = {ExitCode.BAD_REQUEST, ExitCode.MEASUREMENT_DIED}
    if report.error is not None and report.error.exit not in died:
        raise _refused(f"{name} records the exit code {report.error.exit}, which no audit does")
    if _is_deeper(report.config, _DEEPEST):
        raise _refused(f"{name} is nested deeper than any report")
    _require_figures(msgspec.structs.replace(report, samples=None), name)
    judged_by(report)


def _require_figures(report: Comparison | Ranking | Benchmark, name: str) -> None:
    """Refuse an interval beside its figure, and a count beyond 64 bits."""
    for where, value in _values(report):
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise _refused(f"{name} is no report: its {where} is larger than anything counted")
        if isinstance(value, Estimate) and not _holds(value):
            raise _refused(
                f"{name} was altered: its {where} is {value.value:g}, outside its own interval "
                f"[{value.low:g}, {value.high:g}]",
                "altered-report",
            )


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return bool(inner) and (levels == 0 or any(_is_deeper(each, levels - 1) for each in inner))


def _values(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in a report, and everything in that, each with its path."""
    yield where, value
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    elif isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{where}.{key}".lstrip("."))


def _holds(estimate: Estimate) -> bool:
    """Whether the figure is in its interval, but for what rounding does to a narrow one."""
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return True
    slack = 1e-9 * max(abs(low), abs(high), abs(estimate.value))
    return low - slack <= estimate.value <= high + slack


def _refused(message: str, code: str = "bad-report") -> RequestError:
    return RequestError(message, hint=_WRITE_ONE, code=code)
