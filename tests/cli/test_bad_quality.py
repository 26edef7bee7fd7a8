"""Labels, loaders, images and metrics that are no good: one sentence, a hint, exit 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Outcome, Run, RunAll

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "size,divergence,accuracy")
PHOTOS = ("compare", "photo.onnx", "photo_small.onnx", "--only", "divergence,accuracy")

# What is seen before a model is run: there is no report but of the error.
REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no function": (("--data", "loaders:"), "loaders:", "--data my_package.loaders"),
    "no module": (("--data", "no_such_module:f"), "no module no_such_module", "PYTHONPATH"),
    "no such function": (("--data", "loaders:pair"), "has no pair", "pairs"),
    "no such file": (("--data", "no_such_file.py:f"), "no file no_such_file.py", "path"),
    "not a function": (("--data", "loaders:a_number"), "is a int, not a function", "function"),
    "broken module": (("--data", "broken_module:f"), "no_such_package", "no_such_package"),
    "no python": (("--data", "no_python.py:f"), "(no_python.py, line 1)", ""),
    "raises at once": (("--data", "loaders:raising_at_once"), "KeyError", "loaders.py, line"),
    "raises later": (
        ("--data", "loaders:raising"),
        "OSError: the disk is gone in batch 2, after 10 samples",
        "loaders.py, line",
    ),
    "hangs": (
        ("--data", "loaders:hanging", "--timeout", "4s"),
        "did not end within 4.00 s",
        "--limit",
    ),
    "ends the process": (
        ("--data", "loaders:leaving"),
        "exit status 0 while yielding samples; 10 samples",
        "in the function",
    ),
    "yields nothing": (("--data", "loaders:yielding_nothing"), "yielding_nothing", ""),
    "returns nothing": (("--data", "loaders:returning_nothing"), "returned nothing", "yield"),
    "yields text": (("--data", "loaders:text"), "text in 'review'", "numbers"),
    "lengths differ": (("--data", "loaders:lengths"), "different numbers of samples", "first"),
    "needs an argument": (("--data", "loaders:needing"), "TypeError", "without arguments"),
    "broken line": (("--data", "cut.jsonl"), "line 2", ""),
    "other keys": (("--data", "other_keys.jsonl"), "line 2", ""),
    "broken parquet": (("--data", "cut.parquet"), "cut.parquet", ""),
    "empty folder": (("--data", "empty_folder"), "empty_folder", "numpy.savez"),
    "no image decodes": (("--data", "all_broken"), "none of the 6 images", ""),
    "preprocess without data": (("--preprocess", "imagenet"), "--preprocess", "folder of images"),
    "preprocess of arrays": (
        ("--data", "data.npz", "--preprocess", "imagenet"),
        "data.npz holds no images",
        "leave --preprocess out",
    ),
    "no preprocess file": (
        ("--data", "photos", "--preprocess", "imagent"),
        "imagent does not exist",
        "--preprocess imagenet",
    ),
    "mistyped preprocess": (
        ("--data", "photos", "--preprocess", "mistyped.toml"),
        "unknown key 'resise'",
        "did you mean 'resize'?",
    ),
    "no metric function": (("--metric", "f1"), "--metric 'f1'", "--metric my_metrics"),
    "workers": (("--workers", "0"), "--workers is 0", "at least 1"),
    "worst": (("--worst", "-1"), "--worst is -1", "at least 0"),
    "task": (("--task", "causal_lm"), "causal_lm", "did you mean 'causal-lm'?"),
}

# What only shows when both models run: the rest of the report is there.
BROKEN: dict[str, tuple[tuple[str, ...], str, str]] = {
    "text labels": (("--data", "text_labels.npz"), "labels", ""),
    "samples of different sizes": (("--data", "loaders:changing"), "differ in size", "pad"),
    "one-hot": (
        ("--data", "one_hot_whole.npz", "--task", "classification"),
        "one class index a sample",
        "argmax(axis=1)",
    ),
    "fractions as classes": (
        ("--data", "fractions.npz", "--task", "classification"),
        "no whole number",
        "--task regression",
    ),
    "negative classes": (
        ("--data", "negative.npz"),
        "is -1, and no class is negative",
        "start at 0",
    ),
    "a class too many": (
        ("--data", "too_large.npz"),
        "the label 3 of sample 11 is none of the models' 3 classes, 0 to 2",
        "start at 0",
    ),
    "one-hot fractions": (
        ("--data", "one_hot.npz"),
        "one-hot: a single 1 in every row",
        "--task regression",
    ),
    "targets that are NaN": (("--data", "nan_targets.npz"), "NaN", "no right answer"),
    "targets of another size": (
        ("--data", "other_targets.npz"),
        "2 numbers a sample",
        "one number for each",
    ),
    "no tokens": (("--data", "data.npz", "--task", "causal-lm"), "", ""),
    "no such metric": (("--data", "data.npz", "--metric", "metrics:f"), "has no f", ""),
    "metric raises": (
        ("--data", "data.npz", "--metric", "metrics:raising"),
        "raised ZeroDivisionError: division by zero",
        "metrics.py, line",
    ),
    "metric wants another output": (
        ("--data", "data.npz", "--metric", "metrics:wrong_output"),
        "KeyError: 'scores'",
        "metrics.py, line",
    ),
    "metric gives one number": (
        ("--data", "data.npz", "--metric", "metrics:one_number"),
        "shape ()",
        "every sample",
    ),
    "metric gives text": (("--data", "data.npz", "--metric", "metrics:text"), "not numbers", ""),
    "metric gives nothing": (
        ("--data", "data.npz", "--metric", "metrics:nothing"),
        "returned None",
        "one number for each sample",
    ),
    "no such output": (
        ("--data", "data.npz", "--model-output", "scores"),
        "'scores'",
        "'logits'",
    ),
}


@pytest.fixture(scope="module")
def outcomes(run_all: RunAll, quality_files: Path) -> dict[str, Outcome]:
    """The good pair with each of these options."""
    return run_all(
        {name: (*PAIR, *options, "--json") for name, (options, *_) in (REFUSED | BROKEN).items()}
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_at_once(outcomes: dict[str, Outcome], name: str) -> None:
    _, said, hint = REFUSED[name]
    assert outcomes[name].refused(said, hint=hint)


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_models_show(outcomes: dict[str, Outcome], name: str) -> None:
    _, said, hint = BROKEN[name]
    report = outcomes[name].broke(said, code=2, hint=hint)
    assert report["accuracy"] is None
    assert report["alpha"]["parameters"] == 1


@pytest.mark.parametrize(
    ("models", "data", "said"),
    [
        (("words.onnx", "words_small.onnx"), "foreign_words.jsonl", "in sample 17, is 12"),
        (("words.onnx", "words_cut.onnx"), "words.jsonl", "table of 10 rows, 0 to 9"),
    ],
)
def test_tokens_of_another_vocabulary(
    run: Run, quality_files: Path, models: tuple[str, str], data: str, said: str
) -> None:
    """Row 12 of a table of twelve words, 0 to 11; and a model that lost its last two words."""
    options = ("--data", data, "--task", "causal-lm", "--only", "divergence,accuracy", "--json")
    outcome = run("compare", *models, *options)
    report = outcome.broke(said, code=2, hint="vocabulary")
    assert report["error"]["code"] == "data-out-of-range"
    assert report["error"]["model"].endswith(models["cut" in models[1]])


def test_images_that_do_not_decode_are_left_out_and_named(run: Run, quality_files: Path) -> None:
    options = ("--data", "some_broken", "--preprocess", "preprocess.toml", "--json")
    report = run(*PHOTOS, *options).done()
    assert report["accuracy"]["samples"] == 4
    assert report["accuracy"]["skipped_samples"] == 2
    data = report["data"]
    assert (data["kind"], data["samples"], data["skipped_samples"]) == ("images", 6, 2)
    assert {one["name"] for one in data["skipped"]} == {"cat/0.png", "dog/1.png"}
    assert all(one["reason"] for one in data["skipped"])
    assert "CA411" in {finding["code"] for finding in report["findings"]}


def test_a_single_sample_decides_nothing_and_breaks_nothing(run: Run, quality_files: Path) -> None:
    options = ("--data", "one_sample.npz", "--require", "accuracy.top1.delta >= -1 pp")
    report = run(*PAIR, *options, "--json").done(code=3)
    assert report["accuracy"]["samples"] == 1
    assert report["accuracy"]["cross_entropy"]["delta"]["low"] is None
    assert report["divergence"]["kl"]["mean"]["low"] is None
    table = run(*PAIR, "--data", "one_sample.npz")
    assert (table.code, table.stderr) == (0, "")
    assert "nan" not in table.stdout.lower()


def test_a_metric_that_is_nan_for_some_is_null_and_says_of_how_many(
    run: Run, quality_files: Path
) -> None:
    options = ("--data", "data.npz", "--metric", "metrics:sometimes_nan", "--json")
    report = run(*PAIR, *options).done()
    assert report["accuracy"]["custom"] == {}
    reasons = {one["metric"]: one["reason"] for one in report["skipped"]}
    assert "NaN or infinite" in reasons['accuracy.custom["sometimes_nan"]']
    assert report["accuracy"]["top1"] is not None


@pytest.mark.slow
def test_a_spoiled_cache_is_made_again(run: Run, quality_files: Path, tmp_path: Path) -> None:
    where = {"XDG_CACHE_HOME": str(tmp_path)}
    command = (*PAIR, "--data", "data.npz", "--json")
    first = run(*command, env=where).done()
    kept = [path for path in (tmp_path / "compaudit").rglob("*") if path.is_file()]
    assert kept
    for spoil in (b"", b"\0" * 64):
        for path in kept:
            path.write_bytes(spoil)
        outcome = run(*command, env=where)
        assert outcome.code == 0
        assert "original.onnx are damaged" in outcome.stderr
        again = outcome.document
        for key in ("accuracy", "divergence", "worst"):
            assert again[key] == first[key]


@pytest.mark.parametrize("place", ["/proc/nothing", "a_file"])
def test_a_cache_that_cannot_be_written_is_no_error(
    run: Run, quality_files: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a_file").touch()
    where = {"XDG_CACHE_HOME": str(tmp_path / place)}
    outcome = run(*PAIR, "--data", "data.npz", "--json", env=where)
    assert outcome.code == 0, outcome
    assert outcome.document["accuracy"]["samples"] == 40
