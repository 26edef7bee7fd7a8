"""Help, version, schema and doctor, and how little they import."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from compaudit import __version__

if TYPE_CHECKING:
    from tests.cli.conftest import Run

HEAVY = {"numpy", "scipy", "onnx", "onnxruntime", "torch", "psutil", "safetensors"}


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command(run: Run, option: str) -> None:
    outcome = run(option)
    assert (outcome.code, outcome.stderr) == (0, "")
    for command in ("compare", "rank", "inspect", "doctor", "schema"):
        assert f"  {command} " in outcome.stdout


@pytest.mark.parametrize("command", ["compare", "rank", "inspect", "doctor", "schema"])
def test_every_command_has_help(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(f"Usage: compaudit {command}")


def test_version(run: Run) -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout == f"compaudit {__version__}\n"


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("compare", "--help")])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "compaudit", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "compaudit.cli.main" in imported
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


def test_the_schema_is_one_json_document(run: Run) -> None:
    outcome = run("schema")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert json.loads(outcome.stdout)["$schema"].endswith("2020-12/schema")


def test_doctor(run: Run) -> None:
    report = run("doctor", "--json").done()
    assert report["kind"] == "doctor"
    assert report["environment"]["usable_cores"] >= report["threads"] >= 1
