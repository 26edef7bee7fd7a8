"""Names from files are data: no markup, escape code or annotation of theirs reaches a terminal."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run

NAMES = {
    "markup": "[red]bold[/red]",
    "closing markup": "[/]",
    "link markup": "[link=file:///etc/passwd]x[/link]",
    "emoji": ":skull:",
    "escape codes": "\x1b[31mred\x1b]0;title\x07",
    "C1 codes": "\x9b31m\x85next",
    "annotation": "::error::nothing is wrong",
    "annotation on a line": "x\n::error::nothing is wrong",
    "old annotation": "##[error]nothing is wrong",
    "another runner's": "x ##vso[task.setvariable variable=PATH]/tmp",
    "carriage return": "secret\rshown",
    "right to left": "\u202egpj.exe",
    "isolate": "\u2066a\u2069\u200b\ufeff",
    "line separator": "a\u2028b\u2029c",
    "html": "<script>alert(1)</script>",
    "backspaces": "a\b\b\bb",
    "nul": "a\0b",
    "unassigned": "\U000e0001\uffff",
    "100 kB": "n" * 100_000,
    "combining": "e" + "\u0301" * 1000,
    "quotes": "'\"`$(id)\\",
    "percent": "%s%n{0}{name}",
    "spaces": "  ",
}
WEIGHTS = np.array([1, 0, 3, 4], np.float32)


def onnx_file(name: str, *, elements: int = 4) -> bytes:
    """The name in every place that takes one: tensor, node, operator, domain, sizes, producer."""
    info = helper.make_tensor_value_info
    held = TensorProto(name=name, data_type=1, dims=[elements], raw_data=WEIGHTS.tobytes())
    nodes = [
        helper.make_node("Mul", ["x", name], ["h"], name),
        helper.make_node(name, ["h"], [name + "y"], name, domain=name),
    ]
    inputs, outputs = [info("x", 1, [name, 4])], [info(name + "y", 1, None)]
    graph = helper.make_graph(nodes, name, inputs, outputs, [held], doc_string=name)
    graph.value_info.append(info("h", 1, [name, name]))
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(model.SerializeToString())


def safetensors_file(name: str, *, elements: int = 4) -> bytes:
    entry = {"dtype": "F32", "shape": [elements], "data_offsets": [0, 16]}
    header = json.dumps({"__metadata__": {name: name}, name: entry}).encode()
    return struct.pack("<Q", len(header)) + header + WEIGHTS.tobytes()


KINDS = {"onnx": onnx_file, "safetensors": safetensors_file}
CASES = [(kind, name) for kind in KINDS for name in NAMES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[tuple[str, str], Path]]:
    """Good models with these names, and broken ones whose errors cite them."""
    folder = tmp_path_factory.mktemp("names")
    files: dict[str, dict[tuple[str, str], Path]] = {"good": {}, "broken": {}}
    for number, (kind, name) in enumerate(CASES):
        for state, elements in (("good", 4), ("broken", 5)):
            path = folder / f"{state}{number}.{kind}"
            path.write_bytes(KINDS[kind](NAMES[name], elements=elements))
            files[state][kind, name] = path
    return files


@pytest.fixture(scope="module")
def as_json(written: Any, inspect_all: Any) -> dict[tuple[str, str], Outcome]:
    outcomes: dict[tuple[str, str], Outcome] = inspect_all(written["good"], "--json")
    return outcomes


@pytest.fixture(scope="module")
def as_table(written: Any, inspect_all: Any) -> dict[str, Outcome]:
    files = {name: written["good"]["safetensors", name] for name in NAMES}
    outcomes: dict[str, Outcome] = inspect_all(files, "--quiet", "--tensors")
    return outcomes


@pytest.fixture(scope="module")
def refused(written: Any, inspect_all: Any) -> dict[tuple[str, str], Outcome]:
    outcomes: dict[tuple[str, str], Outcome] = inspect_all(written["broken"], "--json")
    return outcomes


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_json_has_the_name_as_it_is(as_json: Any, kind: str, name: str) -> None:
    (model,) = as_json[kind, name].done()["models"]
    (tensor,) = model["tensors"]
    assert tensor["name"] == NAMES[name]
    assert (tensor["bytes"], tensor["nonzeros"]) == (16, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_has_nothing_that_acts(as_table: Any, name: str) -> None:
    assert (as_table[name].code, as_table[name].stderr) == (0, "")
    check_harmless(as_table[name].stdout)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_errors_have_nothing_that_acts(refused: Any, kind: str, name: str) -> None:
    outcome = refused[kind, name]
    outcome.refused()
    check_harmless(outcome.stderr)
    assert len(outcome.stderr) < 5000


def check_harmless(text: str) -> None:
    """Printable letters and new lines only, and no line that a CI runner takes for a command."""
    assert all(line.isprintable() for line in text.split("\n")), text
    assert not any(line.lstrip().startswith("::") for line in text.split("\n"))
    assert "##[" not in text
    assert "##vso[" not in text


def test_through_the_real_command(run: Run, written: Any) -> None:
    path = str(written["good"]["onnx", "escape codes"])
    colored = run("inspect", path, "--tensors", "--layers", env={"FORCE_COLOR": "1"})
    assert colored.code == 0
    assert "\x1b]" not in colored.stdout
    assert "\x07" not in colored.stdout
    compared = run("compare", path, path, "--only", "size,macs")
    assert compared.code == 0
    check_harmless(compared.stdout)
