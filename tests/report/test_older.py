"""A report that an earlier compaudit wrote, as it was written, can be shown and judged."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import canned_ranking
import pytest

from compaudit.judging import exit_code_of, judge_again
from compaudit.report import FORMATS, View, render
from compaudit.results.additions import with_additions
from compaudit.saved import read_comparison, read_report

OLDER = Path(__file__).parent / "older" / "schema-1.0.json"


def document() -> Any:
    return json.loads(OLDER.read_text(encoding="utf-8"))


def test_it_is_read_and_what_it_lacks_was_not_measured() -> None:
    report = read_comparison(str(OLDER))
    kl = document()["divergence"]["kl"]
    assert report.divergence is not None
    assert report.divergence.kl is not None
    assert report.divergence.kl.p99 == kl["p99"]
    assert report.divergence.kl.histogram is None
    assert [sample.image for sample in report.worst] == [None] * 10
    assert report.original.bytes_by_role == {}


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "csv"])  # of rankings only
@pytest.mark.parametrize("verdict_only", [False, True])
def test_it_is_shown_in_every_format(name: str, verdict_only: bool) -> None:
    if name == "html":
        pytest.importorskip("matplotlib")
    view = View(verdict_only=verdict_only)
    text = render(read_comparison(str(OLDER)), name, view=view).decode()
    assert "digits_int8.onnx" in text


def test_written_again_it_has_every_key(tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    again.write_bytes(render(read_comparison(str(OLDER)), "json"))
    assert json.loads(again.read_bytes()) == with_additions(document())
    assert read_comparison(str(again)) == read_comparison(str(OLDER))


def test_a_ranking_that_told_less_of_its_front_is_shown_as_it_was(tmp_path: Path) -> None:
    older = json.loads(render(canned_ranking.ranking(), "json"))
    places = [older["front"]["original"]]
    places += [one["standing"] for one in older["candidates"] if one["standing"]]
    for place in places:
        del place["likely_dominated_by"], place["undecided"]
    path = tmp_path / "older.json"
    path.write_text(json.dumps(older), encoding="utf-8")
    report = read_report(str(path))
    assert json.loads(render(report, "json")) == with_additions(older)
    shown = render(report, "csv").decode()
    assert [row["front"] for row in csv.DictReader(io.StringIO(shown))][:4] == [
        *("perhaps", "yes", "perhaps", "no"),
    ]


def test_it_is_judged_as_it_was_and_by_other_requirements() -> None:
    report = read_comparison(str(OLDER))
    same = judge_again(report)
    assert [one.status for one in same.gate.checks] == [
        one["status"] for one in document()["gate"]["checks"]
    ]
    stricter = judge_again(
        report, requirements=["alpha.file_bytes >= 4", "divergence.kl.mean <= 0.01"]
    )
    assert [one.status for one in stricter.gate.checks] == ["failed", "passed"]
    assert exit_code_of(stricter) == 1


def test_only_what_is_missing_is_added_and_nothing_is_changed() -> None:
    given = {"worst": [{"image": "kept"}, {}], "divergence": None, "original": {"a": 1}}
    before = json.dumps(given)
    assert with_additions(given) == {
        "worst": [{"image": "kept"}, {"image": None}],
        "divergence": None,
        "original": {"a": 1, "bytes_by_role": {}},
    }
    assert json.dumps(given) == before
    assert with_additions([1, None]) == [1, None]
