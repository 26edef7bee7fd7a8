"""What each finding says of the sample models: the good pairs raise no alarm, the bad ones do.

Every pair is audited once, without its times, which no rule here takes.
"""

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy
import onnx
import pytest

import compaudit
from compaudit import machine
from compaudit.report import render
from compaudit.results import Comparison

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[2] / "sample_models"
MEASURED = ("size", "macs", "layers", "divergence", "accuracy")

EXPECTED = {
    "digits_external": {"CA109"},
    "digits_int8": {"CA105"},
    "digits_dynamic_int8": {"CA105"},
    "digits_fp16": {"CA207"},
    "digits_int4": set[str](),
    "digits_pruned": {"CA102", "CA409"},
    "digits_slim": set[str](),
    "digits_lowrank": set[str](),
    "digits_student": set[str](),
    "digits_fake_int8": {"CA101", "CA103"},
    "digits_broken": {"CA105", "CA401", "CA403", "CA412"},
}
"""By sample_models/README.md, what an audit should find; of the good ones, what is no alarm."""

Audit = Callable[[str], Comparison]


@pytest.fixture(scope="session")
def audit() -> Audit:
    """The audit of a sample against the original, made once."""

    @functools.cache
    def audited(name: str) -> Comparison:
        return compaudit.compare(
            SAMPLES / "digits.onnx",
            SAMPLES / f"{name}.onnx",
            data=SAMPLES / "digits_test.npz",
            measurements=MEASURED,
            cache=False,
        )

    return audited


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_found_in_each_sample(audit: Audit, name: str) -> None:
    report = audit(name)
    assert report.error is None
    expected = set(EXPECTED[name])
    if "fp16" in machine.instruction_sets():  # of ARM: ONNX Runtime computes in float16 there
        expected.discard("CA207")
    assert {finding.code for finding in report.findings} == expected


@pytest.mark.parametrize("name", ["digits_pruned", "digits_fake_int8", "digits_broken"])
def test_the_finding_comes_before_the_tables(audit: Audit, name: str) -> None:
    """What a reader must know stands in the first screenful, with its severity in words."""
    report = audit(name)
    first = render(report, "table", 80).decode().splitlines()[:24]
    gravest = report.findings[0]
    assert any(line.split()[:2] == [gravest.severity, gravest.code] for line in first), first


def test_a_scale_of_zero_is_an_error_of_the_audit(tmp_path: Path) -> None:
    model = onnx.load(SAMPLES / "digits_int8.onnx")
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    weight, scale = next(
        node.input[:2]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    )
    zeros = numpy.zeros_like(onnx.numpy_helper.to_array(stored[scale]))
    stored[scale].CopyFrom(onnx.numpy_helper.from_array(zeros, scale))
    onnx.save(model, tmp_path / "zero.onnx")
    report = compaudit.compare(
        SAMPLES / "digits.onnx", tmp_path / "zero.onnx", measurements=("size",)
    )
    first = report.findings[0]
    assert (first.code, first.severity) == ("CA107", "error")
    assert first.detail.startswith(f"{weight}: ")


def examples() -> list[tuple[str, str, str]]:
    """Code, sample and detail of the examples in docs/findings.md that name a sample."""
    page = (SAMPLES.parent / "docs" / "findings.md").read_text(encoding="utf-8")
    found = []
    for code, text in re.findall(r"^### (CA\d{3})\n(.*?)(?=^##|\Z)", page, re.S | re.M):
        for name, detail in re.findall(r"^\*\*Example\*\* `(\w+)\.onnx`: \*(.+)\*$", text, re.M):
            found.append((code, name, detail))
    return found


@pytest.mark.parametrize(("code", "name", "detail"), examples())
def test_the_pages_examples_are_what_an_audit_says(
    audit: Audit, code: str, name: str, detail: str
) -> None:
    if code == "CA207" and "fp16" in machine.instruction_sets():
        pytest.skip("ONNX Runtime computes in float16 on this processor")
    details = {finding.code: finding.detail for finding in audit(name).findings}
    if code in ("CA401", "CA412"):  # another processor may round int8 another way
        assert without_figures(details[code]) == without_figures(detail)
    else:
        assert details[code] == detail


def without_figures(text: str) -> str:
    return re.sub(r"\d+([.,]\d+)*", "#", text)


def test_every_sample_that_says_something_is_an_example() -> None:
    told = {code for code, _, _ in examples()}
    assert {"CA101", "CA102", "CA103", "CA105", "CA109", "CA207", "CA401", "CA403", "CA412"} == told
