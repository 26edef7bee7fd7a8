import json
import math
from pathlib import Path
from typing import Any

import canned
import canned_quality
import canned_ranking
import jsonschema
import msgspec
import pytest

from compaudit.results import decode_report, encode_report, json_schema

ROOT = Path(__file__).parents[2]


def test_documents_satisfy_the_schema_and_come_back_equal() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    quality = (
        canned_quality.classification(),
        canned_quality.regression(),
        canned_quality.language(),
        canned_quality.embedding(),
        canned_quality.traced(),
        canned_ranking.ranking(),
        canned_ranking.with_best(),
    )
    for report in (canned.comparison(), canned.inspection(), *quality):
        text = encode_report(report)
        validator.validate(json.loads(text))
        assert decode_report(text) == report


def test_every_key_of_every_struct_is_required() -> None:
    for name, definition in json_schema()["$defs"].items():
        if definition.get("type") == "object" and "properties" in definition:
            assert set(definition["required"]) == set(definition["properties"]), name


def test_the_published_schema_is_the_codes_own() -> None:
    published = json.loads((ROOT / "docs/schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(), "run: make schema"


def test_the_schema_refuses_a_document_without_a_key() -> None:
    document = json.loads(encode_report(canned.comparison()))
    del document["alpha"]["file_bytes"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema())


def test_unknown_keys_are_accepted() -> None:
    document = json.loads(encode_report(canned.comparison()))
    document["added_later"] = {"a": 1}
    document["alpha"]["added_later"] = 2.0
    assert decode_report(json.dumps(document).encode()) == canned.comparison()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_figures_that_json_cannot_hold_are_refused(bad: float) -> None:
    report = canned.comparison()
    alpha = msgspec.structs.replace(report.alpha, weight_bytes=bad)
    with pytest.raises(ValueError, match=r"report\.alpha\.weight_bytes"):
        encode_report(msgspec.structs.replace(report, alpha=alpha))


# The keys that DESIGN §5 promises, written down from there and not from the code.
PROMISED = {
    "": "kind schema_version tool created_at command error original compressed alpha beta "
    "space_saving delta accuracy divergence layers worst trace profile samples findings gate "
    "skipped data environment config",
    "original": "path format sha256 parameters nonzero_parameters sparsity weight_bytes file_bytes "
    "graph_bytes entropy_bytes entropy_bits_per_weight bits_per_weight elements_by_role precision "
    "macs load_s first_inference_s peak_memory_bytes peak_device_memory_bytes latency",
    "original.latency": "median_s mean_s p90_s p99_s device_s throughput_per_s calls batch_size "
    "threads device providers",
    "alpha": "parameters nonzero_parameters weight_bytes file_bytes entropy_bytes macs "
    "coding_limit",
    "beta": "parameters nonzero_parameters weight_bytes file_bytes entropy_bytes macs",
    "delta": "value low high confidence verdict epochs minimal_detectable_effect noise_floor "
    "cpu_time_ratio",
    "accuracy": "task samples skipped_samples top1 top5 cross_entropy calibration_error mse mae r2 "
    "perplexity custom language equivalence flips per_class",
    "accuracy.top1": "original compressed delta",
    "accuracy.top1.delta": "value low high p_value worst_case",
    "accuracy.flips": "broken fixed",
    "divergence": "samples source kl kl_reverse js cross_entropy entropy top1_agreement "
    "top5_agreement outputs per scores embeddings",
    "divergence.kl": "mean p50 p90 p99 p999 max noise_floor",
    "divergence.entropy": "original compressed",
    "gate": "status checks",
    "data": "uri kind digest samples seed labels skipped_samples skipped notes",
}


@pytest.mark.parametrize("path", list(PROMISED))
def test_the_documented_keys_are_there(path: str) -> None:
    value: Any = json.loads(encode_report(canned.comparison()))
    for step in filter(None, path.split(".")):
        value = value[step]
    assert set(PROMISED[path].split()) <= set(value)


# What is only there for some tasks, written down from the brief of each.
OF_A_TASK = {
    "language": (
        "accuracy.language",
        "sequences tokens perplexity_ratio log_perplexity_ratio correlation probability_change",
    ),
    "embedding": (
        "divergence.embeddings",
        "cosine cosine_min cosine_p1 cosine_p10 cosine_p50 neighbour_overlap k compared",
    ),
    "classification": ("accuracy.equivalence", "metric margin status samples"),
}


@pytest.mark.parametrize("task", OF_A_TASK)
def test_the_keys_of_a_task_are_there(task: str) -> None:
    path, keys = OF_A_TASK[task]
    value: Any = json.loads(encode_report(getattr(canned_quality, task)()))
    for step in path.split("."):
        value = value[step]
    assert set(value) == set(keys.split())
