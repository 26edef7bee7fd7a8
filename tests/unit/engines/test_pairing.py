import numpy as np
import pytest

from compaudit.engines.inference import Part
from compaudit.engines.pairing import pair_up
from compaudit.errors import InternalError


def test_rows_that_one_of_the_three_lacks_are_dropped_from_all() -> None:
    # Samples 10 to 15: the original lacks 11, the compressed model 13, the labels 14.
    original = Part(
        {"y": np.array([[10.0], [12], [13], [14], [15]])}, {11: "torn"}, {"m": np.arange(5.0)}
    )
    compressed = Part(
        {"y": np.array([[1.0], [2], [3], [4], [5]])}, {13: "torn"}, {"m": -np.arange(5.0)}
    )
    batch = pair_up(10, 16, original, compressed, (np.array([0, 1, 2, 3, 5]), {14: "no label"}))
    assert batch.indices.tolist() == [10, 12, 15]
    assert batch.indices.dtype == np.int64
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 2, 5]
    assert batch.original["y"].ravel().tolist() == [10, 12, 15]
    assert batch.compressed["y"].ravel().tolist() == [1, 3, 5]
    assert batch.original_scores["m"].tolist() == [0, 1, 4]
    assert batch.compressed_scores["m"].tolist() == [0, -2, -4]


def test_whole_batches_are_handed_on_without_a_copy() -> None:
    values = np.zeros((3, 2))
    batch = pair_up(0, 3, Part({"y": values}), Part({"y": values}), (None, {}))
    assert batch.original["y"] is values
    assert batch.labels is None


def test_nothing_is_left() -> None:
    part = Part({}, {0: "torn", 1: "torn"})
    batch = pair_up(0, 2, part, part, (np.array([3, 4]), {}))
    assert batch.indices.tolist() == []
    assert batch.original == batch.compressed == {}


def test_rows_are_never_guessed() -> None:
    with pytest.raises(InternalError, match="'y' has 3 rows for 2 samples"):
        pair_up(0, 2, Part({"y": np.zeros(3)}), Part({"y": np.zeros(2)}), (None, {}))
    part = Part({"y": np.zeros(2)})
    with pytest.raises(InternalError, match="'labels' has 1 rows for 2 samples"):
        pair_up(0, 2, part, part, (np.zeros(1), {}))
