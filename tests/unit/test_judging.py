"""A saved report judged again: by other requirements, at another confidence."""

from typing import Any

import canned
import canned_raw
import msgspec
import pytest

from compaudit.errors import ExitCode, RequestError
from compaudit.judging import exit_code_of, judge_again
from compaudit.results import Comparison, Failure, Skipped

# δ is 2.03 [1.69, 2.44] at 95 %, and [1.33, 3.11] at 99 %; top-1 −0.5 pp [−1.52, +0.47] pp.
RAW = canned_raw.comparison()
BARE = msgspec.structs.replace(RAW, samples=None)


def statuses(report: Comparison) -> list[str]:
    return [check.status for check in report.gate.checks]


def with_config(report: Comparison, **settings: Any) -> Comparison:
    return msgspec.structs.replace(report, config={**report.config, **settings})


@pytest.mark.parametrize("report", [RAW, BARE])
def test_without_other_wishes_the_recorded_requirements_are_judged(report: Comparison) -> None:
    judged = judge_again(report)
    assert [check.requirement for check in judged.gate.checks] == report.config["requirements"]
    assert statuses(judged) == ["passed", "passed"]
    assert judged == msgspec.structs.replace(report, gate=judged.gate)


def test_the_recorded_verdict_is_not_believed() -> None:
    """The canned gate says inconclusive; and a report may say what it likes."""
    lying = msgspec.structs.replace(BARE, gate=msgspec.structs.replace(BARE.gate, status="passed"))
    judged = judge_again(with_config(lying, requirements=["alpha.file_bytes >= 99"]))
    assert judged.gate.status == "failed"


def test_requirements_of_ones_own_replace_the_recorded_ones() -> None:
    judged = judge_again(RAW, requirements=["delta >= 2", "alpha.file_bytes >= 4"])
    assert statuses(judged) == ["inconclusive", "failed"]
    assert judged.config["requirements"] == ["delta >= 2", "alpha.file_bytes >= 4"]
    assert judge_again(judged) == judged
    assert judge_again(RAW, requirements=[]).gate.status == "none"


def test_no_report_decides_how_leniently_other_requirements_are_judged() -> None:
    lenient = with_config(RAW, requirements=["delta >= 2"], inconclusive="pass")

    def code(**wishes: Any) -> ExitCode:
        return exit_code_of(judge_again(lenient, **wishes))

    assert code() == 0
    assert code(inconclusive="fail") == 3
    assert code(requirements=["delta >= 2.1"]) == 3
    assert code(requirements=["delta >= 2.1"], inconclusive="warn") == 0


def test_what_died_stays_dead() -> None:
    """4 before 3 and 0, after 1; and 2 before all of them."""

    def code(exit_code: int, requirement: str) -> ExitCode:
        error = Failure(code="x", exit=exit_code, message="", hint="", model=None, stage=None)
        report = msgspec.structs.replace(RAW, error=error)
        return exit_code_of(judge_again(report, requirements=[requirement]))

    assert code(4, "delta >= 1.5") == 4
    assert code(4, "delta >= 2") == 4
    assert code(4, "delta >= 9") == 1
    assert code(2, "delta >= 9") == 2


def test_another_confidence_gives_another_interval_and_another_verdict() -> None:
    judged = judge_again(RAW, confidence=0.99)
    assert statuses(judged) == ["passed", "inconclusive"]
    check = judged.gate.checks[1]
    assert check.low == pytest.approx(1.325, abs=0.001)
    assert check.high == pytest.approx(3.108, abs=0.001)
    assert judged.delta is not None
    assert judged.delta.confidence == 0.99
    assert judged.config["confidence"] == 0.95  # that of accuracy and divergence, which stay
    assert judge_again(judged) == judged
    back = judge_again(judged, confidence=0.95)
    assert back.delta is not None
    assert RAW.delta is not None
    assert back.delta.low == pytest.approx(RAW.delta.low, rel=1e-9)
    assert statuses(back) == ["passed", "passed"]


def test_an_interval_that_stays_narrow_decides_nothing_at_a_higher_confidence() -> None:
    wanted = [
        "accuracy.top1.delta >= -2 pp",
        "accuracy.top1.delta >= 2 pp",
        "accuracy.top1.delta.low >= -2 pp",
        "accuracy.top1.delta.value >= -2 pp",
        "divergence.kl.mean <= 1",
        "compressed.latency.median_s <= 1 s",
        "alpha.file_bytes >= 3",
    ]
    at_95 = judge_again(RAW, requirements=wanted)
    assert statuses(at_95) == ["passed", "failed"] + ["passed"] * 5
    at_99 = judge_again(RAW, requirements=wanted, confidence=0.99)
    assert statuses(at_99) == ["inconclusive"] * 3 + ["passed", "inconclusive", "passed", "passed"]
    assert "95 % confidence" in at_99.gate.checks[0].reason
    assert judge_again(at_99) == at_99
    # What holds of an interval of 95 % holds of the narrower one of 90 %.
    assert statuses(judge_again(RAW, requirements=wanted, confidence=0.9)) == statuses(at_95)


def test_without_raw_blocks_nothing_is_computed_again() -> None:
    assert statuses(judge_again(BARE, confidence=0.95, resolution=0.03)) == ["passed", "passed"]
    for wishes in ({"confidence": 0.99}, {"confidence": 0.9}, {"resolution": 0.1}):
        with pytest.raises(RequestError, match="keeps no raw blocks") as caught:
            judge_again(BARE, **wishes)
        assert "--raw" in caught.value.hint


def test_without_a_delta_it_is_said_why() -> None:
    skipped = [Skipped(metric="delta", reason="left out by --only or --skip")]
    report = msgspec.structs.replace(BARE, delta=None, skipped=skipped)
    with pytest.raises(RequestError, match="no δ to compute again: left out by --only"):
        judge_again(report, confidence=0.99)
    (check,) = judge_again(report, requirements=["delta >= 0"]).gate.checks
    assert check.status == "not_measured"
    assert "--only" in check.reason


def test_an_altered_report_is_refused_whatever_is_asked() -> None:
    delta = msgspec.structs.replace(RAW.delta, low=1.95)
    altered = msgspec.structs.replace(RAW, delta=delta)
    for wishes in ({}, {"confidence": 0.99}, {"requirements": ["alpha.file_bytes >= 1"]}):
        with pytest.raises(RequestError, match=r"altered: its delta\.low is 1\.95"):
            judge_again(altered, **wishes)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"confidence": 1.0}, "--confidence is 1"),
        ({"confidence": 0.2}, "--confidence is 0.2"),
        ({"resolution": 0.0}, "--resolution is 0"),
        ({"inconclusive": "maybe"}, "maybe"),
        ({"requirements": ["delta"]}, "'delta' is not a requirement"),
        ({"requirements": ["alpha.file_bites >= 1"]}, "file_bites"),
    ],
)
def test_impossible_wishes_are_refused(wishes: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        judge_again(RAW, **wishes)


def test_a_report_without_recorded_settings_is_judged_by_the_defaults() -> None:
    judged = judge_again(canned.comparison(), requirements=["delta >= 1.96"])
    assert statuses(judged) == ["inconclusive"]
    assert exit_code_of(judged) == 3


# ------------------------------------------------------------------------------------- baselines


def test_an_earlier_report_is_something_to_compare_with() -> None:
    judged = judge_again(RAW, requirements=["delta >= baseline - 50 %"], baseline=BARE)
    assert statuses(judged) == ["passed"]
    by_default = judge_again(RAW, baseline=BARE)
    assert statuses(by_default)[:2] == ["passed", "passed"]  # the recorded ones
    assert "compressed.file_bytes <= baseline + max(2 %, 10 kB)" in [
        check.requirement for check in by_default.gate.checks
    ]
    assert by_default.config["requirements"] == RAW.config["requirements"]


def test_a_baseline_of_other_models_is_refused() -> None:
    other = canned.comparison("resnet.onnx")
    original = msgspec.structs.replace(other.original, sha256="2" * 64)
    other = msgspec.structs.replace(other, original=original)
    with pytest.raises(RequestError, match="another original: resnet"):
        judge_again(RAW, baseline=other)


def test_what_names_a_baseline_needs_one() -> None:
    """One's own requirements are refused without; the recorded ones are undecided."""
    wanted = ["delta >= baseline", "alpha.file_bytes >= 3"]
    with pytest.raises(RequestError, match="needs a baseline"):
        judge_again(RAW, requirements=wanted)
    recorded = with_config(RAW, requirements=wanted)
    assert statuses(judge_again(recorded)) == ["not_measured", "passed"]
    first = judge_again(RAW, requirements=wanted, first_baseline=True)
    assert statuses(first) == ["passed"]
    assert first.config["requirements"] == wanted


def test_both_reports_are_taken_at_the_same_confidence() -> None:
    """At 99 % both δ are 2.03 [1.33, 3.11]: less than a half cannot be excluded from −10 %."""
    wanted = ["delta >= baseline - 10 %", "delta >= baseline - 90 %"]
    judged = judge_again(RAW, requirements=wanted, confidence=0.99, baseline=RAW)
    assert statuses(judged) == ["inconclusive", "passed"]
    reference = judged.gate.checks[1].reference
    assert reference is not None
    assert reference.low == pytest.approx(1.325, abs=0.001)
    narrow = judge_again(RAW, requirements=wanted, confidence=0.99, baseline=BARE)
    assert statuses(narrow) == ["inconclusive", "inconclusive"]
    assert "95 % confidence" in narrow.gate.checks[1].reason


def test_a_figure_of_outputs_stays_too_narrow_as_a_reference() -> None:
    wanted = ["accuracy.flips.broken <= 100 * divergence.kl.mean + 100"]
    assert statuses(judge_again(RAW, requirements=wanted)) == ["passed"]
    assert statuses(judge_again(RAW, requirements=wanted, confidence=0.99)) == ["inconclusive"]


def test_an_altered_baseline_is_refused() -> None:
    altered = msgspec.structs.replace(RAW, delta=msgspec.structs.replace(RAW.delta, low=1.95))
    with pytest.raises(RequestError, match="altered"):
        judge_again(RAW, requirements=["delta >= baseline"], baseline=altered)
