"""What the README shows is what the program does."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("name", "command"), [("help", "compare"), ("help-rank", "rank"), ("help-bench", "bench")]
)
def test_the_help_that_is_shown_is_current(name: str, command: str) -> None:
    shown = [line.rstrip() for line in block(name).splitlines()]
    current = [line.rstrip() for line in compaudit(command, "--help").splitlines()]
    current[0] = current[0].replace("python -m compaudit", "compaudit")
    assert shown == current, "run: make readme"


def test_the_ledger_that_is_shown_is_current() -> None:
    command, *shown = block("inspect").splitlines()
    current = compaudit(*command.removeprefix("$ compaudit ").split())
    assert shown == [line.rstrip() for line in current.splitlines()], "run: make readme"


def blocks_of(language: str = "") -> list[str]:
    """Every fenced block in this language; those of the shell name none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M)
    return [text for said, text in fenced if said == language]


def commands() -> list[list[str]]:
    """The words of every command that the README's code blocks show, models in place of "…"."""
    found = []
    for text in blocks_of():
        whole = text.replace("\\\n", "")
        for line in re.findall(r"^(?:\$ )?compaudit (.+)$", whole, re.M):
            line = line.replace("…", "a.onnx b.onnx").replace("MODEL...", "a.onnx")
            words = shlex.split(line, comments=True)
            found.append(words[: words.index("|")] if "|" in words else words)
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_shown_is_one(words: list[str]) -> None:
    """Its name, its arguments, its options and the form of their values; nothing is run."""
    import typer.main

    from compaudit.cli.main import app
    from compaudit.gate import parse_requirement

    group: Any = typer.main.get_command(app)
    name, *arguments = words
    with group.commands[name].make_context(name, arguments) as context:
        for requirement in context.params.get("require") or ():
            parse_requirement(requirement)


def test_the_commands_that_are_shown_are_those_that_there_are() -> None:
    import typer.main

    from compaudit.cli.main import app

    group: Any = typer.main.get_command(app)
    assert {words[0] for words in commands()} == set(group.commands)


def headings(text: str) -> list[str]:
    """What stands above the sections of a report, without the figures behind a comma."""
    found = re.findall(r"^\n(\S.*)$", text, re.M)
    return [line.partition(",")[0] for line in found]


def test_the_demo_is_laid_out_as_a_report_is() -> None:
    shown = block("demo")
    assert headings(shown) == [
        "Findings",
        "Size",
        "Speed and memory",
        "Accuracy",
        "Divergence on the data",
        "Samples that suffered most",
        "Layers that changed most",
    ]
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "…" not in shown  # nothing is cut


def test_the_demo_shows_what_an_audit_still_counts() -> None:
    """What is exact in the demo is so in the same audit now; times differ from run to run."""
    sample = ROOT / "sample_models"
    paths = [str(sample / name) for name in ("digits.onnx", "digits_int8.onnx")]
    current = compaudit("compare", *paths, "--only", "size,macs,layers")
    counted = [part for part in current.split("\n\n") if not part.startswith(" not measured")]
    title, *sections = counted
    assert [section.partition("\n")[0].partition(",")[0] for section in sections] == [
        "Findings",
        "Size",
        "Layers that changed most",
    ]
    for section in (title.partition("\n")[2], *sections):
        assert section.strip("\n") in block("demo"), "run: make readme"


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


# --------------------------------------------------------------------------------- examples

SAMPLES = ROOT / "sample_models"
PAIR = ("digits.onnx", "digits_int8.onnx")


def example(first_line: str, language: str = "python") -> str:
    """The fenced block that begins so."""
    (found,) = [text for text in blocks_of(language) if text.startswith(first_line)]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sample pair, its data, and the README's files."""
    for name in (*PAIR, "digits_test.npz"):
        (tmp_path / name).symlink_to(SAMPLES / name)
    for name in ("my_data.py", "my_metrics.py"):
        (tmp_path / name).write_text(example(f"# {name}"), encoding="utf-8")
    (tmp_path / "preprocess.toml").write_text(example("# preprocess.toml", "toml"), "utf-8")
    return tmp_path


def audit(folder: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "compaudit", "compare", *PAIR, *options, "--json"]
    only = ("--only", "divergence,accuracy", "--limit", "200", "--no-cache")
    done = subprocess.run([*command, *only], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow
def test_the_loader_gives_the_samples_of_the_file(folder: Path) -> None:
    loaded = audit(folder, "--data", "my_data.py:batches")
    assert loaded["accuracy"] == audit(folder, "--data", "digits_test.npz")["accuracy"]
    assert loaded["accuracy"]["samples"] == 200


def test_the_metric_is_top_1(folder: Path) -> None:
    """Exact match of the class with the highest score is what top-1 counts."""
    metric = ("--metric", "my_metrics.py:exact_match")
    accuracy = audit(folder, "--data", "digits_test.npz", *metric)["accuracy"]
    for which in ("original", "compressed"):
        ours, theirs = accuracy["top1"][which], accuracy["custom"]["exact_match"][which]
        assert theirs["value"] == pytest.approx(ours["value"], abs=1e-12)


def test_the_preprocess_file_is_read(folder: Path) -> None:
    from compaudit.data.preprocess import Preprocess, read_preprocess

    assert read_preprocess(str(folder / "preprocess.toml")) == Preprocess(
        resize=72,
        crop=64,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        layout="NHWC",
        channels="BGR",
    )


def test_files_from_numpy_and_pandas_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy
    import pandas

    from compaudit.data.base import DataRequest
    from compaudit.data.open import open_data

    monkeypatch.chdir(tmp_path)
    random = numpy.random.default_rng(0)
    given = {
        "images": random.normal(size=(4, 3, 8, 8)).astype(numpy.float32),
        "classes": numpy.arange(4),
        "ages": random.uniform(20, 60, 5),
        "incomes": random.uniform(1e4, 1e5, 5),
    }
    exec(example("numpy.savez"), {"numpy": numpy, "pandas": pandas, **given})
    arrays = open_data(DataRequest(uri="test.npz")).batch(0, 4)
    assert numpy.array_equal(arrays["input"], given["images"])
    assert numpy.array_equal(arrays["labels"], given["classes"])
    columns = open_data(DataRequest(uri="test.parquet")).batch(0, 5)
    assert numpy.array_equal(columns["age"], given["ages"])
    assert numpy.array_equal(columns["labels"], given["incomes"])


def test_the_figures_of_llama_cpp_are_where_the_readme_says() -> None:
    from compaudit.gate import parse_requirement

    for path in (
        "accuracy.language.perplexity_ratio",
        "accuracy.language.correlation",
        "accuracy.language.probability_change.mean",
        "accuracy.language.probability_change.rms",
        "divergence.kl.mean",
        "divergence.top1_agreement",
    ):
        parse_requirement(f"{path} >= 0")
