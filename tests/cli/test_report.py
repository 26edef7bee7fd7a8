"""A saved report in other formats by the real command, and the summary of a step on GitHub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import canned
import canned_raw
import hostile
import pytest

from compaudit.report import render
from compaudit.results import encode_report

if TYPE_CHECKING:
    from tests.cli.conftest import Run

OLDER = Path(__file__).parent.parent / "report/older/schema-1.0.json"
PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size")
FAILED = ("--require", "alpha.file_bytes >= 3")
FORMATS = ("table", "json", "markdown", "github", "junit", "html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reports are: `hand.json` has a requirement that is undecided."""
    folder = tmp_path_factory.mktemp("reports")
    report = canned_raw.comparison()
    (folder / "hand.json").write_bytes(encode_report(report))
    (folder / "hostile.json").write_bytes(encode_report(hostile.comparison(hostile.NAMES[1])))
    document = json.loads(encode_report(report))
    others = {
        "other.json": {"kind": "other"},
        "later.json": {**document, "schema_version": "2.0"},
        "inspection.json": json.loads(encode_report(canned.inspection())),
        "incomplete.json": {key: document[key] for key in document if key != "alpha"},
    }
    for name, content in others.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "cut.json").write_bytes(encode_report(report)[:500])
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_every_format(run: Run, folder: Path, name: str) -> None:
    outcome = run("report", "hand.json", "--format", name, cwd=folder)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout == render(canned_raw.comparison(), name, 100).decode()


def test_files_by_their_suffix(run: Run, folder: Path, tmp_path: Path) -> None:
    targets = [tmp_path / name for name in ("x.md", "x.xml", "x.json", "x.txt", "x.html")]
    options = [option for target in targets for option in ("-o", str(target))]
    assert run("report", "hand.json", *options, cwd=folder).code == 0
    formats = ("markdown", "junit", "json", "table", "html")
    for target, name in zip(targets, formats, strict=True):
        assert target.read_bytes() == render(canned_raw.comparison(), name, 100)


def test_layers(run: Run, folder: Path) -> None:
    """Of seven layers one is unchanged, which only --layers shows."""
    assert "head" not in run("report", "hand.json", cwd=folder).stdout.split()
    assert "head" in run("report", "hand.json", "--layers", cwd=folder).stdout.split()


def test_standard_input(files: Path, folder: Path) -> None:
    command = [sys.executable, "-P", "-m", "compaudit", "report", "-", "--json"]
    text = (folder / "hand.json").read_bytes()
    ended = subprocess.run(command, cwd=files, input=text, capture_output=True, timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, text, b"")


REFUSED = [
    ("nothing.json", "does not exist", "missing-report"),
    ("cut.json", "ends in the middle", "bad-report"),
    ("other.json", "no report of compaudit", "bad-report"),
    ("later.json", "schema 2.0", "other-schema"),
    ("inspection.json", "is an inspection", "other-report"),
    ("incomplete.json", "'alpha'", "bad-report"),
]


@pytest.mark.parametrize(("name", "said", "code"), REFUSED)
def test_what_is_no_report_of_an_audit(
    run: Run, folder: Path, name: str, said: str, code: str
) -> None:
    assert run("report", name, "--json", cwd=folder).refused(name, said) == code


def test_places_are_checked_as_in_an_audit(run: Run, folder: Path) -> None:
    outcome = run("report", "hand.json", "-o", "nowhere/x.md", cwd=folder)
    outcome.refused("does not exist", hint="mkdir -p")
    run("report", "hand.json", "--format", "markdwon", cwd=folder).refused(hint="markdown")


def test_a_report_of_an_older_compaudit(run: Run, tmp_path: Path) -> None:
    """The file is in tests/report/older; what it lacks is not invented."""
    target = tmp_path / "x.md"
    outcome = run("report", str(OLDER), "-o", str(target))
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "digits_int8.onnx" in target.read_text()
    assert run("gate", str(OLDER), "--require", "alpha.file_bytes >= 10").code == 1
    assert run("gate", str(OLDER), "--require", "alpha.file_bytes >= 3").code == 0


def test_a_page_where_no_home_can_be_written_to(run: Run, folder: Path, tmp_path: Path) -> None:
    """matplotlib keeps a list of fonts there, and would tell of it."""
    nowhere = {"HOME": "/proc", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
    target = tmp_path / "x.html"
    outcome = run("report", "hand.json", "-o", str(target), cwd=folder, env=nowhere)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert target.read_text().endswith("</html>\n")


@pytest.mark.parametrize(("name", "limit", "code"), [("x.html", 10, 1), ("x.md", 1, 2)])
def test_a_verdict_is_not_lost_to_a_file_that_cannot_be_written(
    run: Run, folder: Path, name: str, limit: int, code: int
) -> None:
    """Nothing can be made in /proc, whoever asks."""
    require = ("--require", f"alpha.file_bytes >= {limit}")
    outcome = run("gate", "hand.json", *require, "-o", f"/proc/{name}", cwd=folder)
    assert outcome.code == code
    assert outcome.stderr.count("error: ") == 1


def test_a_full_disk(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "full.md").symlink_to("/dev/full")
    outcome = run("report", "hand.json", "-o", str(tmp_path / "full.md"), cwd=folder)
    assert outcome.code == 2
    assert "No space left" in outcome.stderr


@pytest.mark.parametrize("name", FORMATS[:-1])
def test_a_reader_that_went_away(run: Run, folder: Path, name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        outcome = run("report", "hand.json", "--format", name, cwd=folder, stdout=pipe)
    assert (outcome.code, outcome.stderr) == (0, "")


@pytest.mark.parametrize("name", ["markdown", "github", "junit", "html"])
def test_formats_for_programs_are_utf_8_everywhere(run: Run, folder: Path, name: str) -> None:
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    outcome = run("report", "hand.json", "--format", name, cwd=folder, env=settings)
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout == render(canned_raw.comparison(), name, 100).decode()


@pytest.mark.parametrize("name", ["table", "markdown", "github", "junit"])
def test_a_name_gives_no_command_to_a_runner(run: Run, folder: Path, name: str) -> None:
    outcome = run("report", "hostile.json", "--format", name, cwd=folder)
    assert (outcome.code, outcome.stderr) == (0, "")
    commands = [line for line in outcome.stdout.splitlines() if line.lstrip().startswith("::")]
    assert "##[" not in outcome.stdout
    if name == "github":
        kinds = [line.split(" ")[0] for line in commands]
        assert kinds == ["::error", "::warning", "::notice"]
    else:
        assert commands == []
    if name == "junit":
        ElementTree.fromstring(outcome.stdout)


# ------------------------------------------------------------------------ the step's summary


def test_the_summary_of_a_step(run: Run, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    outcome = run(*PAIR, *FAILED, "--format", "github", "-o", str(tmp_path / "x.md"), env=env)
    assert (outcome.code, outcome.stderr) == (1, "")
    assert outcome.stdout.startswith("::error title=failed::alpha.file_bytes >= 3: is 1.0")
    assert summary.read_text() == "before\n\n" + (tmp_path / "x.md").read_text()


def test_only_annotations_come_with_a_summary(run: Run, folder: Path, tmp_path: Path) -> None:
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    assert run("report", "hand.json", "--json", cwd=folder, env=env).code == 0
    assert not (tmp_path / "summary").exists()
    assert run("report", "hand.json", "--format", "github", cwd=folder, env=env).code == 0
    assert (tmp_path / "summary").read_text().startswith("<!-- compaudit -->\n")


@pytest.mark.parametrize("place", [".", "nowhere/summary", "full"])
def test_a_summary_that_cannot_be_written_changes_no_exit_code(
    run: Run, folder: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "full").write_bytes(b" " * (1024 * 1024))
    env = {"GITHUB_STEP_SUMMARY": str(tmp_path / place)}
    outcome = run("report", "hand.json", "--format", "github", cwd=folder, env=env)
    assert outcome.code == 0
    assert outcome.stderr.count("error: ") == 1
    assert "summary" in outcome.stderr
    assert "::notice" in outcome.stdout
    assert (tmp_path / "full").stat().st_size == 1024 * 1024
    assert run(*PAIR, *FAILED, "--format", "github", env=env).code == 1
