"""A configuration from an audit, by the real command; and the audit passes it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import canned
import pytest

from compaudit.results import encode_report

if TYPE_CHECKING:
    from tests.cli.conftest import Run

PAIR = ("original.onnx", "compressed.onnx")


@pytest.fixture
def folder(tmp_path: Path, files: Path) -> Path:
    """The models, their data, and a report that nobody measured."""
    for name in (*PAIR, "segfault.onnx"):
        (tmp_path / name).write_bytes((files / name).read_bytes())
    (tmp_path / "report.json").write_bytes(encode_report(canned.comparison()))
    return tmp_path


def test_from_two_models(run: Run, folder: Path) -> None:
    outcome = run("init", *PAIR, "--only", "size,divergence", cwd=folder)
    assert (outcome.code, outcome.stdout) == (0, "")
    assert "compaudit.toml is written" in outcome.stderr
    settings = tomllib.loads((folder / "compaudit.toml").read_text())
    assert settings["only"] == ["size", "divergence"]
    assert len(settings["require"]) >= 2
    report = run("compare", *PAIR, "--json", cwd=folder).done()
    assert report["config"]["config_file"] == "compaudit.toml"
    assert report["config"]["measurements"] == ["size", "divergence"]
    assert {check["status"] for check in report["gate"]["checks"]} == {"passed"}


def test_from_a_report_that_then_passes(run: Run, folder: Path) -> None:
    assert run("init", "report.json", "-q", cwd=folder).stderr == ""
    report = run("gate", "report.json", "--json", cwd=folder).done()
    assert len(report["gate"]["checks"]) >= 5
    assert {check["status"] for check in report["gate"]["checks"]} == {"passed"}


def test_a_template(run: Run, folder: Path) -> None:
    assert run("init", cwd=folder).code == 0
    assert tomllib.loads((folder / "compaudit.toml").read_text()) == {"require": []}
    run("compare", *PAIR, "--only", "size", "--json", cwd=folder).done()


def test_nothing_is_overwritten(run: Run, folder: Path) -> None:
    path = folder / "compaudit.toml"
    path.write_text("threads = 2\n")
    run("init", "report.json", cwd=folder).refused("exists already", hint="--force")
    assert path.read_text() == "threads = 2\n"
    assert run("init", "report.json", "--force", cwd=folder).code == 0
    assert "alpha.file_bytes" in path.read_text()
    assert run("init", "report.json", "-o", "other.toml", cwd=folder).code == 0


def test_what_cannot_be_written(run: Run, folder: Path) -> None:
    run("init", "-o", "gone/compaudit.toml", cwd=folder).refused("does not exist", hint="mkdir")
    run("init", "-o", "compaudit.yaml", cwd=folder).refused(".toml", hint="-o")
    run("init", "a", "b", "c", cwd=folder).refused("not 3 arguments", hint="compaudit init")
    run("init", "gone.json", cwd=folder).refused("gone.json does not exist", hint="-o")
    (folder / "pyproject.toml").write_text("[tool.compaudit]\n")
    run("init", "report.json", cwd=folder).refused("holds settings already", hint="-o")
    assert not (folder / "compaudit.toml").exists()


def test_a_model_that_dies_gives_no_limits(run: Run, folder: Path) -> None:
    outcome = run("init", "original.onnx", "segfault.onnx", "--only", "memory", cwd=folder)
    assert outcome.code == 4
    assert "segfault.onnx" in outcome.stderr
    assert not (folder / "compaudit.toml").exists()


def test_hostile_names_stay_in_their_comment(run: Run, folder: Path) -> None:
    report = canned.comparison(compressed=canned.HOSTILE_NAME)
    (folder / "hostile.json").write_bytes(encode_report(report))
    assert run("init", "hostile.json", cwd=folder).code == 0
    text = (folder / "compaudit.toml").read_text()
    assert "\x1b" not in text
    assert json.dumps(tomllib.loads(text)["require"])
    assert not any(line.startswith("::error") for line in text.splitlines())
