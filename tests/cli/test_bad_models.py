"""Files that are no model, or a model that cannot be run: exit 2, one sentence, one hint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

NO_MODELS = [
    ("missing.onnx", "missing-file", "does not exist", "path"),
    ("folder.onnx", "is-a-folder", "empty folder", "a folder of one"),
    ("empty.onnx", "empty-file", "empty", "export or download"),
    ("page.onnx", "web-page", "web page", "raw file"),
    ("pointer.onnx", "git-lfs-pointer", "Git LFS pointer", "git lfs pull"),
    ("text.onnx", "unknown-format", "not a model", "ONNX"),
    ("random.onnx", "unknown-format", "not a model", "ONNX"),
    ("archive.zip", "unknown-format", "not a model", "ONNX"),
    ("pipe.onnx", "not-a-file", "not a regular file", "model file"),
    ("no_module:factory@missing.pt", "missing-file", "missing.pt does not exist", "path"),
    ("missing.py:factory", "missing-file", "missing.py does not exist", "path"),
]


BOMBS = ["bomb_0.pkl", "bomb_2.pkl", "bomb_4.pkl", "bomb.pt"]
CUTS = [f"cut_{share}.onnx" for share in (0.02, 0.5, 0.99)]
OUTSIDE = [("missing_data.onnx", "nowhere.bin"), ("escaping_data.onnx", "passwd")]


@pytest.fixture(scope="module")
def read(run_all: RunAll) -> dict[str, Outcome]:
    """What the command says to each of them."""
    names = [name for name, *_ in NO_MODELS]
    compared = {
        name: ("compare", "original.onnx", name, "--only", "size", "--json") for name in names
    }
    others = [*BOMBS, *CUTS, *(name for name, _ in OUTSIDE)]
    return run_all(compared | {name: ("inspect", name, "--json") for name in others})


@pytest.mark.parametrize(("name", "code", "said", "hint"), NO_MODELS)
def test_what_is_no_model_is_refused(
    read: dict[str, Outcome], name: str, code: str, said: str, hint: str
) -> None:
    assert read[name].refused(said, hint=hint) == code
    assert read[name].document["error"]["stage"] == "open"


def test_the_original_is_checked_too_and_text_says_it_on_stderr_alone(run: Run) -> None:
    run("compare", "pointer.onnx", "original.onnx").refused("pointer.onnx", hint="git lfs pull")


@pytest.mark.parametrize("name", CUTS)
def test_a_truncated_model_is_refused(read: dict[str, Outcome], name: str) -> None:
    assert read[name].refused(name, hint="again") == "truncated-model"


@pytest.mark.parametrize(("name", "said"), OUTSIDE)
def test_external_data_that_is_missing_or_elsewhere(
    read: dict[str, Outcome], name: str, said: str
) -> None:
    read[name].refused(said)


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_that_wants_code_gets_none(
    read: dict[str, Outcome], files: Path, name: str
) -> None:
    code = read[name].refused(name)
    assert code in ("untrusted-code", "unknown-format")
    if code == "untrusted-code":
        read[name].refused(hint="--trust-model-code")
    assert not (files / "MARKER").exists()


def test_an_unreadable_file_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "secret.onnx"
    path.write_bytes(b"x")
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        pass
    else:
        pytest.skip("this user may read everything")
    assert run("inspect", str(path), "--json").refused("secret.onnx") == "unreadable-file"


CANNOT_RUN = [
    ("unknown_operator.onnx", "Frobnicate", ""),
    ("unknown_domain.onnx", "com.example", "--custom-op-library"),
    ("future_opset.onnx", "pset 99", "onnxruntime"),
    ("future_format.onnx", "IR version", "onnxruntime"),
]


DIFFERENT = [
    ("renamed_output.onnx", "'logits'", "--map-output logits=scores"),
    ("five_classes.onnx", "(64, 5)", "--map-output"),
    ("two_outputs.onnx", "'features'", "--map-output"),
]
OTHER_INPUTS = ["wide_input.onnx", "integers.onnx"]


@pytest.fixture(scope="module")
def compared(run_all: RunAll) -> dict[str, Outcome]:
    """The original compared with what cannot be run, or not beside it."""
    names = [*(name for name, *_ in CANNOT_RUN + DIFFERENT), *OTHER_INPUTS]
    only = ("--only", "size,divergence", "--json")
    return run_all({name: ("compare", "original.onnx", name, *only) for name in names})


@pytest.mark.parametrize(("name", "said", "hint"), CANNOT_RUN)
def test_a_model_that_cannot_be_run_is_still_counted(
    compared: dict[str, Outcome], files: Path, name: str, said: str, hint: str
) -> None:
    report = compared[name].broke(name, said, code=2, hint=hint)
    assert report["error"]["model"] == name
    assert report["error"]["stage"] == "load"
    assert report["original"]["parameters"] == 12
    assert report["compressed"]["file_bytes"] == (files / name).stat().st_size
    assert report["alpha"]["file_bytes"] > 0
    assert report["divergence"] is None
    assert {"divergence", "delta"} <= {skipped["metric"] for skipped in report["skipped"]}


@pytest.mark.parametrize(("name", "said", "hint"), DIFFERENT)
def test_outputs_that_do_not_answer_each_other(
    compared: dict[str, Outcome], name: str, said: str, hint: str
) -> None:
    report = compared[name].broke(said, code=2, hint=hint)
    assert report["divergence"] is None
    assert report["alpha"]["parameters"] is not None


def test_the_hint_about_outputs_works(run: Run) -> None:
    report = run(
        *("compare", "original.onnx", "renamed_output.onnx", "--only", "divergence"),
        *("--map-output", "logits=scores", "--json"),
    ).done()
    assert report["divergence"]["outputs"]["logits"]["max_abs_error"] == 0


@pytest.mark.parametrize("name", OTHER_INPUTS)
def test_inputs_that_do_not_suit_both_models(compared: dict[str, Outcome], name: str) -> None:
    report = compared[name].broke(name, "'input'", code=2)
    assert report["error"]["code"] == "inputs-do-not-fit"


def test_an_open_size_wants_input_shape_and_takes_it(run: Run) -> None:
    pair = ("compare", "open_input.onnx", "open_input.onnx", "--only", "divergence", "--json")
    run(*pair).broke("'features'", code=2, hint="--input-shape input=")
    report = run(*pair, "--input-shape", "input=1x4").done()
    assert report["divergence"]["source"] == "synthetic"


def test_identical_models_on_synthetic_inputs(run: Run) -> None:
    report = run("compare", "original.onnx", "original.onnx", "--skip", "latency", "--json").done()
    assert report["alpha"]["file_bytes"] == report["alpha"]["parameters"] == 1
    assert report["divergence"]["outputs"]["logits"]["max_abs_error"] == 0
    assert report["original"]["sha256"] == report["compressed"]["sha256"]
    assert report["accuracy"] is None
    assert "CA302" in {finding["code"] for finding in report["findings"]}
