from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.measure.contents import contents_of
from compaudit.measure.duplicates import duplicates_of
from compaudit.models.base import Role, Tensor


def tensor(
    name: str,
    numbers: Any,
    *,
    chunk: int = 100,
    reads: list[str] | None = None,
    **details: Any,
) -> Tensor:
    array = np.asarray(numbers)
    flat = array.reshape(-1)

    def read() -> Iterator[NDArray[Any]]:
        if reads is not None:
            reads.append(name)
        for start in range(0, len(flat), chunk):
            yield flat[start : start + chunk]

    facts: dict[str, Any] = {
        "dtype": array.dtype.name,
        "shape": array.shape,
        "stored_elements": array.size,
        "bytes": array.nbytes,
        "values": read,
        **details,
    }
    return Tensor(name, Role.WEIGHT, **facts)


def duplicates(*tensors: Tensor) -> list[str | None]:
    return duplicates_of(tensors, contents_of(tensors))


def normal(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(20, 30)).astype(np.float32)


def test_equal_bytes_under_several_names() -> None:
    named = [tensor("a", normal()), tensor("b", normal(1)), tensor("c", normal())]
    assert duplicates(*named, tensor("d", normal())) == [None, None, "a", "a"]


def test_however_they_are_read() -> None:
    cut = [tensor(f"{chunk}", normal(), chunk=chunk) for chunk in (1, 7, 100, 599, 600, 10_000)]
    assert duplicates(*cut) == [None, *["1"] * 5]


def test_the_same_numbers_in_another_order_differ() -> None:
    """Every count agrees; only the bytes tell."""
    assert duplicates(tensor("a", normal()), tensor("b", normal()[::-1])) == [None, None]
    last = normal()
    last[-1, -2:] = last[-1, :-3:-1]
    assert duplicates(tensor("a", normal()), tensor("b", last)) == [None, None]


def test_shape_and_type_count() -> None:
    values = normal()
    assert duplicates(
        tensor("a", values), tensor("b", values.T), tensor("c", values.view(np.int32))
    ) == [None, None, None]


def test_minus_zero_is_another_byte() -> None:
    plus, minus = normal(), normal()
    plus[0, 0], minus[0, 0] = 0.0, -0.0
    assert duplicates(tensor("a", plus), tensor("b", minus)) == [None, None]


def test_nan_is_itself() -> None:
    values = normal()
    values[3, 3] = np.nan
    assert duplicates(tensor("a", values), tensor("b", values)) == [None, "a"]


def test_tied_tensors_are_one() -> None:
    tied = tensor("b", normal(), tied_to="a", bytes=0)
    assert duplicates(tensor("a", normal()), tied) == [None, None]


def test_small_constants_are_equal_by_nature() -> None:
    ones = [tensor(name, np.ones(249, np.float32)) for name in "ab"]
    assert duplicates(*ones) == [None, None]  # 996 bytes
    ones = [tensor(name, np.ones(250, np.float32)) for name in "ab"]
    assert duplicates(*ones) == [None, "a"]  # 1,000 bytes


def test_what_cannot_be_read_is_no_duplicate() -> None:
    assert duplicates(tensor("a", normal(), values=None), tensor("b", normal(), values=None)) == [
        None,
        None,
    ]


def test_different_tensors_are_not_read_again() -> None:
    reads: list[str] = []
    several = [tensor(str(seed), normal(seed), reads=reads) for seed in range(5)]
    contents = contents_of(several)
    reads.clear()
    assert duplicates_of(several, contents) == [None] * 5
    assert not reads
