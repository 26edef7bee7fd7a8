"""The gate's outcome: one line, in words, before everything else."""

import re

import canned
import msgspec
import pytest

from compaudit.report import render
from compaudit.report.rows.outcome import outcome_note
from compaudit.results import Check, Gate


def gate(status: str, *checks: tuple[str, str]) -> Gate:
    """A gate of checks, each a status and a severity."""
    return Gate(
        status=status,
        checks=[
            Check(
                requirement=f"delta >= {place}",
                metric="delta",
                observed=1.0,
                low=None,
                high=None,
                limit=None,
                reference=None,
                status=outcome,
                severity=severity,
                message="",
                reason="",
            )
            for place, (outcome, severity) in enumerate(checks)
        ],
    )


PASSED, FAILED, UNDECIDED = ((status, "fail") for status in ("passed", "failed", "inconclusive"))
MISSED = ("failed", "warn")


@pytest.mark.parametrize(
    ("given", "label", "text"),
    [
        (gate("passed", PASSED), "PASSED", "the requirement is met"),
        (gate("passed", PASSED, PASSED), "PASSED", "both requirements are met"),
        (gate("passed", *[PASSED] * 3), "PASSED", "all 3 requirements are met"),
        (gate("failed", FAILED), "FAILED", "1 of 1 requirement is not met"),
        (
            gate("failed", FAILED, PASSED, FAILED, UNDECIDED),
            "FAILED",
            "2 of 4 requirements are not met, and 1 is undecided",
        ),
        (
            gate("inconclusive", UNDECIDED, PASSED),
            "INCONCLUSIVE",
            "1 of 2 requirements is undecided, none failed",
        ),
        (
            gate("passed", PASSED, MISSED),
            "PASSED",
            "the requirement is met; 1 requirement that only warns is not met",
        ),
        (
            gate("failed", FAILED, MISSED, MISSED),
            "FAILED",
            "1 of 1 requirement is not met; 2 requirements that only warn are not met",
        ),
        (
            gate("passed", MISSED),
            "PASSED",
            "no requirement decides; 1 requirement that only warns is not met",
        ),
    ],
)
def test_what_is_said(given: Gate, label: str, text: str) -> None:
    note = outcome_note(given)
    assert note is not None
    assert (note.label, note.text) == (label, text)


def test_without_requirements_nothing_is_said() -> None:
    assert outcome_note(gate("none")) is None
    report = msgspec.structs.replace(canned.comparison(), gate=gate("none"))
    assert "requirement" not in render(report, "table", 80).decode().lower()


def test_the_order_is_outcome_summary_requirements_findings_tables() -> None:
    lines = render(canned.comparison(), "table", 80).decode().splitlines()
    starts = (" INCONCLUSIVE", " smaller", " accuracy", "Requirements", "Findings", "Size", "Speed")
    places = [next(i for i, line in enumerate(lines) if line.startswith(s)) for s in starts]
    assert places == sorted(places)
    assert places[0] == 2


def test_what_is_not_met_comes_before_what_is() -> None:
    lines = render(canned.comparison(), "table", 80).decode().splitlines()
    shown = lines[lines.index("Requirements") + 1 :]
    assert shown[0].startswith(" inconclusive  accuracy.top1.delta >= -1 pp")
    assert [line for line in shown if line.startswith(" passed")]


@pytest.mark.parametrize("severity", ["error", "warning", "info"])
def test_the_severity_of_a_finding_is_a_word(severity: str) -> None:
    report = canned.comparison()
    (finding,) = report.findings
    grave = msgspec.structs.replace(finding, severity=severity)
    text = render(msgspec.structs.replace(report, findings=[grave]), "table", 80).decode()
    assert f" {severity:13} CA102 the pruned weights are still stored\n" in text
    assert f"{'':15}90.0 % of the weights are zero\n{'':15}→ store them sparsely\n" in text


@pytest.mark.parametrize("width", [80, 100, 140])
def test_nothing_that_matters_is_cut(width: int) -> None:
    """Only names of files and layers may lose their middle, and none of these is that long."""
    assert "…" not in render(canned.comparison(), "table", width).decode()


def test_sentences_are_no_wider_than_a_page() -> None:
    lines = render(canned.comparison(), "table", 200).decode().splitlines()
    prose = lines[: lines.index("Size")]
    assert max(map(len, prose)) <= 100


def test_fewer_threads_are_no_advice_to_one() -> None:
    report = canned.comparison()
    delta = msgspec.structs.replace(
        report.delta, verdict="inconclusive", minimal_detectable_effect=1.598
    )
    alone = msgspec.structs.replace(report, delta=delta)
    text = " ".join(render(alone, "table", 200).decode().split())
    assert "could have shown a change of 160 %; give more --time-budget or a quieter" in text
    latency = msgspec.structs.replace(report.original.latency, threads=4)
    original = msgspec.structs.replace(report.original, latency=latency)
    several = msgspec.structs.replace(alone, original=original)
    text = " ".join(render(several, "table", 200).decode().split())
    assert "give more --time-budget, fewer --threads or a quieter machine" in text


def test_without_accuracy_the_summary_says_so() -> None:
    report = msgspec.structs.replace(canned.comparison(), accuracy=None)
    text = " ".join(render(report, "table", 200).decode().split())
    assert (
        "outputs top-1 agreement 98.50 % [96.70, 99.30] % on unlabelled samples; accuracy was not "
        "measured"
    ) in text
    no_classes = msgspec.structs.replace(report.divergence, top1_agreement=None, source="synthetic")
    report = msgspec.structs.replace(report, divergence=no_classes)
    text = " ".join(render(report, "table", 200).decode().split())
    assert "outputs SQNR 31.5 dB on SYNTHETIC inputs; accuracy was not measured" in text


def test_colour_is_on_labels_alone_which_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = render(canned.comparison(), "table", 80, color=True).decode()
    coloured = re.findall(r"\x1b\[(?:1;)?3\dm(.*?)\x1b\[0m", text)
    assert [label.strip() for label in coloured] == [
        *("INCONCLUSIVE", "smaller", "faster"),
        *("inconclusive", "passed", "warning"),
    ]
    without = re.sub(r"\x1b\[[\d;]*m", "", text)
    plain = render(canned.comparison(), "table", 80).decode()
    assert [line.rstrip() for line in without.splitlines()] == plain.splitlines()


def test_no_color_leaves_what_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = render(canned.comparison(), "table", 80, color=True).decode()
    assert not re.search(r"\x1b\[(?:[\d;]*;)?[349]\dm", text)
    assert "\x1b[1m" in text
