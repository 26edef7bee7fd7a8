from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compaudit.config import Config
from compaudit.errors import RequestError
from compaudit.measure.accuracy import choose_task
from compaudit.measure.signature import Samples, given_samples


def labelled(tmp_path: Path, labels: Any) -> Samples:
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((len(labels), 2)), labels=np.asarray(labels))
    samples = given_samples(Config(original="o", compressed="c", data=str(path)))
    assert samples is not None
    return samples


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
        (np.float32([0, 0.5]), "classification", ""),
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
