"""What a batch may be. How a function is called and watched: tests/unit/test_feeding.py."""

from collections import UserDict
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from compaudit.data.batches import arrays_of
from compaudit.data.spool import BatchError

X = np.float32([[1, 2], [3, 4], [5, 6]])
Y = np.int64([0, 1, 2])


class ArrayLike:
    """What any array library's arrays are to NumPy."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self._values)


def listed(batch: object) -> dict[str, Any]:
    return {
        name: values.tolist() if isinstance(values, np.ndarray) else [v.tolist() for v in values]
        for name, values in arrays_of(batch).items()
    }


# -------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize(
    ("batch", "names"),
    [
        ({"a": X, "labels": Y}, ["a", "labels"]),
        (UserDict({"a": X, "b": Y}), ["a", "b"]),  # as BatchEncoding is
        ((X, Y), ["input", "labels"]),
        ([X, Y], ["input", "labels"]),  # as PyTorch's loaders give it
        (({"a": X, "b": X}, Y), ["a", "b", "labels"]),
        ([{"a": X}, Y], ["a", "labels"]),
        ((X, [0, 1, 2]), ["input", "labels"]),
        ((X,), ["input"]),
        ([X], ["input"]),
        (X, ["input"]),
        (ArrayLike(X), ["input"]),
        ([[1, 2], [3, 4]], ["input"]),
        ([1, 2, 3], ["input"]),
        ([X, [0, 1, 2]], ["input", "labels"]),
    ],
)
def test_what_a_batch_may_be(batch: object, names: list[str]) -> None:
    assert list(arrays_of(batch)) == names


def test_values_and_types_stay() -> None:
    arrays = arrays_of({"x": X, "y": Y, "b": [True, False, True], "f": [1, 2.5, 3]})
    np.testing.assert_array_equal(arrays["x"], X, strict=True)
    np.testing.assert_array_equal(arrays["y"], Y, strict=True)
    np.testing.assert_array_equal(arrays["b"], np.array([True, False, True]), strict=True)
    np.testing.assert_array_equal(arrays["f"], np.array([1, 2.5, 3]), strict=True)


def test_byte_order_becomes_this_machines() -> None:
    (values,) = arrays_of(Y.astype(">i8")).values()
    assert isinstance(values, np.ndarray)
    assert values.dtype == np.int64
    assert values.dtype.isnative
    assert values.tolist() == [0, 1, 2]


def test_bfloat16_of_numpy() -> None:
    (values,) = arrays_of(X.astype(ml_dtypes.bfloat16)).values()
    assert isinstance(values, np.ndarray)
    assert values.dtype.name == "bfloat16"


# ------------------------------------------------------------------------------------- sequences


def test_hugging_face_columns() -> None:
    batch = {"input_ids": [[1, 2, 3], [4], []], "label": [0, 1, 0]}
    arrays = arrays_of(batch)
    assert isinstance(arrays["input_ids"], list)
    assert {one.dtype for one in arrays["input_ids"]} == {np.dtype(np.int64)}  # the empty one too
    assert listed(batch) == {"input_ids": [[1, 2, 3], [4], []], "label": [0, 1, 0]}


def test_hugging_face_columns_in_numpys_format() -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.int64([1, 2]), np.int64([3])]
    assert listed({"ids": ragged}) == {"ids": [[1, 2], [3]]}


def test_lists_of_arrays() -> None:
    assert listed({"x": [X[0], X[1]]}) == {"x": [[1, 2], [3, 4]]}
    assert listed({"x": [X, X[:1]]}) == {"x": [X.tolist(), X[:1].tolist()]}


# ---------------------------------------------------------------------------------------- tensors


@pytest.mark.torch
def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    wanted = torch.tensor([[1.0, 2.0]], requires_grad=True)
    half = torch.tensor([1.5, 2.5], dtype=torch.bfloat16)
    assert listed({"x": wanted * 2}) == {"x": [[2.0, 4.0]]}
    (values,) = arrays_of(half).values()
    assert isinstance(values, np.ndarray)
    assert values.dtype == np.float32
    assert values.tolist() == [1.5, 2.5]
    assert listed([torch.tensor([1, 2]), torch.tensor([0, 1])]) == {
        "input": [1, 2],
        "labels": [0, 1],
    }
    assert listed({"ids": [torch.tensor([1, 2]), torch.tensor([3])]}) == {"ids": [[1, 2], [3]]}
    assert listed({"ids": [torch.tensor([1, 2]), torch.tensor([3, 4])]}) == {
        "ids": [[1, 2], [3, 4]]
    }


@pytest.mark.torch
def test_a_real_data_loader() -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    inputs, labels = torch.arange(10.0).reshape(5, 2), torch.arange(5)
    first = next(iter(DataLoader(TensorDataset(inputs, labels), batch_size=2)))
    assert listed(first) == {"input": [[0, 1], [2, 3]], "labels": [0, 1]}
    alone = next(iter(DataLoader(TensorDataset(inputs), batch_size=2)))
    assert listed(alone) == {"input": [[0, 1], [2, 3]]}


# ---------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({}, "is empty"),
        ({1: X}, "key 1"),
        ((X, Y, Y), "tuple of 3"),
        ((), "tuple of 0"),
        ([X, X, X], "list of 3"),  # three inputs, or three samples?
        (({"labels": Y}, Y), "'labels' both"),
        ({"x": X, "y": Y[:2]}, "3 in 'x', 2 in 'y'"),
        ({"x": "text"}, "text in 'x'"),
        ({"x": ["a", "b"]}, "text in 'x'"),
        ({"x": [b"a"]}, "bytes in 'x'"),
        ({"x": None}, "Python objects in 'x'"),
        ({"x": [None, 1]}, "Python objects in 'x'"),
        ({"x": [{"a": 1}]}, "Python objects in 'x'"),
        ({"x": [object()]}, "Python objects in 'x'"),
        ({"x": np.array([object()])}, "Python objects in 'x'"),
        ({"x": [2**70]}, "Python objects in 'x'"),
        ({"x": np.array(["2020-01-01"], "M8[D]")}, "dates in 'x'"),
        ({"x": [["a"], ["b", "c"]]}, "text in 'x'"),
        ({"x": 3}, "single value in 'x'"),
        ({"x": np.float32(3)}, "single value in 'x'"),
        (3, "single value in 'input'"),
        ("text", "text in 'input'"),
        (None, "Python objects in 'input'"),
        ({"x": [1, [2, 3]]}, "mixes samples of 0 and 1 dimensions in 'x'"),
        ({"x": [[1, 2], 3]}, "mixes samples of 1 and 0 dimensions in 'x'"),
        ({"x": [X, X[0]]}, "mixes samples of 2 and 1 dimensions in 'x'"),
        ({"x": [[[1, 2], [3]], [[4]]]}, "NumPy cannot read"),
        ({"x": np.array([(1, 2)], "i4,i4")}, "in 'x'"),
    ],
)
def test_what_no_model_can_be_fed(batch: object, said: str) -> None:
    with pytest.raises(BatchError) as caught:
        arrays_of(batch)
    assert said in str(caught.value)
    assert caught.value.hint


def test_an_array_that_fails_to_be_one() -> None:
    class Failing:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("the device is lost")

    with pytest.raises(BatchError, match=r"Failing in 'x'.*the device is lost"):
        arrays_of({"x": Failing()})
