"""A verdict alone: what was concluded, what was required, and from what."""

from collections.abc import Callable

import canned
import canned_raw
import msgspec

from compaudit.judging import judge_again
from compaudit.report import View, render

Golden = Callable[[str, str], None]
ALONE = View(verdict_only=True)


def test_the_verdict_alone_reads_as_a_person_has_seen_it(golden: Golden) -> None:
    wanted = ["alpha.file_bytes >= 2.5", "delta >= 2", "accuracy.top1.delta >= -1 pp"]
    judged = judge_again(canned_raw.comparison(), requirements=wanted, confidence=0.99)
    golden("gate-80.txt", render(judged, "table", 80, view=ALONE).decode())


def test_it_has_the_lines_that_the_whole_report_has() -> None:
    report = canned.comparison()
    whole = render(report, "table", 80).decode().splitlines()
    alone = render(report, "table", 80, view=ALONE).decode().splitlines()
    *shared, blank, audited, times = alone
    assert blank == ""
    assert audited.split()[0] == "audited"
    assert times.split()[0] == "times"
    assert set(shared) < set(whole)
    assert "Size" not in alone
    assert not any("CA102" in line for line in alone)


def test_it_says_what_the_times_come_from() -> None:
    def last(report: object) -> str:
        assert isinstance(report, type(canned.comparison()))
        return render(report, "table", 120, view=ALONE).decode().splitlines()[-1]

    assert "δ at 95 % confidence, from the 12 raw blocks" in last(canned_raw.comparison())
    assert "as recorded; the report keeps no raw blocks" in last(canned.comparison())
    assert "audited" in last(msgspec.structs.replace(canned.comparison(), delta=None))


def test_json_is_complete() -> None:
    report = canned.comparison()
    assert render(report, "json", view=ALONE) == render(report, "json")
