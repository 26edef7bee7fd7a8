"""Rows of a paper beside a ranking, and a ranking for a paper: the real command."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

PUBLISHED = Path(__file__).parents[2] / "docs" / "published" / "low_rank.csv"


@pytest.fixture(scope="module")
def ranking(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ranking of one candidate, and everything that can be written of it."""
    folder = tmp_path_factory.mktemp("ranking")
    outputs = [item for suffix in ("json", "tex", "csv") for item in ("-o", f"{folder}/r.{suffix}")]
    outcome = run(
        *("rank", "original.onnx", "compressed.onnx", "--only", "size"),
        *("--published", str(PUBLISHED), *outputs),
    )
    assert outcome.code == 0, outcome.stderr
    assert "AlexNet BN low-rank †" in outcome.stdout
    assert "† Published, not measured here." in outcome.stdout
    return folder / "r.json"


def test_every_format_has_the_rows(ranking: Path) -> None:
    with ranking.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["label"]: row for row in csv.DictReader(stream)}
    assert len(rows) == 2 + 9
    assert rows["VGG-16 CP low-rank"]["delta"] == "2.05"
    assert rows["VGG-16 CP low-rank"]["source"] == "Cheng et al. 2017"
    assert rows["compressed.onnx"]["source"] == "measured"
    assert r"AlexNet BN low-rank \textdagger{} & " in ranking.with_suffix(".tex").read_text("utf-8")


def test_a_saved_ranking_is_set_beside_other_rows(run: Run, ranking: Path, tmp_path: Path) -> None:
    paper = tmp_path / "paper.csv"
    paper.write_text("label,compression,basis\nTheirs,3.5,file_bytes\n")
    shown = run(
        *("report", str(ranking), "--published", str(paper), "--format", "csv"),
        *("--columns", "alpha.file_bytes"),
    )
    assert shown.code == 0
    rows = list(csv.DictReader(shown.stdout.splitlines()))
    assert [row["label"] for row in rows][2:] == ["Theirs"]
    assert rows[2]["alpha.file_bytes"] == "3.5"


def test_bad_rows_are_refused_before_anything_is_measured(run: Run, tmp_path: Path) -> None:
    paper = tmp_path / "paper.csv"
    paper.write_text("label,top5\nTheirs,80.03\n")
    outcome = run("rank", "original.onnx", "compressed.onnx", "--published", str(paper))
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "line 2, top5: 80.03 is no share of one: write 80.03% or 0.8003" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("option", [("--format", "csv"), ("-o", "audit.csv")])
def test_csv_of_an_audit_is_refused_at_once(run: Run, option: tuple[str, str]) -> None:
    outcome = run("compare", "original.onnx", "compressed.onnx", *option)
    assert outcome.code == 2
    assert "CSV shows rankings only" in outcome.stderr
