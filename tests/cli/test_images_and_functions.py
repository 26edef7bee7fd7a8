"""Audits on folders of images, and on what the user's own function yields."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image

if TYPE_CHECKING:
    from tests.cli.conftest import Run

LOADERS = """
import numpy as np

def shuffled():
    inputs = np.random.default_rng().random((40, 4), np.float32)
    for start in range(0, 40, 8):
        yield inputs[start:start + 8], np.arange(8) % 3

def endless():
    while True:
        yield {"input": np.ones((8, 4), np.float32), "labels": np.zeros(8, int)}

def fails():
    yield np.ones((8, 4), np.float32)
    raise RuntimeError("the disk is gone")

def sentences():
    yield {"input_ids": [[0, 1, 2, 3], [1, 2, 3]]}
"""

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size,macs,divergence,accuracy")
COLOURS = ("compare", "colours.onnx", "blind.onnx", "--only", "size,macs,divergence,accuracy")


@pytest.fixture(scope="module")
def here(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, loaders, and models for both, in a folder of their own."""
    here = tmp_path_factory.mktemp("here")
    for name in ("original.onnx", "compressed.onnx"):
        shutil.copy(files / name, here)
    (here / "loaders.py").write_text(LOADERS)
    for name, colour, suffix in (("green", (0, 255, 0), "png"), ("red", (255, 0, 0), "jpg")):
        (here / "colours" / name).mkdir(parents=True)
        for place in range(3):
            # All of one size once resized and cropped to 8 × 8.
            image = Image.new("RGB", (16 + place, 12), colour)
            image.save(here / "colours" / name / f"{place}.{suffix}", quality=95)
    whole = (here / "colours" / "red" / "0.jpg").read_bytes()
    (here / "colours" / "red" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (here / "small.toml").write_text("resize = 8\ncrop = 8\n")
    # What is green is class 0, what is red is class 1; the blind one says 0 whatever it sees.
    _save(here / "colours.onnx", _sums(np.float32([[0, 1], [1, 0], [0, 0]])))
    _save(here / "blind.onnx", _sums(np.float32([[1, 0], [1, 0], [1, 0]])))
    for name, certainty in (("words.onnx", 4.0), ("fewer_words.onnx", 3.0)):
        _save(here / name, _next_word(certainty))
    return here


@pytest.fixture(scope="module")
def run_here(run: Run, here: Path) -> Run:
    """The command, in that folder."""
    return partial(run, cwd=here)


def _save(path: Path, graph: Any) -> None:
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))


def _sums(weights: np.ndarray) -> Any:
    """The mean of every channel, weighted by class."""
    return helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("N", 3, 8, 8))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("N", 2))],
        initializer=[numpy_helper.from_array(weights, "weights")],
    )


def _next_word(certainty: float) -> Any:
    """Of eight words each is followed by the next."""
    table = np.roll(np.eye(8, dtype=np.float32) * np.float32(certainty), 1, axis=1)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ("N", "length"))
    return helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        "graph",
        [ids],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("N", "length", 8))],
        initializer=[numpy_helper.from_array(table, "table")],
    )


# ------------------------------------------------------------------------------------- images


def test_a_folder_of_images(run_here: Run) -> None:
    report = run_here(*COLOURS, "--data", "colours", "--preprocess", "small.toml", "--json").done()
    accuracy = report["accuracy"]
    assert accuracy["samples"] == 6
    assert accuracy["top1"]["original"]["value"] == 1.0
    assert accuracy["top1"]["compressed"]["value"] == 0.5
    assert accuracy["flips"] == {"broken": 3, "fixed": 0}
    data = report["data"]
    assert (data["kind"], data["uri"], data["labels"]) == ("images", "colours", "labels")
    assert data["skipped_samples"] == 1
    (skipped,) = data["skipped"]
    assert skipped["name"] == "red/cut.jpg"


def test_images_of_different_sizes_want_a_preprocess(run_here: Run) -> None:
    outcome = run_here(*COLOURS, "--data", "colours", "--json")
    outcome.broke("(3, 12, 16)", code=2, hint="")


def test_images_that_do_not_fit_the_model(run_here: Run) -> None:
    options = ("--data", "colours", "--preprocess", "imagenet", "--json")
    run_here(*COLOURS, *options).broke("(3, 224, 224)", "(N, 3, 8, 8)", code=2)


def test_a_mistyped_setting_is_told_at_once(here: Path, run_here: Run) -> None:
    (here / "mistyped.toml").write_text("croop = 8")
    options = ("--data", "colours", "--preprocess", "mistyped.toml", "--json")
    assert run_here(*COLOURS, *options).refused("croop", hint="'crop'") == "bad-preprocess"


# ----------------------------------------------------------------------------------- functions


def test_a_function_that_shuffles_feeds_both_models_the_same(run_here: Run) -> None:
    pair = ("compare", "original.onnx", "original.onnx", *PAIR[3:])
    report = run_here(*pair, "--data", "loaders:shuffled", "--json").done()
    assert report["data"]["kind"] == "function"
    assert report["data"]["samples"] == 40
    assert report["accuracy"]["samples"] == 40
    assert report["accuracy"]["flips"] == {"broken": 0, "fixed": 0}
    assert report["divergence"]["outputs"]["logits"]["max_abs_error"] == 0


def test_a_limit_ends_an_endless_function(run_here: Run) -> None:
    report = run_here(*PAIR, "--data", "loaders:endless", "--limit", "20", "--json").done()
    assert report["data"]["samples"] == 20


def test_a_function_that_fails(run_here: Run) -> None:
    outcome = run_here(*PAIR, "--data", "loaders:fails", "--json")
    assert outcome.refused("batch 2, after 8 samples", "the disk is gone") == "function-failed"


def test_an_endless_function_meets_the_timeout(run_here: Run) -> None:
    outcome = run_here(*PAIR, "--data", "loaders:endless", "--timeout", "3s", "--json")
    assert outcome.refused("did not end within", hint="--limit") == "data-timeout"


def test_sequences_of_different_lengths(run_here: Run) -> None:
    pair = ("compare", "words.onnx", "fewer_words.onnx", *PAIR[3:])
    options = ("--data", "loaders:sentences", "--task", "causal-lm", "--json")
    accuracy = run_here(*pair, *options).done()["accuracy"]
    # Of four words the model predicts three, of three words two.
    assert accuracy["language"]["sequences"] == 2
    assert accuracy["language"]["tokens"] == 5
    # Softmax of one 4 (or 3) among seven zeros: the perplexity is 1 + 7 e⁻⁴ (e⁻³).
    perplexity = accuracy["perplexity"]
    assert perplexity["original"]["value"] == pytest.approx(1 + 7 * np.exp(-4), rel=1e-6)
    assert perplexity["compressed"]["value"] == pytest.approx(1 + 7 * np.exp(-3), rel=1e-6)
