"""Data that is missing, broken, or for other models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Outcome, Run, RunAll

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size,divergence,accuracy")

UNREADABLE = [
    ("missing.npz", "missing-data", "--data"),
    ("data.csv", "unknown-data", "numpy.savez"),
    ("empty.npz", "unknown-data", "numpy.savez"),
    ("cut.npz", "broken-data", "numpy.savez"),
    ("damaged.npz", "broken-data", "numpy.savez"),
    ("no_samples.npz", "no-samples", "at least one"),
    ("lengths_differ.npz", "data-lengths-differ", "first dimension"),
    ("objects.npz", "object-array", "numbers"),
]


UNSUITABLE = [
    ("other_names.npz", "'input'", "--map-input NAME=input"),
    ("other_shape.npz", "(N, 4)", ""),
    ("text_inputs.npz", "float32", "float32"),
    ("out_of_range.npz", "label 7", "start at 0"),
]


@pytest.fixture(scope="module")
def compared(run_all: RunAll) -> dict[str, Outcome]:
    """A good pair with each of these data files."""
    names = [name for name, *_ in UNREADABLE + UNSUITABLE]
    return run_all({name: (*PAIR, "--data", name, "--json") for name in names})


@pytest.mark.parametrize(("name", "code", "hint"), UNREADABLE)
def test_data_that_cannot_be_read(
    compared: dict[str, Outcome], name: str, code: str, hint: str
) -> None:
    assert compared[name].refused(name, hint=hint) == code
    assert compared[name].document["error"]["stage"] == "data"


@pytest.mark.parametrize(("name", "said", "hint"), UNSUITABLE)
def test_data_that_does_not_fit_the_models(
    compared: dict[str, Outcome], name: str, said: str, hint: str
) -> None:
    report = compared[name].broke(said, code=2, hint=hint)
    assert report["divergence"] is None
    assert report["accuracy"] is None
    assert report["alpha"]["parameters"] == 1


def test_data_without_labels_skips_accuracy(run: Run) -> None:
    report = run(*PAIR, "--data", "unlabelled.npz", "--json").done()
    assert report["accuracy"] is None
    reasons = {skipped["metric"]: skipped["reason"] for skipped in report["skipped"]}
    assert "unlabelled.npz" in reasons["accuracy"]
    assert "labels" in reasons["accuracy"]
    assert report["divergence"]["source"] == "data"


def test_accuracy_alone_wants_labels(run: Run) -> None:
    pair = ("compare", "original.onnx", "compressed.onnx", "--only", "accuracy", "--json")
    report = run(*pair, "--data", "unlabelled.npz").broke("labels", code=2, hint="--data")
    assert report["error"]["code"] == "no-labels"


def test_a_good_audit_has_every_part(run: Run) -> None:
    report = run(*PAIR, "--data", "data.npz", "--limit", "30", "--json").done()
    assert report["accuracy"]["samples"] == 30
    assert report["accuracy"]["task"] == "classification"
    assert report["divergence"]["kl"]["mean"]["value"] > 0
    assert report["data"]["uri"] == "data.npz"
    assert report["gate"]["status"] == "none"


def test_labels_say_what_the_outputs_mean_even_where_accuracy_is_not_asked_for(run: Run) -> None:
    pair = ("compare", "original.onnx", "compressed.onnx", "--only", "divergence", "--json")
    options = ("--data", "other_names.npz", "--map-input", "left=input")
    report = run(*pair, *options).done()
    assert report["accuracy"] is None
    assert report["divergence"]["kl"]["mean"]["value"] > 0
