"""`inspect` and its options through the real command; sums are checked against the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

SORTS = ("name", "bytes", "parameters", "macs", "sparsity", "bits")


@pytest.fixture(scope="module")
def shown(run_all: RunAll, samples: Path) -> dict[Any, Outcome]:
    """What the command says of sample models with each option."""
    int8 = ("inspect", "digits_int8.onnx")
    cases: dict[Any, tuple[str, ...]] = {
        "json": (*int8, "--json"),
        "json of a view": (*int8, "--json", "--tensors", "--top", "1", "--sort", "bits"),
        "summary": int8,
        "layers": (*int8, "--layers"),
        "top": (*int8, "--top", "3"),
        "tensors": (*int8, "--tensors", "--sort", "bytes", "--top", "5"),
        "both": (*int8, "--tensors", "--layers", "--top", "2"),
        "three": ("inspect", "digits.onnx", "digits_int8.onnx", "digits_lowrank.onnx"),
    }
    cases |= {sort: (*int8, "--layers", "--sort", sort) for sort in SORTS}
    return run_all(cases, cwd=samples, env={"COLUMNS": "140"})


def table(text: str, title: str) -> list[str]:
    """The lines of a table: headings, rows, and the footer last; without rules."""
    lines = text.split(f"\n{title}\n", 1)[1].split("\n\n")[0].splitlines()
    return [line for line in lines if set(line) != {"─"}]


def figures(text: str, title: str, heading: str) -> list[int]:
    """A column of whole numbers, which end where its heading ends."""
    headings, *rows = table(text, title)
    end = headings.index(f" {heading} ") + 1 + len(heading)
    return [int(row[:end].split()[-1].replace(",", "")) for row in rows]


def names(text: str, title: str) -> list[str]:
    """The first column; a cell of several lines has its name in the first."""
    return [name for line in table(text, title)[1:] if (name := line.split("  ")[0])]


def test_layers_and_tensors_add_up_to_what_the_file_holds(
    shown: dict[Any, Outcome], samples: Path
) -> None:
    graph = onnx.load(samples / "digits_int8.onnx").graph
    stored = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    held = sum(array.nbytes for array in stored)
    both = shown["both"].stdout
    assert figures(both, "Tensors", "bytes")[-1] == held
    assert figures(both, "Tensors", "elements")[-1] == sum(array.size for array in stored)
    # What is no layer's: the four sizes of a Resize, float32.
    assert figures(both, "Layers", "bytes")[-1] == held - 16
    size = (samples / "digits_int8.onnx").stat().st_size
    assert figures(shown["summary"].stdout, "What is stored", "bytes")[-2:] == [size - held, size]


@pytest.mark.parametrize(
    ("view", "title", "rows"),
    [
        ("layers", "Layers", 9),
        ("top", "Layers", 3 + 1),
        ("tensors", "Tensors", 5 + 1),
        ("both", "Layers", 2 + 1),
        ("both", "Tensors", 2 + 1),
        ("summary", "What is stored", 5),
    ],
)
def test_the_rows_that_are_shown_add_up(
    shown: dict[Any, Outcome], view: str, title: str, rows: int
) -> None:
    *sizes, footer = figures(shown[view].stdout, title, "bytes")
    assert sum(sizes) == footer
    assert len(sizes) == rows


def test_what_is_shown_changes_nothing_of_the_json(shown: dict[Any, Outcome]) -> None:
    whole, part = (shown[name].done() for name in ("json", "json of a view"))
    assert whole["models"] == part["models"]


@pytest.mark.parametrize("sort", SORTS)
def test_every_order(shown: dict[Any, Outcome], sort: str) -> None:
    layers = shown["json"].done()["models"][0]["layers"]
    keys = {
        "name": lambda layer: layer["name"],
        "bytes": lambda layer: -layer["weight_bytes"],
        "parameters": lambda layer: -layer["parameters"],
        "macs": lambda layer: -layer["macs"],
        "bits": lambda layer: -(layer["bits_per_weight"] or 0),
        "sparsity": lambda layer: (
            layer["nonzero_parameters"] / layer["parameters"] if layer["parameters"] else 2
        ),
    }
    wanted = [layer["name"] for layer in sorted(layers, key=keys[sort])]
    assert names(shown[sort].stdout, "Layers")[:-1] == wanted


def test_several_models_are_lined_up_with_their_rates(shown: dict[Any, Outcome]) -> None:
    rates = table(shown["three"].stdout, "α of digits.onnx against")
    assert rates[0].split() == ["digits_int8.onnx", "digits_lowrank.onnx"]
    # 186,442 by 186,138 and by 74,986 parameters
    assert rates[1].split() == ["parameters", "1.00×", "2.49×"]


WRONG = [
    (("--sort", "byte"), "'byte'", "did you mean 'bytes'?"),
    (("--sort", "size"), "'size'", "choose from: name, bytes"),
    (("--sort", "macs", "--tensors"), "a tensor has no MACs", "--layers"),
    (("--top", "0"), "--top is 0", "at least 1"),
    (("--top", "-3"), "--top is -3", "at least 1"),
    (("--top", "some"), "--top", "compaudit inspect --help"),
    (("--top", "1.5"), "--top", "compaudit inspect --help"),
]


@pytest.mark.parametrize(("options", "said", "hint"), WRONG)
def test_an_option_that_means_nothing_is_refused(
    run: Run, options: tuple[str, ...], said: str, hint: str
) -> None:
    run("inspect", "original.onnx", *options).refused(said, hint=hint)


def test_files_hold_what_was_asked_for(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "layers.txt"
    outcome = run("inspect", "original.onnx", "--layers", "-o", str(target))
    assert outcome.code == 0
    assert "\nLayers\n" in target.read_text()


@pytest.mark.parametrize(
    "settings", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_terminals_without_blocks(run: Run, settings: dict[str, str]) -> None:
    outcome = run("inspect", "original.onnx", env=settings)
    assert outcome.code == 0
    assert "####" in outcome.stdout
    assert "----" in outcome.stdout
    assert "?" not in outcome.stdout


# ------------------------------------------------------------------- one of them is broken


def test_what_cannot_be_read_is_named_and_the_others_are_reported(run: Run) -> None:
    outcome = run("inspect", "cut_0.5.onnx", "original.onnx", "page.onnx", "--json")
    assert outcome.code == 2
    document = outcome.document
    assert document["kind"] == "inspection"
    assert [model["path"] for model in document["models"]] == ["original.onnx"]
    assert document["error"]["model"] == "cut_0.5.onnx"
    assert document["error"]["exit"] == 2
    reasons = [one["reason"] for one in document["skipped"] if one["metric"] == "models"]
    assert ["cut_0.5.onnx" in reasons[0], "page.onnx" in reasons[1]] == [True, True]
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert [error.removeprefix("error: ") for error in errors] == reasons
    # The indices of `skipped` are those of `models`.
    assert "models[0].load_s" in [one["metric"] for one in document["skipped"]]
    assert "models[1].load_s" not in [one["metric"] for one in document["skipped"]]


def test_the_table_says_which_one_was_not_read(run: Run) -> None:
    outcome = run("inspect", "original.onnx", "compressed.onnx", "missing.onnx")
    assert outcome.code == 2
    assert "not read" in outcome.stdout
    assert "missing.onnx does not exist" in outcome.stdout
    assert outcome.stderr.count("error: ") == 1
    assert "α of original.onnx against" in outcome.stdout


def test_where_no_model_can_be_read_nothing_is_reported(run: Run) -> None:
    run("inspect", "missing.onnx", "page.onnx", "--json").refused("missing.onnx", hint="path")


# ---------------------------------------------------------------------------------- names


def test_names_in_the_file_are_only_names(run: Run, files: Path) -> None:
    evil = ["\x1b[31mred\x1b[0m", "[bold]x[/]", "a\n::error::b", "\u202ertl", "::set-output::"]
    path = files / "evil_names.onnx"
    weights = np.ones((4, 3), np.float32)
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("MatMul", ["input", f"{name}.weight"], [f"{place}"], name=name)
                for place, name in enumerate(evil)
            ],
            "graph",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ("N", 4))],
            [
                helper.make_tensor_value_info(str(place), TensorProto.FLOAT, ("N", 3))
                for place in range(len(evil))
            ],
            initializer=[numpy_helper.from_array(weights, f"{name}.weight") for name in evil],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    path.write_bytes(model.SerializeToString())
    for options in ((), ("--layers",), ("--tensors",), (path.name, "--layers")):
        outcome = run("inspect", path.name, *options)
        assert outcome.code == 0
        assert "[bold]x[/]" in outcome.stdout
        unprintable = {letter for letter in outcome.stdout if not letter.isprintable()}
        assert unprintable == {"\n"}
        assert [line for line in outcome.stdout.splitlines() if line.startswith("::")] == []


# -------------------------------------------------------------------------- layers compared


def test_layers_of_a_comparison(run_all: RunAll, samples: Path) -> None:
    pair = ("compare", "digits.onnx", "digits_int8.onnx", "--only", "size,layers")
    found = run_all(
        {
            "most": pair,
            "all": (*pair, "--layers"),
            "json": (*pair, "--json", "--layers"),
            "same": ("compare", "digits.onnx", "digits.onnx", "--only", "size,layers"),
            "skipped": ("compare", "digits.onnx", "digits_int8.onnx", "--only", "size"),
        },
        cwd=samples,
        env={"COLUMNS": "140"},
    )
    most = table(found["most"].stdout, "Layers that changed most, by weight bytes")
    layers = found["json"].done()["layers"]
    # Eight layers with weights of their own; six normalisations were folded into them.
    assert len([line for line in most[1:] if "→" in line]) == 8
    assert most[1].startswith("hidden ")  # of 205,056 bytes 52,288 are left
    assert names(found["all"].stdout, "Layers")[:-1] == [layer["name"] for layer in layers]
    assert "Layers that changed" not in found["same"].stdout
    assert "Layers" not in found["skipped"].stdout
