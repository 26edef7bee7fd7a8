"""Workflows, the action, its scripts and the hooks, as linters that others wrote see them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted((ROOT / ".github" / "action").glob("*.sh"))
PAGES = (ROOT / "README.md", ROOT / "docs" / "ci.md")


def examples(language: str, beginning: str) -> list[str]:
    """The fenced blocks of the pages in this language that begin so."""
    fenced = [
        block
        for page in PAGES
        for block in re.findall(
            rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M
        )
    ]
    return [block for block in fenced if block.startswith(beginning)]


def checked(module: str, *arguments: str | Path) -> None:
    """Run a module that is a linter; skip where it is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed; it is part of the extra dev")
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_is_one() -> None:
    checked("check_jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml")


def test_workflows_and_the_examples_of_workflows(tmp_path: Path) -> None:
    shown = examples("yaml", "name: ")
    assert len(shown) >= 2
    for number, text in enumerate(shown):
        (tmp_path / f"example{number}.yml").write_text(text, encoding="utf-8")
    files = [*WORKFLOWS, *tmp_path.glob("*.yml")]
    checked("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("there is no actionlint; CI runs it, and the schema of workflows was checked")
    done = subprocess.run([actionlint, *map(str, files)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_the_examples_use_the_action_as_it_is() -> None:
    """Inputs and outputs that exist; the page lists all of them."""
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    for text in examples("yaml", "name: "):
        (job,) = yaml.safe_load(text)["jobs"].values()
        (step,) = [one for one in job["steps"] if one.get("uses", "").startswith("compaudit/")]
        required = {name for name, one in action["inputs"].items() if one.get("required")}
        assert required <= step["with"].keys() <= action["inputs"].keys()
        used = re.findall(r"steps\.audit\.outputs\.([\w-]+)", text)
        assert set(used) <= action["outputs"].keys()
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    for name in (*action["inputs"], *action["outputs"]):
        assert f"`{name}`" in page, name


def test_the_example_for_gitlab(tmp_path: Path) -> None:
    (text,) = examples("yaml", "# .gitlab-ci.yml")
    path = tmp_path / ".gitlab-ci.yml"
    path.write_text(text, encoding="utf-8")
    options = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci")
    checked("check_jsonschema", *options, path)


def test_the_hooks_are_hooks() -> None:
    checked("pre_commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml")


def test_the_example_for_pre_commit(tmp_path: Path) -> None:
    (text,) = examples("yaml", "# .pre-commit-config.yaml")
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_text(text, encoding="utf-8")
    checked("pre_commit", "validate-config", path)


def test_the_shell_scripts(tmp_path: Path) -> None:
    """Those of the action, the steps in action.yml and workflows, and the example for a shell."""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("there is no shellcheck; it is part of the extra dev")
    steps = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"]
    for path in WORKFLOWS:
        jobs = yaml.safe_load(path.read_text("utf-8"))["jobs"]
        steps += [step for job in jobs.values() for step in job["steps"] if "run" in step]
    texts = [step["run"] for step in steps] + examples("sh", "")
    assert len(texts) > len(steps)
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.sh").write_text(f"#!/usr/bin/env bash\n{text}", encoding="utf-8")
    files = [*SCRIPTS, *tmp_path.glob("*.sh")]
    done = subprocess.run([shellcheck, "-x", *files], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_for_the_bash_of_macos_too(path: Path) -> None:
    """Version 3.2 has neither mapfile, nor ${name,,}, nor associative arrays."""
    newer = r"\b(mapfile|readarray|declare -A|local -[An])\b|\$\{\w+(,,|\^\^)"
    assert not re.search(newer, path.read_text(encoding="utf-8"))
