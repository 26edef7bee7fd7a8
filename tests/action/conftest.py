"""The action as a runner runs it: each step of action.yml in bash, with what GitHub sets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
REPOSITORY = "somebody/something"
TOKEN = "the token of the job"


@dataclass(frozen=True)
class Step:
    """How a step ended."""

    code: int
    stdout: str
    stderr: str
    outputs: dict[str, str]


@dataclass
class Job:
    """What a job that uses the action leaves: one `Step` for each that ran, by name."""

    folder: Path
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code of the action: that of the step that failed, else 0."""
        return list(self.steps.values())[-1].code

    @property
    def log(self) -> str:
        """What the runner reads for commands: both streams of every step."""
        return "".join(step.stdout + step.stderr for step in self.steps.values())

    @property
    def commands(self) -> list[str]:
        """The workflow commands, which are lines that begin with two colons."""
        return [line for line in self.log.splitlines() if line.startswith("::")]

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the action."""
        found = {name: step.outputs for name, step in self.steps.items()}
        declared = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["outputs"]
        return {name: _filled(one["value"], {}, found) for name, one in declared.items()}

    def calls(self, program: str) -> list[dict[str, Any]]:
        """The calls of a stand-in."""
        path = self.folder / f"{program}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


RunAction = Callable[..., Job]


@pytest.fixture(scope="session")
def run_in() -> RunAction:
    """Run the action with these inputs in a folder; `after` is what other steps left already."""
    return _run


@pytest.fixture
def run_action(run_in: RunAction, tmp_path: Path) -> RunAction:
    """Run the action with these inputs in the test's own folder."""
    return partial(run_in, tmp_path)


def _run(
    folder: Path,
    given: Mapping[str, str],
    *,
    workspace: Path | None = None,
    event: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    after: Mapping[str, Step] | None = None,
) -> Job:
    definition = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    assert given.keys() <= definition["inputs"].keys()
    inputs = {name: one.get("default", "") for name, one in definition["inputs"].items()}
    inputs |= {"token": TOKEN, "python": str(_python(folder)), **given}
    where = workspace or folder / "workspace"
    where.mkdir(exist_ok=True)
    around = {**_environment(folder, where, event or {}), **(env or {})}
    job = Job(folder, dict(after or {}))
    for step in definition["runs"]["steps"]:
        name = step.get("id", step["name"])
        if name in job.steps or not _wanted(step.get("if", ""), inputs):
            continue
        outputs = {name: one.outputs for name, one in job.steps.items()}
        ended = job.steps[name] = _run_step(step, inputs, outputs, around, where)
        if ended.code != 0:
            break
    return job


def _run_step(
    step: dict[str, Any],
    inputs: dict[str, str],
    outputs: dict[str, dict[str, str]],
    around: dict[str, str],
    workspace: Path,
) -> Step:
    """A step as the runner starts it: its text in a file, `shell: bash` as GitHub defines that."""
    assert step["shell"] == "bash"
    temporary = Path(around["RUNNER_TEMP"])
    script, told = temporary / "step.sh", temporary / "output"
    script.write_text(step["run"], encoding="utf-8")
    told.write_bytes(b"")
    own = {name: _filled(text, inputs, outputs) for name, text in step.get("env", {}).items()}
    place = _filled(step.get("working-directory", "."), inputs, outputs)
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        cwd=workspace / place,
        env={**around, "GITHUB_OUTPUT": str(told), **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    stdout, stderr = ended.stdout.decode(), ended.stderr.decode()
    return Step(ended.returncode, stdout, stderr, _outputs(told.read_text(encoding="utf-8")))


def _environment(folder: Path, workspace: Path, event: Mapping[str, Any]) -> dict[str, str]:
    """What GitHub sets, over what a test process needs."""
    temporary = folder / "temp"
    temporary.mkdir(exist_ok=True)
    told = folder / "event.json"
    told.write_text(json.dumps(event), encoding="utf-8")
    unwanted = ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {
        **kept,
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_API_URL": "https://api.github.com",
        "GITHUB_RUN_ID": "123456",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567",
        "GITHUB_EVENT_PATH": str(told),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "RUNNER_TEMP": str(temporary),
        "RUNNER_OS": "Linux",
        "PATH": f"{_stand_ins(folder)}{os.pathsep}{os.environ['PATH']}",
    }


def _wanted(condition: str, inputs: Mapping[str, str]) -> bool:
    if not condition:
        return True
    match = re.fullmatch(r"inputs\.([\w-]+) == '(\w+)'", condition)
    assert match is not None, f"this runner cannot judge {condition!r}"
    return inputs[match[1]] == match[2]


def _filled(text: str, inputs: Mapping[str, str], outputs: Mapping[str, dict[str, str]]) -> str:
    """The text with what its expressions stand for; an output that was never set is empty."""

    def value(expression: re.Match[str]) -> str:
        match expression[1].split("."):
            case ["inputs", name]:
                return inputs[name]
            case ["steps", step, "outputs", name]:
                return outputs.get(step, {}).get(name, "")
            case _:
                raise AssertionError(f"this runner does not know {expression[0]}")

    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)


def _outputs(text: str) -> dict[str, str]:
    """GITHUB_OUTPUT: `name=value`, or a value between two lines with a word of its own."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, several, end = line.partition("<<")
        if several and "=" not in name:
            held: list[str] = []
            for part in lines:
                if part == end:
                    break
                held.append(part)
            else:
                raise AssertionError(f"the value of {name} does not end")
            found[name] = "\n".join(held)
        else:
            name, equals, value = line.partition("=")
            assert equals, f"no output: {line!r}"
            found[name] = value
    return found


# ---------------------------------------------------------------------------------- stand-ins


def _python(folder: Path) -> Path:
    """This interpreter, except that pip, and compaudit where a test says so, is only noted."""
    return _program(
        folder / "python with a space",
        f"""\
        import json, os, sys
        noted = {{"pip": "PIP_ENDS_WITH", "compaudit": "COMPAUDIT_ENDS_WITH"}}
        arguments = [word for word in sys.argv[1:] if word != "-P"]
        if arguments[0] == "-m" and arguments[2] != "--version":
            name = arguments[1]
            code = os.environ.get(noted.get(name, ""), "0" if name == "pip" else None)
            if code is not None:
                with open(os.path.join({str(folder)!r}, name + ".jsonl"), "a") as stream:
                    stream.write(json.dumps({{"arguments": arguments[2:]}}) + "\\n")
                sys.exit(int(code))
        os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
        """,
    )


def _stand_ins(folder: Path) -> Path:
    """A folder with a gh that answers from files: `comments.json`, and says no where GH_SAYS."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    _program(
        programs / "gh",
        f"""\
        import json, os, pathlib, subprocess, sys
        folder, arguments = pathlib.Path({str(folder)!r}), sys.argv[1:]
        fields, words = {{}}, iter(arguments)
        for word in words:
            if word in ("-f", "-F"):
                name, _, value = next(words).partition("=")
                if word == "-F" and value.startswith("@"):
                    value = pathlib.Path(value[1:]).read_text()
                fields[name] = value
        call = {{"arguments": arguments, "fields": fields}}
        for name in ("GH_TOKEN", "GH_HOST"):
            call[name] = os.environ.get(name)
        with open(folder / "gh.jsonl", "a") as stream:
            stream.write(json.dumps(call) + "\\n")
        query = fields.get("query", "")
        reading = query.startswith("query")
        if "GH_SAYS" in os.environ and (not reading or "GH_READS_NOTHING" in os.environ):
            print(os.environ["GH_SAYS"], file=sys.stderr)
            sys.exit(1)
        if reading:
            answers = json.loads((folder / "comments.json").read_text())
        elif query.startswith("mutation"):
            changed = {{"issueComment": {{"url": "https://example.org/changed"}}}}
            answers = [{{"data": {{"updateIssueComment": changed}}}}]
        else:
            answers = [{{"html_url": "https://example.org/new"}}]
        filtered = arguments[arguments.index("--jq") + 1]
        for answer in answers:
            subprocess.run(["jq", "-r", filtered], input=json.dumps(answer), text=True, check=True)
        """,
    )
    return programs


def _program(path: Path, text: str) -> Path:
    # A script's first line cannot hold a path with spaces, and this one's may.
    code = path.with_suffix(".py")
    code.write_text(textwrap.dedent(text), encoding="utf-8")
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{code}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def jq() -> None:
    """Skips where there is no jq, with which the stand-in of gh filters its answers."""
    if shutil.which("jq") is None:
        pytest.skip("there is no jq")
