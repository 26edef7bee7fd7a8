"""Settings from files, policies and baselines, by the real command."""

from __future__ import annotations

import json
import os
import resource
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import canned
import msgspec
import pytest

from compaudit.results import encode_report

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

PAIR = ("original.onnx", "compressed.onnx")
SIZES = ("compare", *PAIR, "--only", "size", "--json")
# Both files are equally large, and so are their weights: α is 1.


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, files: Path, run: Run) -> Path:
    """A project with the models, a baseline of them, and settings in several folders."""
    project = tmp_path_factory.mktemp("project")
    for name in PAIR:
        (project / name).write_bytes((files / name).read_bytes())
    run(*SIZES, "-o", "last.json", cwd=project).done()
    last = json.loads((project / "last.json").read_text())
    last["compressed"]["file_bytes"] -= 20_000  # so that today's has grown by more than allowed
    (project / "smaller.json").write_text(json.dumps(last))
    (project / "resnet.json").write_bytes(encode_report(canned.comparison("resnet.onnx")))
    other = {**last, "schema_version": "2.0"}
    (project / "later.json").write_text(json.dumps(other))
    (project / "minor.json").write_text(
        json.dumps(
            {**last, "schema_version": "1.8", "added": [1], "alpha": {**last["alpha"], "new": 1}}
        )
    )
    (project / "foreign.json").write_text('{"name": "package", "version": "1.0"}')
    for name, text in FILES.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return project


FILES: dict[str, str | bytes] = {
    "policy.toml": 'require = [{ that = "alpha.file_bytes >= 2", severity = "warn" }]\n',
    "bad/policy.toml": 'require = ["alpha.file_bites >= 2"]\n',
    "own/compaudit.toml": (
        'only = "size"\npolicy = "../policy.toml"\nrequire = ["alpha.file_bytes >= 0.5"]\n'
    ),
    "shared/pyproject.toml": (
        "[tool.compaudit]\n"
        "[[tool.compaudit.require]]\n"
        'that = "alpha.file_bytes >= 3"\n'
        'message = "too large for the watch; ask Ada"\n'
    ),
    "key/compaudit.toml": "treads = 2\n",
    "trust/compaudit.toml": "trust-model-code = true\n",
    "type/compaudit.toml": 'threads = "two"\n',
    "value/compaudit.toml": "threads = 0\n",
    "metric/compaudit.toml": 'require = ["dleta >= 2"]\n',
    "unit/compaudit.toml": 'require = ["compressed.file_bytes <= 3 kb"]\n',
    "latin/compaudit.toml": b'data = "caf\xe9.npz"\n',
    "against/compaudit.toml": 'require = ["alpha.macs >= 4"]\n',
    "both/compaudit.toml": "",
    "both/pyproject.toml": "[tool.compaudit]\n",
    "model.toml": b"\x08\x08\x12\x07pytorch",
}


def checks(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = report["gate"]["checks"]
    return [(one["requirement"], one["severity"], one["status"]) for one in found]


def pair_from(folder: str) -> tuple[str, ...]:
    return ("compare", f"../{PAIR[0]}", f"../{PAIR[1]}", "--json")


def test_a_file_and_its_policy(run: Run, project: Path) -> None:
    report = run(*pair_from("own"), cwd=project / "own").done()
    assert checks(report) == [
        ("alpha.file_bytes >= 2", "warn", "failed"),
        ("alpha.file_bytes >= 0.5", "fail", "passed"),
    ]
    assert report["gate"]["status"] == "passed"
    settings = report["config"]
    assert settings["config_file"] == "compaudit.toml"
    assert settings["policy"] == "../policy.toml"
    assert settings["measurements"] == ["size"]
    assert settings["requirements"] == ["warn: alpha.file_bytes >= 2", "alpha.file_bytes >= 0.5"]


def test_the_command_line_wins_and_requirements_add_up(run: Run, project: Path) -> None:
    options = ("--only", "size,layers", "--require", "alpha.file_bytes >= 3")
    report = run(*pair_from("own"), *options, cwd=project / "own").done(1)
    assert report["config"]["measurements"] == ["size", "layers"]
    assert [status for *_, status in checks(report)] == ["failed", "passed", "failed"]


def test_a_message_of_ones_own_reaches_every_report(run: Run, project: Path) -> None:
    folder = project / "shared"
    written = ("-o", "report.md", "-o", "report.xml", "-o", "report.txt")
    report = run(*pair_from("shared"), "--only", "size", *written, cwd=folder).done(1)
    assert report["gate"]["checks"][0]["message"] == "too large for the watch; ask Ada"
    assert report["config"]["config_file"] == "pyproject.toml"
    for name in ("report.md", "report.xml", "report.txt"):
        assert "too large for the watch; ask Ada" in (folder / name).read_text(), name


def test_no_config_and_another_one(run: Run, project: Path) -> None:
    size = ("--only", "size")
    report = run(*pair_from("own"), *size, "--no-config", cwd=project / "own").done()
    assert (checks(report), report["config"]["config_file"]) == ([], None)
    other = ("--config", "../shared/pyproject.toml")
    report = run(*pair_from("own"), *size, *other, cwd=project / "own").done(1)
    assert [text for text, *_ in checks(report)] == ["alpha.file_bytes >= 3"]
    assert report["config"]["config_file"] == "../shared/pyproject.toml"


def test_a_file_is_found_from_a_folder_below(run: Run, project: Path) -> None:
    below = project / "own" / "models"
    below.mkdir()
    pair = [f"../../{name}" for name in PAIR]
    report = run("compare", *pair, "--json", cwd=below).done()
    assert report["config"]["config_file"] == "../compaudit.toml"
    assert report["config"]["policy"] == "../../policy.toml"
    assert report["config"]["measurements"] == ["size"]


def test_no_file_changes_help_and_other_commands(run: Run, project: Path) -> None:
    for command in (("compare", "--help"), ("schema",), ("inspect", f"../{PAIR[0]}", "-q")):
        outcome = run(*command, cwd=project / "key")
        assert (outcome.code, outcome.stderr) == (0, ""), outcome


# ---------------------------------------------------------------------------------------- baseline


def test_no_worse_than_the_last_one(run: Run, project: Path) -> None:
    report = run(*SIZES, "--baseline", "last.json", cwd=project).done()
    assert checks(report) == [
        ("compressed.file_bytes <= baseline + max(2 %, 10 kB)", "fail", "passed")
    ]
    assert report["config"]["baseline"] == "last.json"
    report = run(*SIZES, "--baseline", "smaller.json", cwd=project).done(1)
    (check,) = report["gate"]["checks"]
    assert check["reference"]["value"] == check["observed"] - 20_000
    assert run(*SIZES, "--baseline", "minor.json", cwd=project).done(1)
    named = ("--require", "alpha.file_bytes >= baseline", "--require", "alpha.macs >= baseline")
    report = run(*SIZES, "--baseline", "smaller.json", *named, cwd=project).done(3)
    assert [status for *_, status in checks(report)] == ["passed", "not_measured"]


# ----------------------------------------------------------------------------------------- refused

REFUSED: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "unknown key": ("key", (), "compaudit.toml has an unknown key 'treads'", "'threads'"),
    "trust": ("trust", (), "says trust-model-code, which no file can", "--trust-model-code"),
    "type": ("type", (), 'compaudit.toml says threads = "two"', "a whole number"),
    "value": ("value", (), "compaudit.toml: --threads is 0", "at least 1"),
    "metric": ("metric", (), "compaudit.toml: 'dleta >= 2'", "did you mean delta?"),
    "unit": ("unit", (), "unknown unit 'kb'", "did you mean 'kB'?"),
    "not UTF-8": ("latin", (), "compaudit.toml is not UTF-8 in line 1", "UTF-8"),
    "two files": ("both", (), "both hold settings", "keep one"),
    "contradiction": (
        "against",
        ("--require", "alpha.macs <= 3"),
        "'alpha.macs >= 4' and 'alpha.macs <= 3' cannot both hold",
        "leave one",
    ),
    "no such config": (".", ("--config", "gone.toml"), "gone.toml does not exist", "TOML"),
    "both ways": (
        ".",
        ("--config", "own/compaudit.toml", "--no-config"),
        "contradict",
        "leave one",
    ),
    "no such policy": (".", ("--policy", "gone.toml"), "gone.toml does not exist", "TOML"),
    "policy is a model": (".", ("--policy", "model.toml"), "model.toml is no TOML", "require"),
    "policy's metric": (".", ("--policy", "bad/policy.toml"), "file_bites", "file_bytes"),
    "policy with more": (".", ("--policy", "key/compaudit.toml"), "unknown key", "require"),
    "no such baseline": (".", ("--baseline", "gone.json"), "gone.json does not exist", "-o"),
    "baseline is a model": (".", ("--baseline", "model.toml"), "model.toml is not JSON", "-o"),
    "foreign baseline": (".", ("--baseline", "foreign.json"), "no report of compaudit", "-o"),
    "later baseline": (".", ("--baseline", "later.json"), "schema 2.0", "version"),
    "other models": (
        ".",
        ("--baseline", "resnet.json"),
        "the baseline is of another original: resnet.onnx, not original.onnx",
        "--baseline",
    ),
    "no baseline": (".", ("--require", "delta >= baseline"), "needs a baseline", "--baseline"),
}


@pytest.fixture(scope="module")
def refused(run_all: RunAll, project: Path) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for folder in {folder for folder, *_ in REFUSED.values()}:
        pair = [os.path.relpath(project / name, project / folder) for name in PAIR]
        commands = {
            name: ("compare", *pair, "--only", "size", *options, "--json")
            for name, (place, options, _, _) in REFUSED.items()
            if place == folder
        }
        outcomes |= run_all(commands, cwd=project / folder)
    return outcomes


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_settings(refused: dict[str, Outcome], case: str) -> None:
    _, _, said, hint = REFUSED[case]
    refused[case].refused(said, hint=hint)


# ------------------------------------------------------------------------------ gate and its files


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """`now.json` has δ 2 [1.95, 2.05]; `worse.json` has a file of 200 kB instead of 140 kB."""
    now = canned.comparison()
    (tmp_path / "now.json").write_bytes(encode_report(now))
    larger = msgspec.structs.replace(now.compressed, file_bytes=200_000)
    worse = msgspec.structs.replace(now, compressed=larger)
    (tmp_path / "worse.json").write_bytes(encode_report(worse))
    environment = msgspec.structs.replace(now.environment, cpu="Another")
    moved = msgspec.structs.replace(now, environment=environment)
    (tmp_path / "moved.json").write_bytes(encode_report(moved))
    return tmp_path


def gated(report: dict[str, Any]) -> dict[str, str]:
    return {text.partition(" ")[0]: status for text, _, status in checks(report)}


def test_a_saved_report_against_a_baseline(run: Run, reports: Path) -> None:
    same = run("gate", "now.json", "--baseline", "now.json", "--json", cwd=reports).done()
    assert set(gated(same).values()) == {"passed"}
    worse = run("gate", "worse.json", "--baseline", "now.json", "--json", cwd=reports).done(1)
    assert gated(worse)["compressed.file_bytes"] == "failed"
    moved = run("gate", "moved.json", "--baseline", "now.json", "--json", cwd=reports).done(3)
    assert gated(moved)["delta"] == "inconclusive"
    assert gated(moved)["compressed.file_bytes"] == "passed"
    (check,) = (one for one in moved["gate"]["checks"] if one["metric"] == "delta")
    assert "processor A processor → Another" in check["reason"]


def test_the_settings_of_a_project_judge_again(run: Run, reports: Path) -> None:
    (reports / "compaudit.toml").write_text(
        'threads = 7\nbaseline = "now.json"\ninconclusive = "warn"\n'
        'require = ["delta >= baseline - 1 %"]\n'
    )
    report = run("gate", "now.json", "--json", cwd=reports).done()
    assert gated(report) == {"delta": "inconclusive"}
    assert report["config"]["config_file"] == "compaudit.toml"
    assert "threads" not in report["config"]  # how it was measured, the report knows
    run("gate", "now.json", "--json", "--inconclusive", "fail", cwd=reports).done(3)
    alone = run("gate", "now.json", "--json", "--no-config", "-q", cwd=reports).done()
    assert alone["gate"]["checks"] == []


def test_accepting(run: Run, reports: Path) -> None:
    """The first baseline, one that is refused, one that is forced."""
    accept = ("--baseline", "accepted.json", "--accept")
    wanted = ("--require", "compressed.file_bytes <= baseline + 2 %", "--require", "delta >= 1")
    accepted = reports / "accepted.json"
    first = run("gate", "now.json", *accept, *wanted, cwd=reports)
    assert (first.code, first.stderr) == (0, "note: accepted.json is the new baseline\n")
    before = accepted.read_bytes()
    assert json.loads(before)["compressed"]["file_bytes"] == 140_000
    refused = run("gate", "worse.json", *accept, *wanted, cwd=reports)
    assert refused.code == 1
    assert "stays the baseline that it was: 1 of 2 requirements failed" in refused.stderr
    assert "--force" in refused.stderr
    assert accepted.read_bytes() == before
    forced = run("gate", "worse.json", *accept, "--force", *wanted, cwd=reports)
    assert forced.code == 1
    assert json.loads(accepted.read_bytes())["compressed"]["file_bytes"] == 200_000
    assert run("gate", "accepted.json", "--baseline", "accepted.json", cwd=reports).code == 0
    assert [path.name for path in reports.iterdir() if path.name.startswith(".")] == []


def test_what_is_undecided_is_not_accepted(run: Run, reports: Path) -> None:
    accept = ("--baseline", "accepted.json", "--accept", "--require", "delta >= 2")
    outcome = run("gate", "now.json", *accept, cwd=reports)
    assert outcome.code == 3
    assert "1 of 1 requirements are undecided" in outcome.stderr
    assert not (reports / "accepted.json").exists()
    assert run("gate", "now.json", *accept, "--inconclusive", "warn", cwd=reports).code == 0
    assert (reports / "accepted.json").exists()


def test_targets_that_cannot_be_written(run: Run, reports: Path) -> None:
    def accept(path: str, *more: str) -> Outcome:
        return run("gate", "now.json", "--accept", "--baseline", path, *more, cwd=reports)

    accept("gone/last.json").refused("the folder gone does not exist", hint="mkdir")
    accept("last.txt").refused("a baseline is JSON", hint=".json")
    (reports / "folder.json").mkdir()
    accept("folder.json").refused("it is a folder", hint="another place")
    run("gate", "now.json", "--accept", cwd=reports).refused("--accept", hint="--baseline")
    run("gate", "now.json", "--force", cwd=reports).refused("--force", hint="--accept")


def test_a_target_that_is_full(run: Run, reports: Path) -> None:
    """The verdict's exit code is not lost, and nothing is left behind."""

    def accept(*wanted: str) -> Outcome:
        command = ("gate", "now.json", "--accept", "--baseline", "new.json", "--force", *wanted)
        full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, 1000))
        return run(*command, cwd=reports, before=full)

    for limit, code in ((1, 2), (2, 3), (9, 1)):
        outcome = accept("--require", f"delta >= {limit}")
        assert outcome.code == code
        assert "cannot write new.json: File too large" in outcome.stderr
    assert sorted(path.name for path in reports.iterdir()) == [
        *("moved.json", "now.json", "worse.json"),
    ]
