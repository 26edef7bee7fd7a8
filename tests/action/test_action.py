"""The action's steps, run as a runner runs them on real models: outputs, summary, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import canned
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from compaudit.results import encode_report

if TYPE_CHECKING:
    from tests.action.conftest import Job, RunAction

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_models"
PAIR = {
    "original": str(SAMPLES / "digits.onnx"),
    "compressed": str(SAMPLES / "digits_int8.onnx"),
    "args": "--only size",
}
PASSES, FAILS, CANNOT = "alpha.file_bytes >= 3.5", "alpha.file_bytes >= 4", "delta >= 1.2"
# By the sizes of the two files: 754,997 B and 212,802 B.
ALPHA = (SAMPLES / "digits.onnx").stat().st_size / (SAMPLES / "digits_int8.onnx").stat().st_size


# What is required, what an undecided requirement means, and how the action is to end.
ENDS = {
    "nothing required": ("", "fail", 0, "none"),
    "passed": (
        f"{PASSES}\n\n  # of the next\n  alpha.parameters <= 1.1\r\n",
        *("fail", 0, "passed"),
    ),
    "failed": (f"{PASSES}\n{FAILS}", "fail", 1, "failed"),
    "undecided": (CANNOT, "fail", 3, "inconclusive"),
    "undecided, warn": (CANNOT, "warn", 0, "inconclusive"),
}


@pytest.fixture(scope="module")
def ended(run_in: RunAction, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """The pair with each of these requirements."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {
            name: pool.submit(
                run_in,
                tmp_path_factory.mktemp("job"),
                {**PAIR, "require": require, "inconclusive": inconclusive, "baseline": baseline},
            )
            for name, (require, inconclusive, _, _) in ENDS.items()
            for baseline in ["" if require else "last.json"]
        }
        return {name: job.result() for name, job in running.items()}


@pytest.mark.parametrize("name", ENDS)
def test_it_ends_as_compaudit_does(ended: dict[str, Job], name: str) -> None:
    require, _, code, verdict = ENDS[name]
    job = ended[name]
    assert job.code == code, job.log
    assert list(job.steps) == ["install", "audit", "Verdict"]
    assert job.outputs["exit-code"] == str(code)
    assert job.outputs["verdict"] == verdict
    report = json.loads(Path(job.outputs["report"]).read_bytes())
    wanted = [line.strip() for line in require.splitlines() if line.strip() and "#" not in line]
    assert [check["requirement"] for check in report["gate"]["checks"]] == wanted


def test_the_reports_and_the_figures(ended: dict[str, Job]) -> None:
    job = ended["failed"]
    outputs = job.outputs
    assert float(outputs["alpha-file-bytes"]) == pytest.approx(ALPHA, rel=1e-12)
    assert 3.8 < float(outputs["alpha-weight-bytes"]) < 4
    # Nothing was timed, and nothing evaluated.
    for name in ("delta", "delta-low", "delta-high", "accuracy-top1-delta", "html"):
        assert outputs[name] == ""
    page = Path(outputs["markdown"]).read_text(encoding="utf-8")
    assert page.startswith("<!-- compaudit -->\n")
    assert job.summary == page
    suite = ElementTree.parse(outputs["junit"]).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert {Path(outputs[name]).parent for name in ("report", "markdown", "junit")} == {
        Path(outputs["reports"])
    }
    (error,) = [line for line in job.commands if line.startswith("::error ")]
    assert FAILS in error


@pytest.mark.slow
def test_figures_of_accuracy_and_time_are_outputs(tmp_path: Path) -> None:
    """Of an audit that measured all; the figures are those of the canned report."""
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "report.json").write_bytes(encode_report(canned.comparison()))
    (tmp_path / "stderr").touch()
    told = tmp_path / "output"
    subprocess.run(
        [sys.executable, ROOT / ".github/action/outcome.py", reports, "3", tmp_path / "stderr"],
        env={**os.environ, "GITHUB_OUTPUT": str(told)},
        check=True,
    )
    lines = told.read_text(encoding="utf-8").splitlines()
    values = {line.split("<<")[0]: lines[n + 1] for n, line in enumerate(lines) if "<<" in line}
    assert values["verdict"] == "inconclusive"
    figures = {name: value for name, value in values.items() if name.startswith(("alpha", "delta"))}
    assert figures == {
        "alpha-file-bytes": "3.0",
        "alpha-weight-bytes": "4.0",
        "delta": "2.0",
        "delta-low": "1.95",
        "delta-high": "2.05",
    }
    assert float(values["accuracy-top1-delta"]) == pytest.approx(-0.005)


@pytest.mark.slow
def test_the_page_is_written_when_asked_for(run_action: RunAction, tmp_path: Path) -> None:
    job = run_action({**PAIR, "html": "true", "reports": "the reports", "working-directory": "."})
    assert job.code == 0, job.log
    assert job.outputs["html"] == str(tmp_path / "workspace" / "the reports" / "report.html")
    assert "<html" in Path(job.outputs["html"]).read_text(encoding="utf-8")
    (installed,) = job.calls("pip")
    assert installed["arguments"][-1].endswith("[cpu,html]")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"original": "nowhere.onnx"}, "nowhere.onnx"),
        ({"args": "--ony size"}, "--ony"),
    ],
)
def test_a_wrong_request_is_told(
    run_action: RunAction, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    """No report, exit code 2, and the reason as annotation, summary and page for the comment."""
    reports = tmp_path / "workspace" / "reports"
    reports.mkdir(parents=True)
    for suffix in ("json", "md", "xml", "html"):  # of an earlier run
        (reports / f"report.{suffix}").write_text('{"gate": {"status": "passed"}}')
    job = run_action({**PAIR, **changed, "reports": "reports"})
    assert job.code == 2
    assert [path.name for path in reports.iterdir()] == ["report.md"]
    outputs = job.outputs
    assert (outputs["verdict"], outputs["exit-code"]) == ("error", "2")
    assert outputs["report"] == outputs["junit"] == outputs["alpha-file-bytes"] == ""
    (error,) = [line for line in job.commands if line.startswith("::error ")]
    page = Path(outputs["markdown"]).read_text(encoding="utf-8")
    assert page.startswith("<!-- compaudit -->\n## ❌ compaudit: the request was wrong")
    for told in (error, page, job.summary):
        assert said in told


def test_a_model_that_dies_is_an_error_with_a_report(run_action: RunAction, tmp_path: Path) -> None:
    """A file of 62 bytes at which ONNX Runtime 1.32 dies, beside itself."""
    ports = (
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ("N", 4))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("Max", ["input", ""], ["logits"])
    model = helper.make_model(
        helper.make_graph([node], "graph", *ports),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "dies.onnx")
    pair = {"original": "../dies.onnx", "compressed": "../dies.onnx"}
    job = run_action({**pair, "args": "--only size,divergence"})
    assert job.code == 4, job.log
    assert (job.outputs["verdict"], job.outputs["exit-code"]) == ("error", "4")
    assert json.loads(Path(job.outputs["report"]).read_bytes())["error"]["exit"] == 4


# ------------------------------------------------------------------------------ hostile inputs

HOSTILE = "$(touch MARKER) `touch MARKER`; touch MARKER # ' \" \\ ${HOME} *"


def test_names_and_texts_are_never_run(run_action: RunAction, tmp_path: Path) -> None:
    workspace = tmp_path / HOSTILE
    workspace.mkdir()
    for name, source in (("-o.onnx", "original"), (f"{HOSTILE}.onnx", "compressed")):
        shutil.copy(PAIR[source], workspace / name)
    job = run_action(
        {"original": "-o.onnx", "compressed": f"{HOSTILE}.onnx", "args": "--only 'size'"},
        workspace=workspace,
    )
    assert job.code == 0, job.log
    report = json.loads(Path(job.outputs["report"]).read_bytes())
    assert report["compressed"]["path"] == f"{HOSTILE}.onnx"
    assert list(tmp_path.rglob("MARKER")) == []


FORGED = "\n::warning::forged\n::set-output name=verdict::passed"


@pytest.mark.parametrize(
    "names",
    [
        ("original", "compressed", "data", "reports", "inconclusive", "policy", "baseline"),
        ("require",),
        ("args",),
    ],
)
def test_every_input_is_only_text(
    run_action: RunAction, tmp_path: Path, names: tuple[str, ...]
) -> None:
    commands = HOSTILE.replace("'", "").replace('"', "") if "args" in names else HOSTILE
    job = run_action({**PAIR, **dict.fromkeys(names, f"nothing {commands}{FORGED}")})
    assert job.code == 2, job.log
    assert list(tmp_path.rglob("MARKER")) == []
    told = ("::error title=compaudit", "::warning title=compaudit::")
    assert job.commands == [line for line in job.commands if line.startswith(told)]


def test_a_quote_that_is_not_closed(run_action: RunAction) -> None:
    job = run_action({**PAIR, "args": "--only 'size"})
    assert job.code == 2
    assert job.commands == [
        "::error title=compaudit::the input args cannot be read as words: a quote is not closed"
    ]


# ---------------------------------------------------------------------------- what it is given


def test_every_input_reaches_compaudit(run_action: RunAction, tmp_path: Path) -> None:
    """The command that is run, of which compaudit is only noted."""
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "last.json").write_text("{}")
    job = run_action(
        {
            "original": "a b.onnx",
            "compressed": "c.onnx",
            "data": "d e.npz",
            "policy": "p.toml",
            "baseline": "last.json",
            "require": "delta >= 1.2\nalpha.macs > 1",
            "args": "--limit 5\n  --input-shape 'input=1x4'",
            "reports": "out",
        },
        env={"COMPAUDIT_ENDS_WITH": "0"},
    )
    (call,) = job.calls("compaudit")
    out = tmp_path / "workspace" / "out"
    assert call["arguments"] == [
        *(
            "compare",
            "--inconclusive=fail",
            "--data=d e.npz",
            "--policy=p.toml",
            "--baseline=last.json",
        ),
        *("--require=delta >= 1.2", "--require=alpha.macs > 1"),
        *("--limit", "5", "--input-shape", "input=1x4"),
        *("--no-progress", "--format=github"),
        *(f"--output={out}/report.{suffix}" for suffix in ("json", "md", "xml")),
        *("--", "a b.onnx", "c.onnx"),
    ]
    assert job.outputs["verdict"] == "error"  # it ended with 0 and left no report


def test_a_baseline_that_is_not_there_yet(ended: dict[str, Job]) -> None:
    job = ended["nothing required"]
    (warning,) = [line for line in job.commands if line.startswith("::warning title=compaudit::")]
    assert "last.json is not there" in warning


# ------------------------------------------------------------------------------------ install

# An audit that ends at once; what is installed is known before.
NOTHING = {"original": "", "compressed": "", "args": "'"}


def test_it_installs_a_version(run_action: RunAction) -> None:
    job = run_action({**NOTHING, "extras": "cpu, torch", "version": "0.1.0"})
    assert job.steps["install"].code == 0
    (call,) = job.calls("pip")
    assert call["arguments"][0] == "install"
    assert call["arguments"][-1] == "compaudit[cpu,torch]==0.1.0"
    assert "-c" not in call["arguments"]


def test_by_default_it_installs_its_own_checkout_with_onnx_only(run_action: RunAction) -> None:
    job = run_action(NOTHING)
    (call,) = job.calls("pip")
    assert call["arguments"][-1] == f"{ROOT}[cpu]"


@pytest.mark.slow
def test_an_environment_of_its_own(run_action: RunAction, tmp_path: Path) -> None:
    """Without the input python there is one, and the tested versions are installed into it."""
    python3 = tmp_path / "programs" / "python3"
    python3.parent.mkdir()
    python3.write_text(
        f'#!/bin/sh\nif [ "$2" != venv ]; then exec "{sys.executable}" "$@"; fi\n'
        f'mkdir -p "$3/bin" && cp "{tmp_path}/python with a space" "$3/bin/python"\n'
    )
    python3.chmod(0o755)
    job = run_action({**NOTHING, "python": ""})
    own = tmp_path / "temp" / "compaudit-venv" / "bin" / "python"
    assert job.steps["install"].outputs == {"python": str(own)}
    (call,) = job.calls("pip")
    constraints = str(ROOT / "constraints.txt")
    assert call["arguments"][-3:] == ["-c", constraints, f"{ROOT}[cpu]"]


@pytest.mark.parametrize(
    ("changed", "env", "said"),
    [
        ({"extras": "cpu;torch"}, {}, "extras"),
        ({"version": "0.1.0 --index-url x"}, {}, "version"),
        ({"python": "nopython"}, {}, "there is no nopython"),
        ({"python": "false"}, {}, "Python 3.11"),
        ({}, {"RUNNER_OS": "Windows"}, "Linux and macOS"),
        ({}, {"PIP_ENDS_WITH": "1"}, "could not be installed"),
    ],
)
def test_what_cannot_be_installed_is_told(
    run_action: RunAction, changed: dict[str, str], env: dict[str, str], said: str
) -> None:
    job = run_action({**PAIR, **changed}, env=env)
    assert job.code == 2
    assert list(job.steps) == ["install"]
    (error,) = job.commands
    assert error.startswith("::error title=compaudit::")
    assert said in error


def test_no_step_holds_an_expression_in_its_script() -> None:
    """What an expression stands for would be part of the script, and could be run."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["runs"]["steps"]
    assert [step["name"] for step in steps if "${{" in step["run"]] == []
    readers = "\n".join(path.read_text("utf-8") for path in (ROOT / ".github/action").iterdir())
    for step in steps:
        for name in step.get("env", {}):
            assert re.search(rf"\b{name}\b", readers + step["run"]), f"nothing reads {name}"
