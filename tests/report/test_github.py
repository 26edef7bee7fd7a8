"""Annotations, read back as the runner of GitHub Actions reads them."""

import re
from collections.abc import Callable

import canned
import canned_checkup
import hostile
import msgspec
import pytest

from compaudit.report import render
from compaudit.results import Comparison, Failure, Finding

Golden = Callable[[str, str], None]


def annotations(report: object) -> list[tuple[str, str, str]]:
    """Kind, title and message of every line, decoded as actions/runner's ActionCommand does."""
    found = []
    for line in render(report, "github").decode().removesuffix("\n").split("\n"):  # type: ignore[arg-type]
        match = re.fullmatch(r"::(\w+) title=(.*?)::(.*)", line)
        assert match is not None, line
        kind, title, message = match.groups()
        assert ":" not in title
        assert "," not in title
        found.append((kind, decoded(title, of_property=True), decoded(message)))
    return found


def decoded(text: str, *, of_property: bool = False) -> str:
    codes = {"%0D": "\r", "%0A": "\n"} | ({"%3A": ":", "%2C": ","} if of_property else {})
    for code, letter in codes.items():
        text = text.replace(code, letter)
    return text.replace("%25", "%")


def findings(count: int, severity: str) -> list[Finding]:
    fields = {"title": "t", "detail": "d", "hint": "", "severity": severity}
    return [msgspec.convert({"code": f"CA{place}", **fields}, Finding) for place in range(count)]


def test_it_reads_as_a_person_has_seen_it(golden: Golden) -> None:
    golden("comparison.github.txt", render(canned.comparison(), "github").decode())


def test_the_undecided_the_finding_and_the_conclusion() -> None:
    kinds = [(kind, title) for kind, title, _ in annotations(canned.comparison())]
    assert kinds == [
        ("warning", "inconclusive"),
        ("warning", "CA102"),
        ("notice", "digits.onnx → digits_int8.onnx"),
    ]
    message = annotations(canned.comparison())[1][2]
    assert message.endswith("90.0 % of the weights are zero\n→ store them sparsely")


def test_what_failed_is_an_error_and_comes_first() -> None:
    report = canned.comparison()
    failed = [msgspec.structs.replace(check, status="failed") for check in report.gate.checks]
    gate = msgspec.structs.replace(report.gate, checks=failed, status="failed")
    found = annotations(msgspec.structs.replace(report, gate=gate))
    assert [kind for kind, *_ in found] == ["error", "error", "warning", "notice"]
    assert found[0][2].startswith("alpha.file_bytes >= 2.5")


def test_a_slower_model_alone_is_no_error() -> None:
    report = canned.comparison()
    assert report.delta is not None
    slower = msgspec.structs.replace(report.delta, verdict="slower")
    kinds = {kind for kind, *_ in annotations(msgspec.structs.replace(report, delta=slower))}
    assert kinds == {"warning", "notice"}


def test_what_died_is_the_first_error() -> None:
    failure = Failure(
        code="crashed", exit=4, message="it crashed", hint="look", model="m", stage="load"
    )
    found = annotations(msgspec.structs.replace(canned.comparison(), error=failure))
    assert found[0] == ("error", "died", "it crashed\n→ look")


@pytest.mark.parametrize(("count", "shown"), [(9, 9), (10, 10), (11, 10), (25, 10)])
def test_no_more_than_ten_of_a_kind(count: int, shown: int) -> None:
    report = msgspec.structs.replace(canned.comparison(), findings=findings(count, "error"))
    errors = [found for found in annotations(report) if found[0] == "error"]
    assert len(errors) == shown
    if count > 10:
        assert errors[-1][1] == f"{count - 9} more"
        assert errors[-1][2] == ", ".join(f"CA{place}" for place in range(9, count))
    report = msgspec.structs.replace(report, findings=findings(count, "info"))
    notices = [found for found in annotations(report) if found[0] == "notice"]
    assert len(notices) == min(count + 1, 10)
    assert notices[0][1] == "digits.onnx → digits_int8.onnx"


@pytest.mark.parametrize("name", hostile.NAMES)
def test_names_start_no_command(name: str) -> None:
    report: Comparison = hostile.comparison(name)
    text = render(report, "github").decode()
    plain = render(hostile.comparison("plain"), "github").decode()
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert text.count("\n") == plain.count("\n")
    assert [line.partition(" ")[0] for line in text.splitlines()] == [
        line.partition(" ")[0] for line in plain.splitlines()
    ]
    assert "##[" not in text
    assert len(annotations(report)) == text.count("\n")


def test_percent_signs_of_a_name_stay_what_they_are() -> None:
    (title,) = (t for kind, t, _ in annotations(canned.comparison("a%0Ab,c:d")) if kind == "notice")
    assert title.startswith("a%0Ab,c:d → ")


def test_every_document_has_annotations() -> None:
    for report in (canned.inspection(), canned_checkup.checkup()):
        assert [kind for kind, *_ in annotations(report)] == ["notice"]
