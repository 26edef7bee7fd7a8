"""Options that mean nothing: exit 2 before anything is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size")

USAGE = [
    (("--frobnicate",), "--frobnicate", "compaudit compare --help"),
    (("--time-budget",), "--time-budget", "compaudit compare --help"),
    (("--threads", "many"), "--threads", "--help"),
    (("--threads", "0"), "--threads", "at least 1"),
    (("--threads", "100000"), "--threads", "at most 1024"),
    (("--batch-size", "99999999999999999999"), "--batch-size", "at most"),
    (("--seed", "-1"), "--seed", "at least 0"),
    (("--seed", "99999999999999999999"), "--seed", "at most"),
    (("--time-budget", "soon"), "--time-budget", "30s"),
    (("--time-budget", "-3s"), "--time-budget", "30s"),
    (("--time-budget", "3parsec"), "unknown unit 'parsec'", "30s"),
    (("--timeout", "0s"), "--timeout", "30s"),
    (("--resolution", "200%"), "--resolution", "between"),
    (("--confidence", "100%"), "--confidence", "between"),
    (("--memory-limit", "plenty"), "--memory-limit", "2GiB"),
    (("--memory-limit", "2"), "--memory-limit", "at least 1048576"),
    (("--device", "tpu"), "'tpu'", "cuda:N"),
    (("--device", "CUDA"), "'CUDA'", "did you mean 'cuda'?"),
    (("--device", "cuda:-1"), "'cuda:-1'", "cuda:N"),
    (("--device", "cuda:x"), "'cuda:x'", "cuda:N"),
    (("--device", "cpu:0"), "'cpu:0'", "cuda:N"),
    (("--device", ""), "''", "cuda:N"),
    (("--device", "cpuexecutionprovider"), "'cpu", "did you mean 'CPUExecutionProvider'?"),
    (("--device", "tensorrt"), "'tensorrt'", "did you mean 'TensorrtExecutionProvider'?"),
    (("--task", "clasification"), "clasification", "did you mean 'classification'?"),
    (("--inconclusive", "maybe"), "--inconclusive", "fail"),
    (("--format", "jsn"), "--format", "did you mean 'json'?"),
    (("--only", "latencyy"), "latencyy", "did you mean 'latency'?"),
    (("--skip", "size"), "--skip", "leave at least one"),
    (("--skip", ","), "--skip", "choose from"),
    (("--map-input", "a"), "--map-input", "a=b"),
    (("--map-output", "=b"), "--map-output", "a=b"),
    (("--input-shape", "input=0x3"), "--input-shape", "1x3x224x224"),
    (("--custom-op-library", "x.so"), "custom operator library", "--trust-model-code"),
    (("extra.onnx",), "extra.onnx", "compaudit compare --help"),
]


REQUIREMENTS = [
    ("alpha.file_byte >= 2", "unknown-metric", "did you mean alpha.file_bytes?"),
    ("speedup >= 2", "unknown-metric", "did you mean delta"),
    ("alpha >= 2", "bad-requirement", "file_bytes"),
    ("alpha.file_bytes", "bad-requirement", "for example"),
    ("alpha.file_bytes >= 2 parsec", "bad-requirement", "unit"),
    ("delta == 1", "bad-requirement", "delta.value"),
    ("", "bad-requirement", "for example"),
]


@pytest.fixture(scope="module")
def refused(run_all: RunAll) -> dict[object, Outcome]:
    """A good pair with each of these options."""
    commands: dict[object, tuple[str, ...]] = {}
    for arguments, *_ in USAGE:
        commands[arguments] = (*PAIR, "--json", *arguments)
    for text, *_ in REQUIREMENTS:
        commands[text] = (*PAIR, "--json", "--require", text)
    return run_all(commands)


@pytest.mark.parametrize(("arguments", "said", "hint"), USAGE)
def test_a_wrong_option_is_named(
    refused: dict[object, Outcome], arguments: tuple[str, ...], said: str, hint: str
) -> None:
    refused[arguments].refused(said, hint=hint)


@pytest.mark.parametrize(("requirement", "code", "hint"), REQUIREMENTS)
def test_a_requirement_that_means_nothing(
    refused: dict[object, Outcome], requirement: str, code: str, hint: str
) -> None:
    assert refused[requirement].refused(repr(requirement), hint=hint) == code


def test_unknown_names_of_inputs_and_outputs_and_devices(run_all: RunAll) -> None:
    pair = ("compare", "original.onnx", "compressed.onnx", "--only", "divergence", "--json")
    cases = {
        ("--input-shape", "pixels=1x4"): ("'pixels'", "'input'"),
        ("--map-output", "scores=logits"): ("'scores'", "'logits'"),
        ("--model-output", "scores"): ("'scores'", "'logits'"),
        ("--device", "NoneExecutionProvider"): ("'NoneExecutionProvider'", "CPUExecutionProvider"),
    }
    outcomes = run_all({option: (*pair, *option) for option in cases})
    for option, (said, hint) in cases.items():
        outcomes[option].broke(said, code=2, hint=hint)


def test_unknown_commands_and_missing_arguments(run: Run) -> None:
    run("comprae", "a", "b").refused("'compare'", hint="see: compaudit --help")
    run("compare").refused("ORIGINAL", hint="compaudit compare --help")
    run("compare", "original.onnx").refused("COMPRESSED")
    run("inspect", "--json").refused("MODEL")


def test_no_command_shows_the_help(run: Run) -> None:
    outcome = run()
    assert outcome.code == 2
    assert outcome.stdout == ""
    assert "compare" in outcome.stderr
    assert outcome.stderr.count("error: ") == 1
    assert "Traceback" not in outcome.stderr


def test_json_is_one_document_however_it_was_asked_for(run: Run) -> None:
    for asked in (("--format", "json"), ("--format=json",)):
        outcome = run("compare", "missing.onnx", "missing.onnx", *asked)
        assert outcome.document["kind"] == "error"
