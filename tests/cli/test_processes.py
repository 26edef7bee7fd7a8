"""A command in a fresh interpreter is the command that the other tests run in a forked one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

PAIR = ("compare", "original.onnx", "compressed.onnx", "--json")
SIZE = (*PAIR, "--only", "size")
ENDS = {
    0: SIZE,
    1: (*SIZE, "--require", "alpha.file_bytes >= 3"),
    2: ("compare", "original.onnx", "nowhere.onnx", "--json"),
    3: (*SIZE, "--require", "delta >= 1.2"),
    4: ("compare", "original.onnx", "segfault.onnx", "--only", "size,divergence", "--json"),
}


@pytest.mark.parametrize("code", ENDS)
def test_both_end_and_say_the_same(run: Run, code: int) -> None:
    fresh = run(*ENDS[code], python=(sys.executable, "-P", "-m", "compaudit"))
    forked = run(*ENDS[code])
    assert fresh.code == forked.code == code
    assert fresh.stderr == forked.stderr
    documents = [outcome.document for outcome in (fresh, forked)]
    for document in documents:
        document["created_at"] = ""
        document["environment"] = sorted(document.get("environment", ()))  # the load differs
        for model in ("original", "compressed"):
            for name in ("load_s", "first_inference_s", "peak_memory_bytes"):
                document.get(model, {}).pop(name, None)
    assert documents[0] == documents[1]


def test_both_run_a_model(run: Run) -> None:
    """What the models gave is the same to the last digit."""
    command = (*PAIR, "--only", "divergence,accuracy", "--data", "data.npz", "--no-cache")
    fresh = run(*command, python=(sys.executable, "-P", "-m", "compaudit")).done()
    forked = run(*command).done()
    for part in ("divergence", "accuracy", "data"):
        assert fresh[part] == forked[part]


def test_a_forked_one_finds_no_module_of_the_tests(run: Run) -> None:
    run("inspect", "forked:run_forked").refused("forked")
