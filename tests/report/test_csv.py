"""A ranking as CSV: read back by the standard library and pandas, and harmless in a spreadsheet."""

import csv
import io
from pathlib import Path

import canned
import canned_ranking
import hostile
import msgspec
import pandas
import pytest

from compaudit.errors import RequestError
from compaudit.published import read_published
from compaudit.report import View, format_for, render
from compaudit.results import Ranking


def text(report: Ranking | None = None, **view: object) -> str:
    given = report or canned_ranking.with_published()
    return render(given, "csv", view=View(**view)).decode()  # type: ignore[arg-type]


def rows(report: Ranking | None = None, **view: object) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text(report, **view), newline=""), strict=True))


def test_the_suffix() -> None:
    assert format_for("table.csv") == "csv"


def test_figures_are_whole_and_what_is_unknown_is_empty() -> None:
    found = {row["label"]: row for row in rows()}
    int8 = found["digits_int8.onnx"]
    assert (float(int8["top1"]), float(int8["delta"])) == (0.975, 2.0)
    assert (float(int8["delta.low"]), float(int8["delta.high"])) == (1.95, 2.05)
    assert float(int8["alpha.file_bytes"]) == 3.0
    assert (int8["front"], int8["verdict"], int8["source"]) == ("yes", "faster", "measured")
    original = found["digits.onnx"]
    assert (original["delta"], original["alpha.file_bytes"], original["beta"]) == (
        "1.0",
        "1.0",
        "0.0",
    )
    assert found["notes.onnx"]["top1"] == found["notes.onnx"]["delta"] == ""
    paper = found["AlexNet BN low-rank"]
    assert (float(paper["top5"]), float(paper["compression"])) == (0.8056, 4.94)
    assert (paper["verdict"], paper["source"]) == ("published", "Cheng et al. 2017")
    assert paper["alpha.file_bytes"] == ""


def test_pandas_reads_numbers() -> None:
    frame = pandas.read_csv(io.StringIO(text()))
    assert frame["delta"].dtype == float
    assert frame["delta"].max() == 2.0
    assert len(frame) == 1 + 5 + 2


def test_columns_and_order_are_those_of_the_table() -> None:
    found = rows(columns=("kl", "interval"), ranked_by="kl")
    assert list(found[0]) == ["label", "kl", "delta.low", "delta.high", "source"]
    assert [row["label"] for row in found][1] == "digits_pruned.onnx"


def test_the_surveys_table_can_be_given_as_published(tmp_path: Path) -> None:
    path = tmp_path / "survey.csv"
    path.write_text(text(canned_ranking.ranking(), survey=True), encoding="utf-8")
    kept = [line for line in path.read_text("utf-8").splitlines() if not line.endswith(",,,")]
    path.write_text("\n".join(kept), encoding="utf-8")
    found = {row.label: row for row in read_published(str(path))}
    assert (found["digits_int8.onnx"].top5, found["digits_int8.onnx"].speedup) == (0.9995, 2.0)


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_name_becomes_a_formula(start: str) -> None:
    report = canned_ranking.with_published()
    name = f'{start}HYPERLINK("x","y")'
    candidates = [msgspec.structs.replace(one, label=name) for one in report.candidates]
    published = [msgspec.structs.replace(one, label=name, source=name) for one in report.published]
    report = msgspec.structs.replace(report, candidates=candidates, published=published)
    for survey in (False, True):
        for line in csv.reader(io.StringIO(text(report, survey=survey), newline="")):
            for cell in line:
                assert not cell.startswith(("@", "="))
                assert cell[:1] not in ("+", "-") or float(cell) is not None


@pytest.mark.parametrize("name", hostile.NAMES)
def test_hostile_names_stay_in_their_cells(name: str) -> None:
    report = canned_ranking.with_published()
    candidates = [msgspec.structs.replace(one, label=name) for one in report.candidates]
    report = msgspec.structs.replace(report, candidates=candidates)
    lines = list(csv.reader(io.StringIO(text(report), newline=""), strict=True))
    assert len(lines) == 1 + 1 + 5 + 2
    assert len({len(line) for line in lines}) == 1
    assert not any(ord(letter) < 32 for line in lines for cell in line for letter in cell)


def test_other_reports_are_refused() -> None:
    with pytest.raises(RequestError, match="CSV shows rankings only"):
        render(canned.comparison(), "csv")
