"""A saved report judged again by the real command: a real audit, and one with hand-made times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import canned_raw
import pytest

from compaudit.results import encode_report

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

SMALL, DENSE = (
    ("--require", "compressed.file_bytes <= 1 MB"),
    ("--require", "alpha.file_bytes >= 3"),
)
SLOW = ("--require", "delta >= 2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reports are. `hand.json` has δ 2.03 [1.69, 2.44], and [1.33, 3.11] at 99 %."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "hand.json").write_bytes(encode_report(canned_raw.comparison()))
    return folder


@pytest.fixture(scope="module")
def audited(run: Run, folder: Path) -> Outcome:
    """A real audit with its raw blocks, one requirement that passes and one that fails."""
    return run(
        *("compare", "original.onnx", "compressed.onnx", "--raw", "--only", "latency,size"),
        *("--time-budget", "3s", *SMALL, *DENSE, "--json", "-o", str(folder / "real.json")),
    )


def test_the_same_verdict_as_the_audits(run: Run, folder: Path, audited: Outcome) -> None:
    report = audited.done(1)
    assert report["samples"]["blocks"]
    again = run("gate", "real.json", "--json", cwd=folder).done(1)
    assert again == report
    table = run("gate", "real.json", cwd=folder)
    assert (table.code, table.stderr) == (1, "")
    assert "failed        alpha.file_bytes >= 3" in table.stdout
    assert "raw blocks" in table.stdout


def test_another_confidence_of_a_real_audit(run: Run, folder: Path, audited: Outcome) -> None:
    """However few epochs there was time for: δ itself is the same, and its interval no narrower."""
    before = audited.done(1)["delta"]
    after = run("gate", "real.json", "--json", "--confidence", "99%", cwd=folder).done(1)["delta"]
    assert after["value"] == before["value"]
    assert after["confidence"] == 0.99
    assert (after["low"] is None) == (before["low"] is None)
    if before["low"] is not None:
        assert after["low"] < before["low"] < before["high"] < after["high"]


def test_a_real_audit_that_was_altered(run: Run, folder: Path, audited: Outcome) -> None:
    report = audited.done(1)
    for name, changes in {
        "faster.json": {"value": report["delta"]["value"] * 1.01, "low": None, "high": None},
        "verdict.json": {"verdict": "invalid"},
        "epochs.json": {"epochs": report["delta"]["epochs"] + 1},
    }.items():
        altered = {**report, "delta": {**report["delta"], **changes}}
        (folder / name).write_text(json.dumps(altered))
        run("gate", name, "--json", cwd=folder).refused("was altered", "delta.", hint="0.1.0")


CASES: dict[str, tuple[tuple[str, ...], int, list[str]]] = {
    "recorded": ((), 0, ["passed", "passed"]),
    "passed": (SMALL, 0, ["passed"]),
    "failed": ((*SMALL, *DENSE, "--require", "delta >= 3"), 1, ["passed", "passed", "failed"]),
    "undecided": (SLOW, 3, ["inconclusive"]),
    "undecided, warn": ((*SLOW, "--inconclusive", "warn"), 0, ["inconclusive"]),
    "undecided, pass": ((*SLOW, "--inconclusive", "pass"), 0, ["inconclusive"]),
    "99 %": (("--confidence", "99%"), 3, ["passed", "inconclusive"]),
}


@pytest.fixture(scope="module")
def judged(run_all: RunAll, folder: Path) -> dict[str, Outcome]:
    """The report with hand-made times, judged in many ways."""
    commands = {name: ("gate", "hand.json", "--json", *case[0]) for name, case in CASES.items()}
    return run_all(commands, cwd=folder)


@pytest.mark.parametrize("case", CASES)
def test_other_terms(judged: dict[str, Outcome], case: str) -> None:
    _, code, statuses = CASES[case]
    report = judged[case].done(code)
    assert [check["status"] for check in report["gate"]["checks"]] == statuses


def test_a_new_report_can_be_judged_again(run: Run, folder: Path) -> None:
    first = run("gate", "hand.json", "--confidence", "99%", "-o", "new.json", cwd=folder)
    assert (first.code, first.stderr) == (3, "")
    again = run("gate", "new.json", "--json", cwd=folder).done(3)
    assert again == json.loads((folder / "new.json").read_text())
    assert again["delta"]["low"] == pytest.approx(1.325, abs=1e-3)


def test_nothing_required(run: Run, folder: Path) -> None:
    report = json.loads((folder / "hand.json").read_text())
    report["config"]["requirements"] = []
    (folder / "none.json").write_text(json.dumps(report))
    outcome = run("gate", "none.json", cwd=folder)
    assert outcome.code == 0
    assert outcome.stderr == "note: the audit had no requirements, and no --require was given\n"
    quiet = run("gate", "none.json", "-q", "--json", cwd=folder)
    assert quiet.done()["gate"] == {"status": "none", "checks": []}


def test_a_model_that_died(run: Run, files: Path, folder: Path) -> None:
    """The exit code of the audit: 4, unless a requirement failed."""
    pair = ("compare", "original.onnx", "segfault.onnx", "--only", "size,memory")
    run(*pair, *SMALL, "-o", str(folder / "died.json"), "--json").broke("segfault.onnx")
    run("gate", "died.json", "--json", cwd=folder).broke("segfault.onnx", code=4)
    run("gate", "died.json", "--json", *SLOW, cwd=folder).broke("segfault.onnx", code=4)
    wanted = ("--require", "alpha.file_bytes >= 99")
    run("gate", "died.json", "--json", *wanted, cwd=folder).broke("segfault.onnx", code=1)


REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "truncated": (("cut.json",), "ends in the middle", "compaudit compare"),
    "NaN": (("nan.json", *SMALL), "holds NaN in line", "compaudit compare"),
    "inspection": (("inspection.json",), "is an inspection", "compaudit compare"),
    "folder": ((".",), "is a folder", "compaudit compare"),
    "missing": (("gone.json",), "gone.json does not exist", "compaudit compare"),
    "model": (("model.onnx",), "is not JSON", "compaudit compare"),
    "hostile name": (("\x1b[31m\n::error::.json",), "does not exist", "compaudit compare"),
    "no raw blocks": (("no_raw.json", "--confidence", "99%"), "keeps no raw blocks", "--raw"),
    "no requirement": (("hand.json", "--require", "delta"), "not a requirement", "--require"),
    "unknown metric": (("hand.json", "--require", "dleta > 1"), "dleta", "delta"),
    "inconclusive": (("hand.json", "--inconclusive", "maybe"), "'maybe'", "fail"),
}


@pytest.fixture(scope="module")
def refused(run_all: RunAll, run: Run, folder: Path, files: Path) -> dict[str, Outcome]:
    """Requests that are wrong."""
    whole = (folder / "hand.json").read_text()
    report = json.loads(whole)
    written = {
        "cut": whole[: len(whole) // 2],
        "nan": whole.replace('"file_bytes": 3.0', '"file_bytes": NaN'),
        "no_raw": json.dumps({**report, "samples": None}),
    }
    for name, text in written.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "model.onnx").write_bytes((files / "original.onnx").read_bytes())
    run("inspect", "original.onnx", "-q", "-o", str(folder / "inspection.json"))
    commands = {name: ("gate", *options, "--json") for name, (options, _, _) in REFUSED.items()}
    return run_all(commands, cwd=folder)


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_requests(refused: dict[str, Outcome], case: str) -> None:
    _, said, hint = REFUSED[case]
    refused[case].refused(said, hint=hint)


def test_wrong_requests_leave_stdout_empty_without_json(run: Run, folder: Path) -> None:
    run("gate", "gone.json", cwd=folder).refused("does not exist", hint="compaudit compare")


def test_pipes(folder: Path) -> None:
    """A report comes from a pipe, and a reader that goes away changes no exit code."""
    script = (
        'set -o pipefail; cat hand.json | "$@" gate - --require "delta >= 2" | head -1;'
        'echo "${PIPESTATUS[1]}"'
    )
    command = ["bash", "-c", script, "bash", sys.executable, "-P", "-m", "compaudit"]
    ended = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, env={**os.environ}
    )
    assert ended.stdout.splitlines() == ["digits.onnx → digits_int8.onnx", "3"]
    assert ended.stderr == ""
