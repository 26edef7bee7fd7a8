from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compaudit.config import Task
from compaudit.data.base import Answers, ArrayInfo, DataRequest, Dataset
from compaudit.errors import RequestError
from compaudit.measure.accuracy import as_classes, check_range, choose_task
from compaudit.measure.signature import Samples


class Labelled(Dataset):
    """Labels in memory; notes the most that were asked for at once."""

    kind = "memory"

    def __init__(self, labels: NDArray[Any], samples: int | None = None) -> None:
        self._labels = labels
        self.samples = len(labels) if samples is None else samples
        self.arrays = (ArrayInfo("labels", labels.dtype.name, labels.shape[1:]),)
        self.broken: dict[int, str] = {}
        self.most = 0

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        self.most = max(self.most, stop - start)
        places = [place for place in range(start, stop) if place not in self.broken]
        return {"labels": self._labels[[place for place in places if place < len(self._labels)]]}

    def digest(self) -> str:
        return ""


def chosen(task: Task, labels: Any, samples: int | None = None) -> Task:
    dataset = Labelled(np.asarray(labels), samples)
    return choose_task(task, Samples(DataRequest(), dataset, Answers("labels")))


def refused(task: Task, labels: Any, samples: int | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        chosen(task, labels, samples)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        ([0, 1, 2], "classification"),
        (np.array([0, 1], np.uint8), "classification"),
        ([[3], [1]], "classification"),  # one column
        ([True, False], "classification"),
        ([0.5, 1.5], "regression"),
        ([0.0, 1.0], "regression"),  # prices may be whole; --task says otherwise
        ([[0.5, 1.0], [2.0, 3.0]], "regression"),
    ],
)
def test_what_labels_say(labels: Any, task: Task) -> None:
    assert chosen("auto", labels) == task


@pytest.mark.parametrize("labels", [[0, 1, 2], [0.0, 1.0, 2.0], [False, True], [[0.0], [1.0]], [7]])
def test_what_may_be_classes(labels: Any) -> None:
    assert chosen("classification", labels) == "classification"


@pytest.mark.parametrize("labels", [[0, 1], [0.5, 1.0], [True, False], [[1, 2], [3, 4]], [-100]])
def test_what_may_be_numbers_to_predict(labels: Any) -> None:
    assert chosen("regression", labels) == "regression"


@pytest.mark.parametrize("task", ["causal-lm", "embedding"])
def test_tasks_whose_labels_are_looked_at_elsewhere(task: Task) -> None:
    assert chosen(task, [[-100, 5, 7]]) == task


def test_one_hot_labels() -> None:
    for labels in (np.eye(4, dtype=np.int64), np.eye(4, dtype=np.float32)):
        error = refused("classification", labels)
        assert "(4, 4)" in error.message
        assert "argmax" in error.hint
        assert error.code == "labels-do-not-fit"
    assert "argmax" in refused("auto", np.eye(4, dtype=np.int64)).hint


def test_one_hot_fractions_are_a_question() -> None:
    """Nobody said that they are classes, and to predict them as numbers is hardly what is meant."""
    error = refused("auto", np.eye(4, dtype=np.float32))
    assert "one-hot" in error.message
    assert "argmax" in error.hint
    assert "--task regression" in error.hint
    assert chosen("regression", np.eye(4, dtype=np.float32)) == "regression"
    # Two of a row, or none, or a single column, are no classes.
    for labels in ([[1.0, 1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]], [[1.0], [1.0]]):
        assert chosen("auto", labels) == "regression"


def test_labels_without_an_answer() -> None:
    error = refused("classification", [0, 1, -100, 2])
    assert "sample 2" in error.message
    assert "-100" in error.message
    assert "no right answer" in error.message
    assert error.code == "labels-do-not-fit"


def test_negative_labels() -> None:
    error = refused("auto", [0, 1, 2, -1])
    assert "sample 3" in error.message
    assert error.code == "labels-out-of-range"
    assert refused("classification", [0.0, -2.0]).code == "labels-out-of-range"


@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (0.5, "0.5")])
def test_floats_that_are_no_classes(bad: float, shown: str) -> None:
    error = refused("classification", [0.0, bad])
    assert f"of sample 1 is {shown}, which is no whole number" in error.message


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(bad: float) -> None:
    assert "1 label is NaN or infinite" in refused("auto", [0.5, bad, 1.5]).message
    assert "2 labels are NaN or infinite" in refused("auto", [0.5, bad, bad]).message


@pytest.mark.parametrize("task", ["auto", "classification", "regression"])
def test_labels_that_are_text(task: Task) -> None:
    assert refused(task, np.array(["cat", "dog"])).code == "labels-do-not-fit"


def test_fewer_labels_than_samples() -> None:
    assert "3 labels for 5 samples" in refused("classification", [0, 1, 2], samples=5).message


def test_a_wrong_label_far_behind_is_found_and_memory_stays_flat() -> None:
    labels = np.zeros(50_000, dtype=np.int64)
    dataset = Labelled(labels)
    samples = Samples(DataRequest(), dataset, Answers("labels"))
    assert choose_task("auto", samples) == "classification"
    assert dataset.most <= 4096
    labels[-1] = -1
    assert "sample 49999" in refused("auto", labels).message


def test_samples_that_cannot_be_read_have_no_labels() -> None:
    dataset = Labelled(np.array([0, 1, -1, 2]))
    dataset.broken[0] = "damaged"
    with pytest.raises(RequestError) as caught:
        choose_task("auto", Samples(DataRequest(), dataset, Answers("labels")))
    # Which sample it is cannot be told: another is missing in front of it.
    assert "sample" not in caught.value.message


def test_no_samples_say_nothing() -> None:
    assert chosen("auto", np.zeros(0)) == "auto"


# ---------------------------------------------------------------------------- against the models


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.float32, ">i2"])
def test_classes_of_any_type(dtype: Any) -> None:
    classes = as_classes(np.array([0, 9, 3], dtype=dtype), 10)
    assert classes.dtype == np.int64
    assert classes.tolist() == [0, 9, 3]


@pytest.mark.parametrize("label", [10, 1234567, 2**40])
def test_labels_beyond_the_classes(label: int) -> None:
    for check in (as_classes, check_range):
        with pytest.raises(RequestError, match=f"label {label} .* 10 classes, 0 to 9") as caught:
            check(np.array([0, label]), 10)
        assert caught.value.code == "labels-out-of-range"
        with pytest.raises(RequestError, match=f"label {label} of sample 17 is none"):
            check(np.array([0, label]), 10, np.array([5, 17]))
