"""What the README shows is what the program does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The fenced text between two markers of the README."""
    match = re.search(rf"<!-- {name}: begin -->\n```\n(.*?)```\n<!-- {name}: end -->", README, re.S)
    assert match is not None, f"the README has no {name} block; run: make readme"
    return match[1]


def compaudit(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "compaudit", *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80"},
    )
    return done.stdout


def test_the_help_of_compare_is_current() -> None:
    shown = [line.rstrip() for line in block("help").splitlines()]
    current = [line.rstrip() for line in compaudit("compare", "--help").splitlines()]
    current[0] = current[0].replace("python -m compaudit", "compaudit")
    assert shown == current, "run: make readme"


def test_the_ledger_that_is_shown_is_current() -> None:
    command, *shown = block("inspect").splitlines()
    current = compaudit(*command.removeprefix("$ compaudit ").split())
    assert shown == [line.rstrip() for line in current.splitlines()], "run: make readme"


def commands() -> set[str]:
    """Every command that the README's code blocks show."""
    blocks = re.findall(r"^```\n(.*?)^```$", README, re.S | re.M)
    return {name for text in blocks for name in re.findall(r"^compaudit (\w+)", text, re.M)}


@pytest.mark.parametrize("command", sorted(commands()))
def test_every_command_shown_exists(command: str) -> None:
    compaudit(command, "--help")


def test_the_demo_shows_every_section_of_a_report() -> None:
    shown = block("demo")
    for title in ("Size", "Speed and memory", "Accuracy, 899", "Divergence on the data, 899"):
        assert title in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_demo_shows_what_an_audit_still_counts() -> None:
    """The exact rows of the demo are those of the same audit now; times differ from run to run."""
    sample = ROOT / "sample_models"
    paths = [str(sample / name) for name in ("digits.onnx", "digits_int8.onnx")]
    current = compaudit("compare", *paths, "--only", "size,macs")
    shown = block("demo").splitlines()
    rows = [line for line in current.splitlines() if line.rstrip().endswith(("exact", "estimate"))]
    assert len(rows) == 7
    for row in rows:
        assert row in shown, "run: make readme"


def test_every_exit_code_is_in_the_readme() -> None:
    from compaudit.errors import ExitCode

    table = README[README.index("| exit |") : README.index("### JSON")]
    for code in ExitCode:
        assert re.search(rf"\b{int(code)}\b", table), code


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_makefile_has_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "readme"):
        assert f"\n{target}:" in makefile
