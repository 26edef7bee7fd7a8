"""Where reports go, what may go wrong there, and names that want to be more than names."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size")
FAILED = ("--require", "alpha.file_bytes >= 3")


def test_several_reports_at_once(run: Run, tmp_path: Path) -> None:
    targets = [str(tmp_path / name) for name in ("report.json", "report.txt")]
    outcome = run(*PAIR, "--json", "-o", targets[0], "-o", targets[1])
    report = outcome.done()
    written = json.loads(Path(targets[0]).read_text())
    assert written == report
    assert "alpha" not in Path(targets[1]).read_text()
    assert "α" in Path(targets[1]).read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.txt"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Places where no report can be written."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "folder.json").mkdir()
    (folder / "full.json").symlink_to("/dev/full")
    (folder / "read_only").mkdir()
    (folder / "read_only").chmod(0o555)
    return folder


REFUSED = [
    ("report.xyz", "suffix", ".json"),
    ("report", "suffix", ".json"),
    ("nowhere/report.json", "does not exist", "mkdir -p"),
    ("folder.json", "it is a folder", "-o"),
]


@pytest.mark.parametrize(("target", "said", "hint"), REFUSED)
def test_a_place_that_cannot_be_written_to_is_refused_beforehand(
    run: Run, places: Path, target: str, said: str, hint: str
) -> None:
    path = str(places / target)
    assert run(*PAIR, "--json", "-o", path).refused(path, said, hint=hint)


def test_a_read_only_folder(run: Run, places: Path) -> None:
    path = places / "read_only" / "report.json"
    if os.access(path.parent, os.W_OK):
        pytest.skip("this user may write everywhere")
    run(*PAIR, "-o", str(path)).refused(str(path), "permission")


def test_a_full_disk(run: Run, places: Path, tmp_path: Path) -> None:
    outcome = run(*PAIR, "-o", str(places / "full.json"))
    assert outcome.code == 2
    assert "cannot write" in outcome.stderr
    assert "No space left" in outcome.stderr
    assert "α" in outcome.stdout
    # A verdict that says more is kept.
    assert run(*PAIR, *FAILED, "-o", str(places / "full.json")).code == 1


def test_a_report_is_never_half_written(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "report.json"
    old.write_text("old")
    limit = (1000, 1000)
    outcome = run(
        *(*PAIR, "-o", str(old)), before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    assert outcome.code == 2
    assert "cannot write" in outcome.stderr
    assert old.read_text() == "old"
    assert list(tmp_path.iterdir()) == [old]


@pytest.mark.parametrize("command", [("--help",), ("--version",), ("schema",), (*PAIR, "--json")])
def test_a_full_stdout(run: Run, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = run(*command, stdout=full)
    assert outcome.code == 2
    assert outcome.stderr.count("error: ") == 1
    assert "No space left" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize(
    ("command", "code"), [(("--help",), 0), (("schema",), 0), (PAIR, 0), ((*PAIR, *FAILED), 1)]
)
def test_a_reader_that_went_away_changes_no_exit_code(
    run: Run, command: tuple[str, ...], code: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        outcome = run(*command, stdout=pipe)
    assert outcome.code == code
    assert outcome.stderr == ""


def test_closed_streams(files: Path) -> None:
    """Whatever is opened next must not take their place: the models run all the same."""
    command = [sys.executable, "-P", "-m", "compaudit", *PAIR[:3], "--only", "divergence"]
    script = '"$@" <&- >&- 2>&-'
    ended = subprocess.run(["sh", "-c", script, "sh", *command], cwd=files, timeout=100)
    assert ended.returncode == 0


# ------------------------------------------------------------------------------------ names

HOSTILE = ("escape codes", "line feed", "workflow command", "bidirectional")
NAMES = {
    "escape codes": "\x1b[31mred\x1b[0m\x07.onnx",
    "rich markup": "[bold]x[red].onnx",
    "line feed": "one\n::error::two.onnx",
    "workflow command": "::error::x.onnx",
    "letters": "näme→δ.onnx",
    "bidirectional": "\u202exnno.onnx",
}


@pytest.fixture(scope="module")
def named(run_all: RunAll, files: Path) -> dict[str, Outcome]:
    """A model under each of these names, and one that is missing; as text and as JSON."""
    for name in NAMES.values():
        shutil.copy(files / "original.onnx", files / name)
    cases: dict[str, tuple[str, ...]] = {}
    for what, name in NAMES.items():
        cases[what] = ("compare", name, "compressed.onnx", "--only", "size")
        if what in HOSTILE:
            cases[f"{what}, missing"] = ("compare", "original.onnx", f"{name}.gone", "--json")
    return run_all(cases)


@pytest.mark.parametrize("what", NAMES)
def test_a_name_is_only_a_name(named: dict[str, Outcome], what: str) -> None:
    outcome = named[what]
    assert (outcome.code, outcome.stderr) == (0, "")
    first = outcome.stdout.splitlines()[0]
    assert first.endswith("→ compressed.onnx")
    _assert_harmless(outcome.stdout)
    if what in HOSTILE:
        missing = named[f"{what}, missing"]
        missing.refused()
        _assert_harmless(missing.stderr)


def _assert_harmless(text: str) -> None:
    assert [letter for letter in text if not letter.isprintable() and letter != "\n"] == []
    assert [line for line in text.splitlines() if line.lstrip().startswith("::")] == []


def test_json_keeps_every_name_as_it_is(run: Run, named: dict[str, Outcome]) -> None:
    assert named
    for name in (NAMES["escape codes"], NAMES["letters"]):
        ascii_only = {"PYTHONIOENCODING": "ascii"}
        report = run("inspect", name, "--json", env=ascii_only).done()
        assert report["models"][0]["path"] == name


def test_a_name_that_is_not_utf_8_is_refused(run: Run, files: Path) -> None:
    name = b"latin1-\xe9.onnx"
    shutil.copy(files / "original.onnx", files / os.fsdecode(name))
    assert run("inspect", name, "--json").refused("UTF-8", hint="ln -s") == "not-utf-8"
    run("compare", "original.onnx", name, "--only", "divergence").refused("UTF-8")


@pytest.mark.parametrize(
    "settings",
    [
        {"LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_terminals_that_know_no_greek(run: Run, settings: dict[str, str]) -> None:
    outcome = run(*PAIR, *FAILED, env=settings)
    assert outcome.code == 1
    assert outcome.stderr == ""
    assert "original.onnx" in outcome.stdout


def test_colour_only_where_it_is_wanted(run: Run) -> None:
    assert "\x1b" in run(*PAIR, *FAILED, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in run(*PAIR, *FAILED, "--json", env={"FORCE_COLOR": "1"}).stdout
