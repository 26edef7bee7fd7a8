from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compaudit.data.base import Answers, ArrayInfo, Dataset
from compaudit.data.labels import NO_ANSWER, find_answers, read_labels


class InMemory(Dataset):
    """Arrays as they are; notes which of them are asked for."""

    kind = "memory"

    def __init__(self, **arrays: Any) -> None:
        self._arrays = {name: np.asarray(values) for name, values in arrays.items()}
        self.samples = len(next(iter(self._arrays.values())))
        self.arrays = tuple(
            ArrayInfo(name, values.dtype.name, values.shape[1:])
            for name, values in self._arrays.items()
        )
        self.broken = {}
        self.asked: list[Collection[str] | None] = []

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        self.asked.append(names)
        return {
            name: values[start:stop].copy()
            for name, values in self._arrays.items()
            if names is None or name in names
        }

    def digest(self) -> str:
        return ""


def infos(**dtypes: str) -> list[ArrayInfo]:
    return [ArrayInfo(name, dtype, (None,)) for name, dtype in dtypes.items()]


# --------------------------------------------------------------------------------- where they are


@pytest.mark.parametrize("task", ["auto", "classification", "regression", "embedding"])
@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (infos(x="float32", labels="int64"), Answers("labels")),
        (infos(label="int64", x="float32"), Answers("label")),
        (infos(input_ids="int64"), None),
        (infos(targets="int64"), None),
    ],
)
def test_labels_go_by_their_name(
    task: str, arrays: list[ArrayInfo], expected: Answers | None
) -> None:
    assert find_answers(task, arrays) == expected


@pytest.mark.parametrize(
    ("arrays", "array", "mask"),
    [
        (infos(input_ids="int64", attention_mask="int64"), "input_ids", "attention_mask"),
        (infos(input_ids="int32", position_ids="int64"), "input_ids", None),
        (infos(tokens="int64", attention_mask="int64"), "tokens", "attention_mask"),
        (infos(tokens="int16", weights="float32"), "tokens", None),
        (
            infos(input_ids="int64", labels="int64", attention_mask="bool"),
            "labels",
            "attention_mask",
        ),
        (infos(input_ids="int64", label="int64"), "label", None),
        (infos(a="int64", b="int64"), None, None),
        (infos(embeddings="float32"), None, None),
    ],
)
def test_a_language_models_answers_are_its_tokens(
    arrays: list[ArrayInfo], array: str | None, mask: str | None
) -> None:
    expected = None if array is None else Answers(array, tokens=True, mask=mask)
    assert find_answers("causal-lm", arrays) == expected


# ----------------------------------------------------------------------------- how they are read


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.int32([3, 1, 2]), np.int32([1, 2])),
        (np.array([True, False, True]), np.int64([0, 1])),
        (np.int64([[3], [1], [2]]), np.int64([1, 2])),
        (np.array([[True], [False], [True]]), np.int64([0, 1])),
        (np.float32([[0.5], [1.5], [2.5]]), np.float32([1.5, 2.5])),
        (np.float32([[1, 0], [0, 1], [1, 0]]), np.float32([[0, 1], [1, 0]])),  # one-hot
        (np.float32([0, np.nan, np.inf]), np.float32([np.nan, np.inf])),
    ],
)
def test_labels(labels: NDArray[Any], expected: NDArray[Any]) -> None:
    data = InMemory(x=np.zeros((3, 9)), labels=labels)
    got = read_labels(data, Answers("labels"), 1, 3)
    assert got is not None
    np.testing.assert_array_equal(got, expected, strict=True)
    assert data.asked == [{"labels"}], "inputs may be dear to read"


def test_no_answers() -> None:
    data = InMemory(x=np.zeros(3))
    assert read_labels(data, None, 0, 3) is None
    assert data.asked == []


def test_tokens() -> None:
    data = InMemory(input_ids=np.int32([[5, 6, 7], [8, 9, 0]]))
    got = read_labels(data, Answers("input_ids", tokens=True), 0, 2)
    np.testing.assert_array_equal(got, np.int64([[5, 6, 7], [8, 9, 0]]), strict=True)


@pytest.mark.parametrize("dtype", ["int64", "bool", "float32"])
def test_tokens_that_are_masked_are_no_answers(dtype: str) -> None:
    mask = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]).astype(dtype)
    data = InMemory(ids=np.arange(16).reshape(4, 4), attention_mask=mask)
    got = read_labels(data, Answers("ids", tokens=True, mask="attention_mask"), 0, 4)
    assert NO_ANSWER == -100
    assert got is not None
    assert got.tolist() == [
        [0, 1, -100, -100],
        [-100, -100, -100, 7],  # nothing stands before 6 that could predict it
        [8, 9, 10, 11],
        [-100] * 4,
    ]
    assert got.dtype == np.int64


def test_answers_given_for_tokens_keep_their_gaps() -> None:
    data = InMemory(
        input_ids=np.int64([[5, 6, 7]]), labels=np.int64([[-100, 6, 7]]), x=np.zeros((1, 1))
    )
    answers = find_answers("causal-lm", data.arrays)
    got = read_labels(data, answers, 0, 1)
    assert got is not None
    assert got.tolist() == [[-100, 6, 7]]


def test_a_sequence_of_one_token_stays_a_sequence() -> None:
    data = InMemory(input_ids=np.int64([[5], [6]]))
    got = read_labels(data, Answers("input_ids", tokens=True), 0, 2)
    assert got is not None
    assert got.shape == (2, 1)
