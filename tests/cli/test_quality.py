"""What --data, --task, --metric, --worst, --workers and --trace give, from the real command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run, RunAll

PAIR = ("compare", "original.onnx", "compressed.onnx", "--only", "divergence,accuracy", "--json")
WORDS = ("compare", "words.onnx", "words_small.onnx", "--only", "divergence,accuracy", "--json")


KINDS = {
    "good.jsonl": "jsonl",
    "good.parquet": "parquet",
    "shards": None,
    "loaders:pairs": None,
    "loaders.py:dicts": None,
}


@pytest.mark.slow
def test_the_same_samples_give_the_same_figures_however_they_are_stored(
    run_all: RunAll, quality_files: Path
) -> None:
    reports = {
        name: outcome.done()
        for name, outcome in run_all(
            {name: (*PAIR, "--data", name) for name in ("data.npz", *KINDS)}
        ).items()
    }
    expected = reports["data.npz"]
    assert expected["data"]["kind"] == "npz"
    for name, kind in KINDS.items():
        report = reports[name]
        assert report["accuracy"] == expected["accuracy"], name
        assert report["divergence"] == expected["divergence"], name
        assert report["data"]["samples"] == 40
        assert report["data"]["labels"] == "labels"
        assert report["data"]["kind"] == (kind or report["data"]["kind"])
        assert report["data"]["kind"]


def test_an_endless_loader_ends_at_the_limit(run: Run, quality_files: Path) -> None:
    report = run(*PAIR, "--data", "loaders:endless", "--limit", "25").done()
    assert report["accuracy"]["samples"] == 25


def test_images_with_their_classes(run: Run, quality_files: Path) -> None:
    pair = ("compare", "photo.onnx", "photo_small.onnx", "--only", "divergence,accuracy")
    options = ("--data", "photos", "--preprocess", "preprocess.toml")
    report = run(*pair, *options, "--json").done()
    assert report["data"]["kind"] == "images"
    assert {found["name"] for found in report["accuracy"]["per_class"]} == {"cat", "dog"}
    assert all("/" in sample["name"] for sample in report["worst"])


@pytest.mark.slow
def test_what_the_data_holds_beside_is_named(run: Run, quality_files: Path, tmp_path: Path) -> None:
    inputs = np.load(quality_files / "data.npz")
    np.savez(tmp_path / "other_name.npz", features=inputs["input"], labels=inputs["labels"])
    np.savez(tmp_path / "more.npz", **inputs, ids=np.arange(len(inputs["labels"])))
    for name, note in (
        ("other_name.npz", "features: feeds the input 'input' of both models"),
        ("more.npz", "ids: left out, no model takes an input of that name"),
    ):
        data = ("--data", str(tmp_path / name))
        assert run(*PAIR, *data).done()["data"]["notes"] == [note]
        table = run(*PAIR[:-1], *data).stdout
        assert note in " ".join(table.split())


def test_values_that_were_converted_are_noted(run: Run, quality_files: Path) -> None:
    """JSON has no float32; the model wants it."""
    report = run(*PAIR, "--data", "good.jsonl").done()
    assert any("float64 → float32" in note for note in report["data"]["notes"])
    assert run(*PAIR, "--data", "data.npz").done()["data"]["notes"] == []


@pytest.fixture(scope="module")
def language(run: Run, quality_files: Path) -> dict[str, Any]:
    return run(*WORDS, "--data", "words.jsonl", "--task", "causal-lm").done()


def test_perplexity_is_what_numpy_says(language: dict[str, Any], quality_files: Path) -> None:
    import json

    table = np.random.default_rng(7).normal(size=(12, 12)).astype(np.float32)
    lines = (quality_files / "words.jsonl").read_text().splitlines()
    for which, scores in (("original", table), ("compressed", table.round(1))):
        scores = scores.astype(float)
        log = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        losses = [
            -log[now, then]
            for line in lines
            for now, then in zip(*_shifted(json.loads(line)["input_ids"]), strict=True)
        ]
        figures = language["accuracy"]["perplexity"][which]
        assert figures["value"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-6)
        assert language["accuracy"]["language"]["tokens"] == len(losses)
    assert language["accuracy"]["language"]["sequences"] == 24
    assert language["divergence"]["per"] == "token"
    assert language["data"]["labels"] == "input_ids"


def _shifted(tokens: list[int]) -> tuple[list[int], list[int]]:
    return tokens[:-1], tokens[1:]


def test_perplexity_can_be_required(run: Run, quality_files: Path) -> None:
    command = (*WORDS, "--data", "words.jsonl", "--task", "causal-lm", "--require")
    run(*command, "accuracy.language.perplexity_ratio <= 2").done(code=0)
    run(*command, "accuracy.language.perplexity_ratio <= 0.5").done(code=1)


def test_the_language_table_fits(run: Run, quality_files: Path) -> None:
    command = [part for part in WORDS if part != "--json"]
    outcome = run(*command, "--data", "words.jsonl", "--task", "causal-lm", env={"COLUMNS": "80"})
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "perplexity ratio" in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 80


def test_embeddings_need_no_labels(run: Run, quality_files: Path) -> None:
    report = run(*PAIR, "--data", "unlabelled.npz", "--task", "embedding").done()
    assert 0.9 < report["divergence"]["embeddings"]["cosine"]["value"] <= 1
    assert report["divergence"]["embeddings"]["neighbour_overlap"]["value"] > 0.5
    assert report["divergence"]["kl"] is None
    assert report["accuracy"] is None


def test_metrics_of_ones_own(run: Run, quality_files: Path) -> None:
    metrics = ("--metric", "metrics:exact", "--metric", "metrics.py:margin")
    report = run(*PAIR, "--data", "data.npz", *metrics).done()
    custom = report["accuracy"]["custom"]
    assert set(custom) == {"exact", "margin"}
    top1 = report["accuracy"]["top1"]
    for which in ("original", "compressed"):
        assert custom["exact"][which]["value"] == pytest.approx(top1[which]["value"])
    assert custom["margin"]["original"]["value"] > 0
    passed = run(
        *PAIR, "--data", "data.npz", *metrics, "--require", "accuracy.custom.exact.delta >= -100 pp"
    )
    assert passed.done()["gate"]["status"] == "passed"


def test_nothing_about_accuracy_passes_on_made_up_inputs(run: Run, quality_files: Path) -> None:
    metrics = ("--metric", "metrics:margin")
    requirement = ("--require", "accuracy.custom.margin.delta >= -1000")
    report = run(*PAIR, *metrics, *requirement).document
    assert report["gate"]["status"] == "inconclusive"


@pytest.mark.parametrize("listed", [0, 3, 40])
def test_so_many_of_the_worst_samples_are_listed(
    run: Run, quality_files: Path, listed: int
) -> None:
    report = run(*PAIR, "--data", "data.npz", "--worst", str(listed)).done()
    worst = report["worst"]
    assert len(worst) <= listed
    if listed == 3:
        assert len(worst) == 3
    assert [sample["name"] for sample in worst] == [str(sample["index"]) for sample in worst]
    reasons = {one["metric"]: one["reason"] for one in report["skipped"]}
    assert (reasons.get("worst") == "left out by --worst 0") == (listed == 0)


@pytest.mark.slow
def test_workers_and_the_cache_change_no_figure(
    run_all: RunAll, quality_files: Path, tmp_path: Path
) -> None:
    where = {"XDG_CACHE_HOME": str(tmp_path)}
    alone = run_all({0: (*PAIR, "--data", "data.npz", "--no-cache")}, env=where)[0].done()
    assert not (tmp_path / "compaudit").exists()
    two = run_all({0: (*PAIR, "--data", "data.npz", "--workers", "2")}, env=where)[0].done()
    kept = run_all({0: (*PAIR, "--data", "data.npz")}, env=where)[0].done()
    for report in (two, kept):
        for key in ("top1", "top5", "flips", "per_class"):
            assert report["accuracy"][key] == alone["accuracy"][key]
        assert report["worst"] == alone["worst"]
        for name in ("kl", "js"):
            mean = report["divergence"][name]["mean"]["value"]
            assert mean == pytest.approx(alone["divergence"][name]["mean"]["value"], rel=1e-12)


def test_the_way_through_the_network(run: Run, quality_files: Path) -> None:
    pair = ("compare", "photo.onnx", "photo_small.onnx", "--only", "divergence", "--json")
    report = run(*pair, "--trace").done()
    assert report["trace"][-1]["name"] == "logits"
    assert report["trace"][-1]["sqnr_db"] > 0
    reasons = {one["metric"] for one in run(*pair).done()["skipped"]}
    assert "trace" in reasons


def test_a_trace_has_a_table(run: Run, quality_files: Path) -> None:
    pair = ("compare", "photo.onnx", "photo_small.onnx", "--only", "divergence")
    outcome = run(*pair, "--trace")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert "Where the outputs begin to differ" in outcome.stdout


def test_outputs_that_are_not_numbers_are_located(run: Run, quality_files: Path) -> None:
    """Of sample 6 the logarithm of three negative numbers is taken."""
    pair = ("compare", "exponent.onnx", "logarithm.onnx", "--only", "divergence,accuracy", "--json")
    report = run(*pair, "--data", "mostly_positive.npz").broke("3 values", "first for sample 6")
    (found,) = [one for one in report["findings"] if one["code"] == "CA402"]
    assert found["severity"] == "error"
    assert "holds 3 values that are not numbers" in found["detail"]
    assert found["detail"].endswith("first in sample 6")
    assert report["divergence"]["kl"] is None
    assert report["accuracy"]["cross_entropy"] is None
    assert report["worst"][0]["index"] == 6


AUDITS: dict[str, tuple[str, ...]] = {
    "classes": (*PAIR, "--data", "data.npz"),
    "numbers": (*PAIR, "--data", "targets.npz"),
    "vectors": (*PAIR, "--data", "unlabelled.npz", "--task", "embedding"),
    "one sample": (*PAIR, "--data", "one_sample.npz"),
    "own figures": (*PAIR, "--data", "unlabelled.npz", "--metric", "metrics:margin"),
    "made up": PAIR,
    "no numbers": (
        *("compare", "exponent.onnx", "logarithm.onnx", "--only", "divergence,accuracy"),
        *("--json", "--data", "mostly_positive.npz", "--trace"),
    ),
    "tokens": (*WORDS, "--data", "words.jsonl", "--task", "causal-lm"),
}
"""What may be empty without any reason: a list of what went wrong, or was done."""
MAY_BE_EMPTY = ("data.skipped", "data.notes", "data.uri")


def unexplained(report: dict[str, Any]) -> list[str]:
    """The paths of null and empty values that `skipped` does not explain, with what holds them."""
    told = {one["metric"] for one in report["skipped"]}
    # Without an interval of the change there is none of either model, no test and no worst case.
    for path in [path for path in told if path.endswith(".low")]:
        metric = path.removesuffix(".low").removesuffix(".delta")
        sides = (metric, f"{metric}.delta", f"{metric}.original", f"{metric}.compressed")
        leaves = ("low", "high", "p_value", "worst_case")
        told |= {f"{side}.{leaf}" for side in sides for leaf in leaves}
    missing = []

    def walk(value: Any, path: str, *around: str) -> None:
        if value is None or value in ([], {}):
            if not {path, *around} & told and path not in MAY_BE_EMPTY:
                missing.append(path)
        elif isinstance(value, dict):
            for key, inner in value.items():
                quoted = f'["{key}"]' if path.endswith(("outputs", "custom")) else f".{key}"
                walk(inner, f"{path}{quoted}", path, *around)

    for key in ("accuracy", "divergence", "worst", "trace", "data"):
        walk(report[key], key)
    return missing


@pytest.fixture(scope="module")
def audits(run_all: RunAll, quality_files: Path) -> dict[str, Any]:
    return run_all(AUDITS)


@pytest.mark.parametrize("name", AUDITS)
def test_nothing_is_null_without_a_reason(audits: dict[str, Any], name: str) -> None:
    outcome = audits[name]
    report = outcome.broke("no numbers") if name == "no numbers" else outcome.done()
    assert unexplained(report) == []
