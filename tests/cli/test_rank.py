"""The real command: what every kind of candidate becomes, and what is printed where."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

SIZE = ("--only", "size")


def rows(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["label"]: one for one in report["candidates"]}


@pytest.fixture(scope="module")
def folder(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Candidates good and bad, a copy of one, a link to the original, and what is no model."""
    folder = tmp_path_factory.mktemp("candidates")
    for name in (
        *("compressed.onnx", "five_classes.onnx", "wide_input.onnx", "segfault.onnx"),
        *("cut_0.5.onnx", "unknown_operator.onnx", "renamed_output.onnx"),
    ):
        shutil.copy(files / name, folder / name)
    shutil.copy(files / "compressed.onnx", folder / "copy.onnx")
    shutil.copy(files / "original.onnx", folder / "the_same.onnx")
    (folder / "notes.txt").write_text("no model")
    return folder


@pytest.fixture(scope="module")
def bad(run: Run, folder: Path) -> Outcome:
    """All of them beside one original."""
    return run(
        *("rank", "original.onnx", str(folder), "--skip", "latency", "--json", "--no-cache"),
        *("--require", "alpha.file_bytes >= 0.01"),
    )


class TestBadCandidates:
    def test_the_table_is_complete(self, bad: Outcome) -> None:
        report = bad.document
        assert bad.code == 3  # what could not be read fulfils nothing for sure
        assert report["kind"] == "ranking"
        assert report["error"] is None
        assert set(rows(report)) == {
            *("compressed.onnx", "five_classes.onnx", "wide_input.onnx", "segfault.onnx"),
            *("cut_0.5.onnx", "unknown_operator.onnx", "renamed_output.onnx"),
        }

    @pytest.mark.parametrize(
        ("name", "code", "said"),
        [
            ("five_classes.onnx", 2, "(64, 5)"),
            ("wide_input.onnx", 2, "input"),
            ("segfault.onnx", 4, "segfault.onnx"),
            ("cut_0.5.onnx", 2, "cut_0.5.onnx"),
            ("unknown_operator.onnx", 2, "Frobnicate"),
            ("renamed_output.onnx", 2, "scores"),
        ],
    )
    def test_each_failure_is_a_row_with_its_reason(
        self, bad: Outcome, name: str, code: int, said: str
    ) -> None:
        error = rows(bad.document)[name]["error"]
        assert error is not None, name
        assert error["exit"] == code
        assert said in error["message"]

    def test_the_good_one_is_whole(self, bad: Outcome) -> None:
        good = rows(bad.document)["compressed.onnx"]
        assert good["error"] is None
        assert good["divergence"]["outputs"]["logits"]["cosine"] > 0.9
        assert good["gate"]["status"] == "passed"

    def test_copies_and_the_original_are_named_and_left_out(self, bad: Outcome) -> None:
        left_out = {Path(one["path"]).name: one["reason"] for one in bad.document["left_out"]}
        assert set(left_out) == {"copy.onnx", "the_same.onnx"}
        assert left_out["the_same.onnx"] == "it is the original itself"
        assert "compressed.onnx" in left_out["copy.onnx"]
        assert "copy.onnx is left out" in bad.stderr

    def test_what_was_not_read_is_undecided_with_the_reason(self, bad: Outcome) -> None:
        gate = rows(bad.document)["cut_0.5.onnx"]["gate"]
        assert gate["status"] == "inconclusive"
        (check,) = gate["checks"]
        assert check["status"] == "not_measured"
        assert "cut_0.5.onnx" in check["reason"]


REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no candidate": (("original.onnx",), ("missing argument",)),
    "a missing path": (("original.onnx", "none.onnx"), ("none.onnx does not exist",)),
    "a pattern without matches": (("original.onnx", "x*.onnx"), ("nothing matches x*.onnx",)),
    "the original alone": (
        ("original.onnx", "original.onnx", *SIZE, "-q"),
        ("no candidate is left",),
    ),
    "a broken original": (("cut_0.5.onnx", "compressed.onnx"), ("cut_0.5.onnx",)),
    "a column": (
        ("original.onnx", "compressed.onnx", "--columns", "speed"),
        ("--columns 'speed' is no column",),
    ),
    "an order": (("original.onnx", "compressed.onnx", "--sort", "x"), ("--sort 'x' is no column",)),
    "a wish": (("original.onnx", "compressed.onnx", "--best", "delta"), ("neither max nor min",)),
    "a requirement": (
        ("original.onnx", "compressed.onnx", "--require", "speed >= 1"),
        ("has no 'speed'",),
    ),
    "an output": (
        ("original.onnx", "compressed.onnx", "-o", "nowhere/r.json"),
        ("the folder nowhere does not exist",),
    ),
}


@pytest.fixture(scope="module")
def refused(run_all: RunAll) -> dict[str, Outcome]:
    return run_all({name: ("rank", *arguments) for name, (arguments, _) in REFUSED.items()})


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_request_is_one_sentence(refused: dict[str, Outcome], name: str) -> None:
    refused[name].refused(*REFUSED[name][1])


class TestAllFail:
    def test_when_all_died_it_is_exit_4_and_the_rows_are_there(self, run: Run) -> None:
        outcome = run(
            *("rank", "original.onnx", "segfault.onnx", "--json", "--only", "size,divergence")
        )
        assert outcome.code == 4
        report = outcome.document
        assert report["error"]["exit"] == 4
        assert rows(report)["segfault.onnx"]["error"] == report["error"]
        assert rows(report)["segfault.onnx"]["alpha"]["file_bytes"] > 0

    def test_when_none_can_be_read_it_is_exit_2(self, run: Run) -> None:
        outcome = run("rank", "original.onnx", "cut_0.5.onnx", "cut_0.99.onnx", *SIZE, "--json")
        assert outcome.code == 2
        assert all(one["error"] for one in outcome.document["candidates"])


def test_when_the_original_dies_the_candidates_are_still_counted(run: Run) -> None:
    outcome = run("rank", "segfault.onnx", "compressed.onnx", "--json", "--only", "size,divergence")
    assert outcome.code == 4
    report = outcome.document
    assert report["error"]["model"] == "segfault.onnx"
    (row,) = report["candidates"]
    assert row["error"] is None
    assert row["compressed"]["parameters"] == 12


BEST = ("rank", "original.onnx", "compressed.onnx", "five_classes.onnx", *SIZE)
SMALLEST = ("--best", "min compressed.file_bytes")
CHOICES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "the smallest": (SMALLEST, 0, "compressed.onnx\n"),
    "the largest": (("--best", "max compressed.file_bytes"), 0, "five_classes.onnx\n"),
    "none for sure": ((*SMALLEST, "--require", "delta >= 1.2"), 3, ""),
    "all fail": ((*SMALLEST, "--require", "alpha.file_bytes >= 100"), 1, ""),
    "one qualifies": (
        (*SMALLEST, "--require", "compressed.parameters >= 20"),
        0,
        "five_classes.onnx\n",
    ),
}


@pytest.fixture(scope="module")
def choices(run_all: RunAll) -> dict[str, Outcome]:
    return run_all({name: (*BEST, *options) for name, (options, _, _) in CHOICES.items()})


@pytest.mark.parametrize("name", CHOICES)
def test_the_best_is_a_path_and_nothing_else(choices: dict[str, Outcome], name: str) -> None:
    _, code, printed = CHOICES[name]
    assert (choices[name].code, choices[name].stdout) == (code, printed)
    assert choices[name].stderr.startswith("note: ")


def test_a_ranking_is_written_and_shown_again(run: Run, files: Path) -> None:
    written = run("rank", "original.onnx", "compressed.onnx", *SIZE, "-o", "ranking.json")
    assert written.code == 0
    assert json.loads((files / "ranking.json").read_text())["kind"] == "ranking"
    again = run("report", "ranking.json")
    assert (again.code, again.stdout) == (0, written.stdout)
    markdown = run("report", "ranking.json", "--survey", "--format", "markdown")
    assert "| Model | TOP-5 Accuracy | Speed-up | Compression Rate |" in markdown.stdout
    run("gate", "ranking.json").refused("is a ranking")
