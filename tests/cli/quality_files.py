"""Data, loaders and metrics for the tests of the quality half, good and bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SAMPLES = 40

LOADERS = '''
"""Functions for --data; those that are no good say so in their names."""

import itertools

import numpy

random = numpy.random.default_rng(3)
INPUTS = random.normal(size=(40, 4)).astype(numpy.float32)
LABELS = random.integers(0, 3, 40)
a_number = 3


def pairs():
    for start in range(0, 40, 16):
        yield INPUTS[start : start + 16], LABELS[start : start + 16]


def dicts():
    return [{"input": INPUTS.tolist(), "labels": LABELS.tolist()}]


def leaving():
    yield INPUTS[:10], LABELS[:10]
    raise SystemExit(0)


def endless():
    for _ in itertools.count():
        yield INPUTS[:10], LABELS[:10]


def hanging():
    yield INPUTS[:10], LABELS[:10]
    while True:
        pass


def raising():
    yield INPUTS[:10], LABELS[:10]
    raise OSError("the disk is gone")


def raising_at_once():
    raise KeyError("column")


def yielding_nothing():
    yield from ()


def returning_nothing():
    pass


def text():
    yield {"input": INPUTS, "review": ["good"] * 40}


def lengths():
    yield INPUTS, LABELS[:-1]


def changing():
    yield INPUTS[:10], LABELS[:10]
    yield INPUTS[:10, :3], LABELS[:10]


def needing(path):
    yield INPUTS
'''

METRICS = '''
"""Functions for --metric; those that are no good say so in their names."""

import numpy


def exact(outputs, labels):
    return outputs["logits"].argmax(axis=-1) == labels


def margin(outputs, labels):
    ordered = numpy.sort(outputs["logits"], axis=-1)
    return ordered[:, -1] - ordered[:, -2]


def raising(outputs, labels):
    raise ZeroDivisionError("division by zero")


def wrong_output(outputs, labels):
    return outputs["scores"].sum(axis=-1)


def one_number(outputs, labels):
    return float(outputs["logits"].mean())


def text(outputs, labels):
    return ["good"] * len(outputs["logits"])


def nothing(outputs, labels):
    pass


def sometimes_nan(outputs, labels):
    scores = outputs["logits"].max(axis=-1).astype(float)
    scores[labels == 1] = numpy.nan
    return scores
'''


def write_all(folder: Path) -> None:
    """All of them, beside the models of ``conftest.py``."""
    (folder / "loaders.py").write_text(LOADERS, encoding="utf-8")
    (folder / "metrics.py").write_text(METRICS, encoding="utf-8")
    (folder / "broken_module.py").write_text("import no_such_package\n", encoding="utf-8")
    (folder / "no_python.py").write_text("def (:\n", encoding="utf-8")
    _write_labels(folder)
    _write_other_kinds(folder)
    _write_images(folder)
    _write_tokens(folder)
    _write_logarithms(folder)


def _write_labels(folder: Path) -> None:
    random = np.random.default_rng(3)
    inputs = random.normal(size=(SAMPLES, 4)).astype(np.float32)
    labels = random.integers(0, 3, SAMPLES)
    targets = random.normal(size=(SAMPLES, 3)).astype(np.float32)
    some_nan = targets.copy()
    some_nan[7] = np.nan
    for name, given in {
        "one_hot": np.eye(3)[labels],
        "one_hot_whole": np.eye(3, dtype=np.int64)[labels],
        "text_labels": labels.astype("U3"),
        "fractions": labels + 0.5,
        "negative": labels - 1,
        "too_large": np.where(np.arange(SAMPLES) == 11, 3, labels),
        "targets": targets,
        "nan_targets": some_nan,
        "other_targets": targets[:, :2],
    }.items():
        np.savez(folder / f"{name}.npz", input=inputs, labels=given)
    np.savez(folder / "one_sample.npz", input=inputs[:1], labels=labels[:1])
    strange = inputs.copy()
    strange[5] = np.inf
    np.savez(folder / "strange.npz", input=strange, labels=labels)


def _write_other_kinds(folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    random = np.random.default_rng(3)
    inputs = random.normal(size=(SAMPLES, 4)).astype(np.float32)
    labels = random.integers(0, 3, SAMPLES)
    rows = [
        {"input": row.tolist(), "labels": int(label)}
        for row, label in zip(inputs, labels, strict=True)
    ]
    (folder / "good.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "cut.jsonl").write_text(json.dumps(rows[0]) + '\n{"input": [1, 2', "utf-8")
    (folder / "other_keys.jsonl").write_text(
        json.dumps(rows[0]) + "\n" + json.dumps({"inputs": [1, 2, 3, 4]}) + "\n", "utf-8"
    )
    table = pyarrow.table({"input": inputs.tolist(), "labels": labels})
    parquet.write_table(table, folder / "good.parquet")
    whole = (folder / "good.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    shards = folder / "shards"
    shards.mkdir()
    for number in range(4):
        part = slice(10 * number, 10 * number + 10)
        np.savez(shards / f"part-{number}.npz", input=inputs[part], labels=labels[part])
    (folder / "empty_folder").mkdir()


def _write_images(folder: Path) -> None:
    random = np.random.default_rng(5)
    for name, broken in (("photos", 0), ("some_broken", 2), ("all_broken", 6)):
        for place in range(6):
            path = folder / name / ("cat", "dog")[place % 2] / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if place < broken:
                path.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
            else:
                pixels = random.integers(0, 256, (10, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
    (folder / "preprocess.toml").write_text("resize = [8, 8]\n", encoding="utf-8")
    (folder / "mistyped.toml").write_text("resise = [8, 8]\n", encoding="utf-8")
    weights = random.normal(size=(192, 2)).astype(np.float32) / 14
    for name, given in (("photo.onnx", weights), ("photo_small.onnx", weights.round(1))):
        (folder / name).write_bytes(_of_images(given).SerializeToString())


def _of_images(weights: np.ndarray[Any, Any]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Flatten", ["image"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "weights"], ["logits"]),
    ]
    shape = ["N", 3, 8, 8]
    return _model(nodes, {"weights": weights}, ("image", TensorProto.FLOAT, shape), ["N", 2])


def _write_tokens(folder: Path) -> None:
    """A language model of twelve words: the score of the next one depends on the last one."""
    random = np.random.default_rng(7)
    table = random.normal(size=(12, 12)).astype(np.float32)
    for name, given in (("words.onnx", table), ("words_small.onnx", table.round(1))):
        node = helper.make_node("Gather", ["table", "input_ids"], ["logits"])
        shape = ["N", "tokens"]
        model = _model(
            [node], {"table": given}, ("input_ids", TensorProto.INT64, shape), [*shape, 12]
        )
        (folder / name).write_bytes(model.SerializeToString())
    lengths = random.integers(5, 30, 24)
    lines = [{"input_ids": random.integers(0, 12, length).tolist()} for length in lengths]
    (folder / "words.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    lines[17]["input_ids"][3] = 12
    (folder / "foreign_words.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), "utf-8"
    )
    few = _model(
        [helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        {"table": table[:10]},
        ("input_ids", TensorProto.INT64, ["N", "tokens"]),
        ["N", "tokens", 12],
    )
    (folder / "words_cut.onnx").write_bytes(few.SerializeToString())


def _write_logarithms(folder: Path) -> None:
    """The same sums; the compressed model takes the logarithm of some that are negative."""
    weights = np.eye(4, 3, dtype=np.float32)
    for name, operator in (("exponent.onnx", "Exp"), ("logarithm.onnx", "Log")):
        nodes = [
            helper.make_node("MatMul", ["input", "weights"], ["hidden"]),
            helper.make_node(operator, ["hidden"], ["logits"]),
        ]
        given = ("input", TensorProto.FLOAT, ["N", 4])
        model = _model(nodes, {"weights": weights}, given, ["N", 3])
        (folder / name).write_bytes(model.SerializeToString())
    inputs = np.abs(np.random.default_rng(11).normal(size=(20, 4))).astype(np.float32) + 0.1
    inputs[6] = -inputs[6]
    np.savez(folder / "mostly_positive.npz", input=inputs, labels=np.arange(20) % 3)


def _model(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray[Any, Any]],
    given: tuple[str, int, list[Any]],
    output: list[Any],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*given)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, output)],
        initializer=[numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
