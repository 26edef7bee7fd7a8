"""Saved reports become a `Comparison` again, or one sentence says why they do not."""

import io
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import canned
import canned_checkup
import canned_quality
import canned_raw
import msgspec
import pytest

from compaudit import saved
from compaudit.envelope import error_report
from compaudit.errors import RequestError
from compaudit.report import View, render
from compaudit.results import Comparison, encode_report
from compaudit.saved import judged_by, read_comparison

WHOLE = encode_report(canned_raw.comparison())
Read = Callable[[bytes], Comparison]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The report in these bytes, from a file."""

    def read_bytes(text: bytes) -> Comparison:
        path = tmp_path / "report.json"
        path.write_bytes(text)
        return read_comparison(str(path))

    return read_bytes


def document(report: Comparison | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_report(report or canned.comparison()))
    return found


def test_what_was_written_is_what_is_read(read: Read) -> None:
    for report in (canned.comparison(), canned_raw.comparison()):
        assert read(encode_report(report)) == report


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WHOLE)))
    assert read_comparison("-") == canned_raw.comparison()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(RequestError, match="standard input is empty"):
        read_comparison("-")


def test_later_minor_versions_and_unknown_keys_are_read(read: Read) -> None:
    later = document()
    later["schema_version"] = "1.7"
    later["added_later"] = later["alpha"]["added_later"] = [1.5]
    later["config"]["added_later"] = {"a": None}
    assert read(json.dumps(later).encode()).delta == canned.comparison().delta


def head(**keys: Any) -> bytes:
    return json.dumps({"kind": "comparison", "schema_version": "1.0"} | keys).encode()


NO_REPORTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "blank": (b" \n\t", "is empty"),
    "cut": (WHOLE[:4000], "ends in the middle"),
    "cut at its end": (WHOLE.rstrip()[:-1], "ends in the middle"),
    "model": (b"\x08\x08\x12\x07pytorch", "is not JSON"),
    "page": (b"<!DOCTYPE html>", "is not JSON: invalid character in line 1"),
    "table": (render(canned.comparison(), "table", 80), "is not JSON"),
    "single quotes": (b"{\n'kind': 1}", "in line 2"),
    "two reports": (WHOLE + WHOLE, "more than one JSON document: another begins in line "),
    "latin 1": (head(kind="é").replace(b"\\u00e9", b"\xe9"), "is not UTF-8"),
    "lone surrogate": (b'{"kind": "\\udc00abcdefgh"}', "is not JSON"),
    "deep": (b'{"a":' + b"[" * 1_000_000, "nested deeper"),
    "deep and closed": (b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}", "nested deeper"),
    "list": (b"[]", "no report of compaudit"),
    "number": (b"12", "no report of compaudit"),
    "other JSON": (b'{"name": "x"}', "no report of compaudit"),
    "kind is a number": (head(kind=3), "no report of compaudit"),
    "inspection": (encode_report(canned.inspection()), "is an inspection"),
    "checkup": (encode_report(canned_checkup.checkup()), "is a report of a machine"),
    "failed": (
        encode_report(error_report(RequestError("no such model", code="x"), "")),
        "a request that failed: no such model",
    ),
    "failed for no reason": (head(kind="error"), "for a reason that it does not tell"),
    "unknown kind": (head(kind="poem"), "'poem'"),
    "later schema": (head(schema_version="2.0"), "schema 2.0, and this compaudit reads 1.0"),
    "no schema": (head(schema_version=""), "this compaudit reads 1.0"),
    "only a head": (head(), "is not a whole report: object missing required field"),
}


@pytest.mark.parametrize("what", NO_REPORTS)
def test_what_is_no_report_is_refused_in_one_sentence(read: Read, what: str) -> None:
    text, said = NO_REPORTS[what]
    with pytest.raises(RequestError) as caught:
        read(text)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_named(read: Read, word: str) -> None:
    text = WHOLE.replace(b'"file_bytes": 3.0', f'"file_bytes": {word}'.encode())
    line = text[: text.index(word.encode())].count(b"\n") + 1
    with pytest.raises(RequestError, match=f"holds {word} in line {line}, which is no number"):
        read(text)


CHANGED: dict[str, tuple[Any, str]] = {
    "alpha.file_bytes": ("four", "alpha.file_bytes: expected 'float | null', got 'str'"),
    "delta.verdict": ("great", "delta.verdict"),
    "delta.epochs": (True, "delta.epochs"),
    "original.parameters": (10**30, "original.parameters is larger than anything counted"),
    "trace": (
        [msgspec.to_builtins(canned_quality.traced_output(0, 9.0, elements=10**400))],
        "trace.0.elements is larger than anything counted",
    ),
    "delta.value": (2.5, "was altered: its delta is 2.5, outside its own interval"),
    "accuracy.top1.delta.low": (0.5, "its accuracy.top1.delta is"),
    "error": (
        {"code": "x", "exit": 0, "message": "", "hint": "", "model": None, "stage": None},
        "exit code 0",
    ),
    "config.confidence": (7, "--confidence is 7"),
    "config.resolution": ("fine", "expected 'float', got 'str'"),
    "config.requirements": ("delta >= 1", "requirements: expected 'array'"),
    "config.inconclusive": ("maybe", "maybe"),
}


@pytest.mark.parametrize("path", CHANGED)
def test_what_no_audit_says_is_refused(read: Read, path: str) -> None:
    value, said = CHANGED[path]
    changed = place = document()
    *steps, last = path.split(".")
    for step in steps:
        place = place[step]
    place[last] = value
    with pytest.raises(RequestError) as caught:
        read(json.dumps(changed).encode())
    assert said in caught.value.message.lower() or said in caught.value.message


def test_numbers_that_no_float_holds_are_refused(read: Read) -> None:
    for number in (b"1e999", b"-1e999", b"1" + b"0" * 5000):
        with pytest.raises(RequestError, match="out of range"):
            read(WHOLE.replace(b'"file_bytes": 3.0', b'"file_bytes": ' + number))


def test_deeply_nested_settings_are_refused(read: Read) -> None:
    changed = document()
    nested: Any = 0
    for _ in range(100):
        nested = [nested]
    changed["config"] = {"a": nested}
    with pytest.raises(RequestError, match="nested deeper"):
        read(json.dumps(changed).encode())


def keys_of(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return []
    inner = [found for key in value for found in keys_of(value[key], (*path, key))]
    return [(*path, key) for key in value] + inner


# What these hold goes by names from files.
FREE = {
    "config",
    "packages",
    "precision",
    "computed_precision",
    "schemes",
    "elements_by_role",
    "bytes_by_role",
}
FREE |= {"outputs", "settings", "nodes_by_provider", "custom"}


# What reports did not always have: see tests/report/test_older.py.
ADDED = {"bytes_by_role", "histogram", "image"}


def test_every_missing_key_is_named(read: Read) -> None:
    paths = [path for path in keys_of(document()) if not FREE & {*path[:-1]}]
    assert len(paths) > 150
    for path in paths:
        if path[-1] in ADDED:
            continue
        changed = place = document()
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]
        with pytest.raises(RequestError) as caught:
            read(json.dumps(changed).encode())
        if path not in (("kind",), ("schema_version",)):
            assert f"'{path[-1]}'" in caught.value.message, path
            assert ".".join(path[:-1]) in caught.value.message, path


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, said in (
        (tmp_path, "is a folder"),
        (tmp_path / "gone.json", "does not exist"),
        (Path("no\0name"), "cannot be read"),
    ):
        with pytest.raises(RequestError, match=said):
            read_comparison(str(path))
    monkeypatch.setattr(saved, "_MOST_BYTES", 1000)
    with pytest.raises(RequestError, match="holds more than"):
        read_comparison("/dev/zero")


def test_the_confidence_of_delta_is_that_of_the_verdict() -> None:
    """It may have been computed again, when accuracy could not be."""
    report = canned_raw.comparison(confidence=0.99)
    report = msgspec.structs.replace(report, config={**report.config, "confidence": 0.95})
    assert judged_by(report).confidence == 0.99
    assert judged_by(msgspec.structs.replace(report, delta=None)).confidence == 0.95


def test_whatever_is_read_can_be_judged_written_and_shown(read: Read) -> None:
    """Reports with one value exchanged: a sentence, or a report like any other."""
    draw = random.Random(4)
    values = (0, -1, 1e308, -1e308, 5e-324, 10**400, None, "", "\x1b[31m\n::error::", [], {}, True)
    paths = keys_of(document())
    readable = 0
    for _ in range(500):
        changed = place = document()
        path = draw.choice(paths)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = draw.choice(values)
        try:
            report = read(json.dumps(changed).encode())
        except RequestError:
            continue
        readable += 1
        encode_report(report)
        judged_by(report)
        text = render(report, "table", 80, view=View(verdict_only=bool(readable % 2))).decode()
        assert "\x1b" not in text
    assert 50 < readable < 450
