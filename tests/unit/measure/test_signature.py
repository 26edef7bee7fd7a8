from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compaudit.config import Config
from compaudit.data.base import Feed
from compaudit.errors import RequestError
from compaudit.measure.accuracy import choose_task
from compaudit.measure.signature import (
    Samples,
    choose_samples,
    common_batch,
    feeds_of,
    require_labels,
)
from compaudit.models.base import Value
from compaudit.workers.workspace import Loaded


def loaded(*inputs: Value) -> Loaded:
    return Loaded(0.0, inputs, (), True, ())


def config(**changes: Any) -> Config:
    return Config(original="o", compressed="c", **changes)


def labelled(tmp_path: Path, labels: Any, name: str = "labels") -> Samples:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((len(labels), 2)), **{name: np.asarray(labels)})
    return choose_samples(config(data=str(path)), [("o", loaded(Value("x", "", None)), None)])


# ---------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("name", ["labels", "label"])
def test_labels_are_found_and_not_fed(tmp_path: Path, name: str) -> None:
    samples = labelled(tmp_path, [3, 1, 2], name)
    assert samples.labels == name
    assert [array.name for array in samples.inputs] == ["x"]
    answers = samples.labels_of(1, 3)
    assert answers is not None
    assert answers.tolist() == [1, 2]


def test_no_labels(tmp_path: Path) -> None:
    samples = labelled(tmp_path, [3, 1, 2], "targets")
    assert samples.labels is None
    assert samples.labels_of(0, 3) is None
    require_labels(config(), samples)
    with pytest.raises(RequestError, match="no labels") as caught:
        require_labels(config(measurements=("accuracy",)), samples)
    assert "'labels'" in caught.value.hint


def test_synthetic_inputs_take_shapes_from_either_model() -> None:
    open_, said = loaded(Value("x", "", None)), loaded(Value("y", "float32", ("N", 3)))
    samples = choose_samples(config(), [("o", open_, None), ("c", said, None)])
    assert samples.request.uri is None
    assert [(a.dtype, a.shape) for a in samples.inputs] == [("float32", (3,))]
    assert samples.labels is None


def test_input_shape_completes_a_model_that_declares_none() -> None:
    chosen = config(input_shapes={"x": (1, 3)})
    samples = choose_samples(chosen, [("o", loaded(Value("x", "", None)), None)])
    assert feeds_of(chosen, "o", loaded(Value("x", "", None)), samples) == (
        Feed("x", "x", "float32", None),
    )


def test_input_shape_of_an_unknown_input() -> None:
    chosen = config(input_shapes={"y": (1, 3)})
    one = loaded(Value("x", "float32", ("N", 3)))
    samples = choose_samples(chosen, [("o", one, None)])
    with pytest.raises(RequestError, match="'y'") as caught:
        feeds_of(chosen, "o", one, samples)
    assert "'x'" in caught.value.hint


# -------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize(
    ("labels", "declared", "task"),
    [
        (np.int64([0, 1]), "auto", "classification"),
        (np.uint8([0, 1]), "auto", "classification"),
        (np.array([True, False]), "auto", "classification"),
        (np.int64([[0], [1]]), "auto", "classification"),
        (np.int64([[0], [1]]), "classification", "classification"),
        (np.float32([0, 1]), "auto", "regression"),
        (np.float64([[0, 1], [2, 3]]), "auto", "regression"),
        (np.int64([[0, 1], [2, 3]]), "regression", "regression"),
        (np.float32([0, 1]), "embedding", "embedding"),
    ],
)
def test_task(tmp_path: Path, labels: Any, declared: Any, task: str) -> None:
    assert choose_task(declared, labelled(tmp_path, labels)) == task


def test_yes_and_no_are_classes(tmp_path: Path) -> None:
    answers = labelled(tmp_path, [True, False]).labels_of(0, 2)
    assert answers is not None
    assert answers.dtype == np.int64
    assert answers.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "declared", "hint"),
    [
        (np.int64([[0, 1], [1, 0]]), "auto", "argmax"),  # one-hot
        (np.float32([[0, 1], [1, 0]]), "classification", "argmax"),
        (np.float32([0, 1]), "classification", "astype(int)"),
        (np.array(["cat", "dog"]), "auto", "class indices"),
        (np.float32([0, np.nan]), "auto", "leave out"),
        (np.float32([0, np.inf]), "regression", "leave out"),
    ],
)
def test_labels_that_suit_no_task(tmp_path: Path, labels: Any, declared: Any, hint: str) -> None:
    with pytest.raises(RequestError) as caught:
        choose_task(declared, labelled(tmp_path, labels))
    assert caught.value.code == "labels-do-not-fit"
    assert hint in caught.value.hint


# ------------------------------------------------------------------------------ common_batch


def fed(**batches: int | None) -> list[tuple[str, tuple[Feed, ...]]]:
    return [(name, (Feed("x", "x", "float32", batch),)) for name, batch in batches.items()]


@pytest.mark.parametrize(
    ("asked", "batches", "expected"),
    [
        (None, {"a": None, "b": None}, 1),
        (8, {"a": None, "b": None}, 8),
        (None, {"a": None, "b": 4}, 4),
        (4, {"a": 4, "b": None}, 4),
        (None, {"a": 1}, 1),
    ],
)
def test_one_timed_inference_takes_equally_many_samples_of_each_model(
    asked: int | None, batches: dict[str, int | None], expected: int
) -> None:
    assert common_batch(config(batch_size=asked), fed(**batches)) == expected


@pytest.mark.parametrize(("asked", "batches"), [(None, {"a": 1, "b": 4}), (8, {"a": 4, "b": None})])
def test_batch_sizes_that_cannot_be_compared(
    asked: int | None, batches: dict[str, int | None]
) -> None:
    with pytest.raises(RequestError) as caught:
        common_batch(config(batch_size=asked), fed(**batches))
    assert caught.value.code == "batch-sizes-differ"
