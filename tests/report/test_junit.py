"""JUnit XML, read back by xml.etree; what is counted is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import canned
import canned_checkup
import canned_quality
import hostile
import msgspec
import pytest
import xmlschema

from compaudit.report import format_for, render
from compaudit.results import Comparison, Failure

Golden = Callable[[str, str], None]
DIED = Failure(
    code="crashed", exit=4, message="it crashed", hint="look", model="digits.onnx", stage="load"
)


SCHEMA = xmlschema.XMLSchema10(Path(__file__).parent / "junit.xsd")


def suite_of(report: Any) -> ElementTree.Element:
    text = render(report, "junit").decode()
    SCHEMA.validate(text)
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.get("name") == "compaudit"
    assert suite.get("tests") == str(len(list(suite.iter("testcase"))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(attribute) == str(len(list(suite.iter(tag))))
    return suite


def outcomes(report: Comparison) -> dict[str, list[str]]:
    """What is in every test case."""
    cases = suite_of(report).iter("testcase")
    return {case.get("name", ""): [outcome.tag for outcome in case] for case in cases}


def lenient(how: str) -> Comparison:
    report = canned.comparison()
    return msgspec.structs.replace(report, config={**report.config, "inconclusive": how})


def judged(**changes: Any) -> Comparison:
    """The canned audit with its second requirement changed."""
    report = canned.comparison()
    checks = [report.gate.checks[0], msgspec.structs.replace(report.gate.checks[1], **changes)]
    return msgspec.structs.replace(report, gate=msgspec.structs.replace(report.gate, checks=checks))


SMALL, ACCURATE = "alpha.file_bytes >= 2.5", "accuracy.top1.delta >= -1 pp"


def test_it_reads_as_a_person_has_seen_it(golden: Golden) -> None:
    golden("comparison.junit.xml", render(canned.comparison(), "junit").decode())


def test_the_suffix_says_the_format() -> None:
    assert format_for("report.xml") == "junit"


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (canned.comparison(), ["failure"]),
        (lenient("fail"), ["failure"]),
        (lenient("warn"), ["skipped"]),
        (lenient("pass"), ["skipped"]),
        (judged(status="failed"), ["failure"]),
        (judged(status="passed"), []),
    ],
)
def test_a_case_for_every_requirement(report: Comparison, outcome: list[str]) -> None:
    assert outcomes(report) == {SMALL: [], ACCURATE: outcome}


def test_a_failed_requirement_fails_however_lenient() -> None:
    failed = judged(status="failed")
    report = msgspec.structs.replace(failed, config={**failed.config, "inconclusive": "pass"})
    assert outcomes(report)[ACCURATE] == ["failure"]


def test_what_a_dead_model_left_unmeasured_is_an_error() -> None:
    report = msgspec.structs.replace(
        judged(observed=None, low=None, high=None, status="not_measured"), error=DIED
    )
    title = "digits.onnx → digits_int8.onnx"
    assert outcomes(report) == {title: ["error"], SMALL: [], ACCURATE: ["error"]}
    (error, _) = suite_of(report).iter("error")
    assert (error.get("type"), error.get("message")) == ("crashed", "it crashed")
    assert error.text == "it crashed\nlook"


def test_an_audit_without_requirements_is_one_case() -> None:
    report = canned_quality.classification()
    assert outcomes(report) == {"digits.onnx → digits_int8.onnx": []}
    assert [*outcomes(msgspec.structs.replace(report, error=DIED)).values()] == [["error"]]


def test_the_main_figures_in_full_precision() -> None:
    properties = suite_of(canned.comparison()).find("properties")
    assert properties is not None
    found = {each.get("name"): each.get("value") for each in properties}
    assert found["alpha.file_bytes"] == "3.0"
    assert float(found["alpha.nonzero_parameters"] or 0) == 100 / 98
    assert [found[f"delta.{name}"] for name in ("value", "low", "high")] == ["2.0", "1.95", "2.05"]
    assert found["delta.verdict"] == "faster"
    assert found["accuracy.top1.delta.low"] == "-0.0152"
    assert None not in found.values()


def test_the_whole_table_is_the_output() -> None:
    table = render(canned.comparison(), "table", 100).decode()
    assert suite_of(canned.comparison()).findtext("system-out") == table


@pytest.mark.parametrize("name", [*hostile.NAMES, "\ufffe\uffff\x0b\x7f", "]]>", "&amp;'\""])
def test_names_are_only_text(name: str) -> None:
    report = hostile.comparison(name)
    suite = suite_of(report)
    plain = suite_of(hostile.comparison("plain"))
    assert [each.tag for each in suite.iter()] == [each.tag for each in plain.iter()]
    kept = "".join(letter for letter in name if letter >= " " or letter in "\t\n\r")
    kept = kept.replace("\ufffe", "").replace("\uffff", "")
    (undecided, _) = suite.iter("testcase")
    assert undecided.get("name") == f'divergence.outputs["{kept}"].cosine >= 1'


def test_every_document_is_a_suite() -> None:
    for report in (canned.inspection(), canned_checkup.checkup()):
        suite = suite_of(report)
        assert suite.get("tests") == "1"
        assert suite.get("errors") == "0"


def test_the_schema_refuses_what_is_no_report() -> None:
    text = render(canned.comparison(), "junit").decode()
    for right, wrong in ((' time="0"', ""), ("testcase", "case"), ("system-err", "properties")):
        assert not SCHEMA.is_valid(text.replace(right, wrong))
