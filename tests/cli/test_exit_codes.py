"""What the gate says, as exit codes, and which code wins where several hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size", "--json")
PASSED = ("--require", "alpha.file_bytes >= 0.5")
FAILED = ("--require", "alpha.file_bytes >= 3")
UNDECIDED = ("--require", "delta >= 1.2")

GATES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "none": ((), 0, "none"),
    "passed": (PASSED, 0, "passed"),
    "failed": ((*PASSED, *FAILED), 1, "failed"),
    "undecided": ((*PASSED, *UNDECIDED), 3, "inconclusive"),
    "undecided, warn": ((*UNDECIDED, "--inconclusive", "warn"), 0, "inconclusive"),
    "undecided, pass": ((*UNDECIDED, "--inconclusive", "pass"), 0, "inconclusive"),
    "failed before undecided": ((*UNDECIDED, *FAILED), 1, "failed"),
    "failed, pass": ((*FAILED, "--inconclusive", "pass"), 1, "failed"),
}


@pytest.fixture(scope="module")
def judged(run_all: RunAll) -> dict[str, Outcome]:
    """A good pair with each of these requirements."""
    return run_all({name: (*PAIR, *options) for name, (options, _, _) in GATES.items()})


@pytest.mark.parametrize("name", GATES)
def test_the_gate_decides(judged: dict[str, Outcome], name: str) -> None:
    options, code, status = GATES[name]
    report = judged[name].done(code)
    assert report["gate"]["status"] == status
    assert len(report["gate"]["checks"]) == options.count("--require")


def test_what_was_not_measured_says_why(judged: dict[str, Outcome]) -> None:
    check = judged["undecided"].done(3)["gate"]["checks"][1]
    assert check["observed"] is None
    assert check["status"] == "not_measured"
    assert "--only" in check["reason"]


ORDER = {
    # A model that cannot be loaded is a wrong request, whatever the gate says.
    "wrong request before failed": ("unknown_operator.onnx", FAILED, 2),
    # The size of a model that died is known, so a requirement on it can fail.
    "failed before died": ("segfault.onnx", FAILED, 1),
    "died before undecided": ("segfault.onnx", UNDECIDED, 4),
    "died though passed": ("segfault.onnx", PASSED, 4),
}


@pytest.fixture(scope="module")
def ordered(run_all: RunAll) -> dict[str, Outcome]:
    """Faults and requirements together."""
    options = ("--only", "size,memory", "--json")
    return run_all(
        {
            name: ("compare", "original.onnx", model, *options, *requirement)
            for name, (model, requirement, _) in ORDER.items()
        }
    )


@pytest.mark.parametrize("name", ORDER)
def test_the_gravest_code_wins(ordered: dict[str, Outcome], name: str) -> None:
    model, _, code = ORDER[name]
    report = ordered[name].broke(model, code=code)
    assert report["error"]["exit"] == (2 if model.startswith("unknown") else 4)
    assert report["gate"]["status"] != "none"


def test_the_table_has_the_same_codes(run: Run) -> None:
    outcome = run(*PAIR[:-1], *FAILED, *UNDECIDED)
    assert outcome.code == 1
    assert outcome.stderr == ""
    assert "alpha.file_bytes >= 3" in outcome.stdout
