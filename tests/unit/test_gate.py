import math
from typing import Any

import canned
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compaudit.errors import ExitCode, RequestError
from compaudit.gate import exit_code_of, judge, parse_requirement
from compaudit.results import Comparison, Estimate, OutputError, Skipped

REPORT: Comparison = canned.comparison()
# In it: alpha.file_bytes 3, delta 2 [1.95, 2.05], top-1 delta −0.005 [−0.0152, 0.0047].


def status(requirement: str, report: Comparison = REPORT) -> str:
    (check,) = judge([parse_requirement(requirement)], report).checks
    return check.status


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("alpha.file_bytes >= 3", "passed"),
        ("alpha.file_bytes > 3", "failed"),
        ("alpha.file_bytes == 3", "passed"),
        ("alpha.file_bytes != 3", "failed"),
        ("compressed.file_bytes <= 140 kB", "passed"),
        ("compressed.file_bytes <= 136 KiB", "failed"),  # 139,264 bytes
        ("compressed.file_bytes<=0.14MB", "passed"),
        ("delta >= 1.95", "passed"),
        ("delta >= 1.96", "inconclusive"),
        ("delta > 2.05", "failed"),
        ("delta.value >= 2", "passed"),
        ("delta.low >= 1.95", "passed"),
        ("accuracy.top1.delta >= -2 pp", "passed"),
        ("accuracy.top1.delta >= -1 pp", "inconclusive"),
        ("accuracy.top1.delta >= 1 pp", "failed"),
        ("accuracy.top1.delta.p_value < 0.05", "failed"),
        ("divergence.kl.mean <= 0.0044", "passed"),
        ('divergence.outputs["logits"].sqnr_db >= 30', "passed"),
        ("divergence.outputs['logits'].cosine >= 0.9999", "failed"),
        ("compressed.latency.median_s <= 3 ms", "passed"),
        ("compressed.latency.median_s <= 2 ms", "inconclusive"),
    ],
)
def test_requirements_are_judged_by_value_or_by_interval(requirement: str, expected: str) -> None:
    assert status(requirement) == expected


def test_an_estimate_without_an_interval_decides_nothing() -> None:
    assert status("accuracy.calibration_error.delta <= 1") == "inconclusive"
    assert status("accuracy.calibration_error.delta.value <= 1") == "passed"


def test_what_was_not_measured_is_inconclusive_and_says_why() -> None:
    skipped = [Skipped(metric="accuracy", reason="no data was given")]
    report = msgspec.structs.replace(REPORT, accuracy=None, skipped=skipped)
    (check,) = judge([parse_requirement("accuracy.top1.delta >= -1")], report).checks
    assert (check.status, check.observed) == ("inconclusive", None)
    assert "no data was given" in check.message


def test_names_with_dots_go_in_brackets() -> None:
    error = OutputError(
        max_abs_error=0.0,
        mean_abs_error=0.0,
        sqnr_db=None,
        cosine=1.0,
        nonfinite_original=0,
        nonfinite_compressed=0,
    )
    divergence = msgspec.structs.replace(REPORT.divergence, outputs={'a.b"c': error})
    report = msgspec.structs.replace(REPORT, divergence=divergence)
    assert status(r'divergence.outputs["a.b\"c"].cosine >= 0.99', report) == "passed"
    assert status('divergence.outputs["absent"].cosine >= 0.99', report) == "inconclusive"


@pytest.mark.parametrize(
    ("requirement", "hint"),
    [
        ("alpha.file_bites >= 3", "alpha.file_bytes"),
        ("alpah.file_bytes >= 3", "alpha"),
        ("delta", "--require"),
        ("delta >= fast", "number"),
        ("delta >= 3 furlongs", "number"),
        ("delta >= nan", "number"),
        ("delta >= 1e999", "number"),
        ("alpha >= 3", "parameters"),
        ("delta.verdict == 1", "schema"),
        ("delta == 2", ".value"),
        ("delta.value.more > 1", "alone"),
        ("original.tensors[0].bytes > 1", ""),
        ("", "--require"),
    ],
)
def test_requirements_that_name_nothing_are_refused_with_a_hint(
    requirement: str, hint: str
) -> None:
    with pytest.raises(RequestError) as caught:
        parse_requirement(requirement)
    assert hint in caught.value.hint
    assert caught.value.exit_code is ExitCode.BAD_REQUEST


def test_the_worst_check_is_the_gates_status() -> None:
    def gate(*requirements: str) -> Any:
        return judge([parse_requirement(text) for text in requirements], REPORT)

    good, open_, bad = "alpha.file_bytes >= 3", "delta >= 2", "alpha.file_bytes >= 4"
    assert gate().status == "none"
    assert gate(good).status == "passed"
    assert gate(good, open_).status == "inconclusive"
    assert gate(good, open_, bad).status == "failed"
    assert exit_code_of(gate(), "fail") == 0
    assert exit_code_of(gate(good), "fail") == 0
    assert exit_code_of(gate(good, open_, bad), "pass") == 1
    assert exit_code_of(gate(good, open_), "fail") == 3
    assert exit_code_of(gate(good, open_), "warn") == 0
    assert exit_code_of(gate(good, open_), "pass") == 0


NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.none())


@settings(max_examples=10_000, deadline=None)
@given(
    value=NUMBERS,
    low=NUMBERS,
    high=NUMBERS,
    limit=st.floats(-1e6, 1e6),
    operator=st.sampled_from([">=", "<=", ">", "<"]),
    uncertain=st.booleans(),
)
def test_no_evidence_is_never_a_pass(
    value: float | None,
    low: float | None,
    high: float | None,
    limit: float,
    operator: str,
    uncertain: bool,
) -> None:
    """Whatever passes holds for every number that the evidence admits, and there is evidence."""
    metric = "delta" if uncertain else "alpha.macs"
    requirement = msgspec.structs.replace(parse_requirement(f"{metric} {operator} 0"), limit=limit)
    delta = None
    if value is not None:
        delta = msgspec.structs.replace(REPORT.delta, value=value, low=low, high=high)
    alpha = msgspec.structs.replace(REPORT.alpha, macs=value)
    report = msgspec.structs.replace(REPORT, delta=delta, alpha=alpha)
    (check,) = judge([requirement], report).checks
    if check.status != "passed":
        return
    evidence = [value, low, high] if uncertain else [value]
    for number in evidence:
        assert number is not None
        assert math.isfinite(number)
    for number in evidence[1:] if uncertain else evidence:
        assert eval(f"{number!r} {operator} {limit!r}")


def test_estimates_are_estimates_for_the_gate() -> None:
    """Every subclass of Estimate is judged by its interval."""
    assert issubclass(type(REPORT.delta), Estimate)
    assert REPORT.accuracy is not None
    assert REPORT.accuracy.top1 is not None
    assert isinstance(REPORT.accuracy.top1.delta, Estimate)
