"""How requirements read: severity, message, limits from other figures, what was not measured."""

from xml.etree import ElementTree

import canned
import msgspec
import pytest

from compaudit.gate import judge, parse_requirement
from compaudit.report import render
from compaudit.report.rows.base import Note
from compaudit.report.rows.checks import check_notes
from compaudit.results import Comparison

NOW = canned.comparison()


def judged(*requirements: str, baseline: Comparison | None = NOW) -> Comparison:
    gate = judge([parse_requirement(text) for text in requirements], NOW, baseline)
    return msgspec.structs.replace(NOW, gate=gate)


def note(requirement: str, baseline: Comparison | None = NOW) -> Note:
    (found,) = check_notes(judged(requirement, baseline=baseline).gate)
    return found


@pytest.mark.parametrize(
    ("requirement", "label", "mood", "text"),
    [
        ("delta >= 1.2", "passed", "good", "delta >= 1.2: is 2.00 [1.95, 2.05]"),
        (
            "compressed.file_bytes <= 100 kB",
            "failed",
            "bad",
            "compressed.file_bytes <= 100 kB: is 140 kB",
        ),
        (
            "delta >= baseline - 10 %",
            "passed",
            "good",
            "delta >= baseline - 10 %: is 2.00× [1.95, 2.05], limit 1.80× "
            "(the baseline 2.00× [1.95, 2.05])",
        ),
        (
            "compressed.file_bytes <= 0.2 * original.file_bytes",
            "failed",
            "bad",
            "compressed.file_bytes <= 0.2 * original.file_bytes: is 140 kB, limit 84.0 kB "
            "(from 420 kB)",
        ),
        (
            "accuracy.top1.delta.value >= baseline - 1 pp",
            "passed",
            "good",
            "accuracy.top1.delta.value >= baseline - 1 pp: is −0.50 pp, limit −1.50 pp "
            "(the baseline −0.50 pp)",
        ),
        (
            "compressed.macs.total <= 100 M",
            "passed",
            "good",
            "compressed.macs.total <= 100 M: is 50.0 M",
        ),
        (
            'divergence.outputs["logits"].sqnr_db >= 40 dB',
            "failed",
            "bad",
            'divergence.outputs["logits"].sqnr_db >= 40 dB: is 31.5 dB',
        ),
        (
            "accuracy.mse.delta <= 1",
            "not measured",
            "warning",
            "accuracy.mse.delta <= 1",
        ),
        (
            "warn: alpha.file_bytes >= 4",
            "warning",
            "warning",
            "alpha.file_bytes >= 4: is 3.00",
        ),
        (
            "warn: accuracy.mse.delta <= 1",
            "not measured",
            "plain",
            "accuracy.mse.delta <= 1 (only warns)",
        ),
        ("warn: alpha.file_bytes >= 3", "passed", "good", "alpha.file_bytes >= 3: is 3.00"),
    ],
)
def test_a_line_for_each(requirement: str, label: str, mood: str, text: str) -> None:
    found = note(requirement)
    assert (found.label, found.mood, found.text, found.hint) == (label, mood, text, "")


def test_the_authors_message_is_for_whom_it_concerns() -> None:
    assert note("alpha.file_bytes >= 4 # ask Ada").hint == "ask Ada"
    assert note("alpha.file_bytes >= 3 # ask Ada").hint == ""
    assert note("delta >= baseline # ask Ada", None).hint == "ask Ada"


def test_it_is_in_every_format() -> None:
    report = judged("alpha.file_bytes >= 4 # ask Ada", "warn: alpha.macs >= 2 # tell <Bob>")
    for name in ("table", "markdown", "github", "junit"):
        text = render(report, name, 100).decode()
        assert "ask Ada" in text, name
        assert "tell" in text, name
        assert "Bob" in text, name


def test_junit_skips_what_only_warns() -> None:
    report = judged("warn: alpha.macs >= 2", "alpha.file_bytes >= 4", "accuracy.mse.delta <= 1")
    suite = ElementTree.fromstring(render(report, "junit")).find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("skipped"), suite.get("errors")) == ("2", "1", "0")


def test_a_hostile_message_is_text() -> None:
    report = judged("alpha.file_bytes >= 4 # [bold]x[/] ::error:: <script>")
    assert "[bold]x[/]" in render(report, "table", 100).decode()
    assert "<script>" not in render(report, "markdown").decode().replace("&lt;script&gt;", "")
