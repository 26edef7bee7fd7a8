"""What pruning masks leave of weights, also where either is stored in an odd way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compaudit.models.base import Role, Tensor
from compaudit.models.torch.masks import pruned
from compaudit.models.torch.names import Entry


def tensor(name: str, values: list[float], shape: tuple[int, ...] = (4,), **more) -> Tensor:
    array = np.array(values, np.float32)
    made = Tensor(name, Role.WEIGHT, "float32", shape, array.size, array.nbytes)
    return replace(made, values=lambda: iter([array]), **more)


def left_of(*tensors: Tensor) -> list[float]:
    """The values of the first."""
    held = {held.name: held for held in tensors}
    entries = {name: Entry(given.dtype, given.shape) for name, given in held.items()}
    read = pruned(tensors[0], held, entries).values
    assert read is not None
    return np.concatenate([*read()]).tolist()


WEIGHT = tensor("fc.weight_orig", [1, 2, 3, 4])


def test_a_mask() -> None:
    assert left_of(WEIGHT, tensor("fc.weight_mask", [1, 0, 0, 1])) == [1, 0, 0, 4]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_stored_value_for_the_whole_mask(value) -> None:
    mask = tensor("fc.weight_mask", [value], fill=True)
    assert left_of(WEIGHT, mask) == [value, 2 * value, 3 * value, 4 * value]


def test_one_stored_value_for_the_whole_weight() -> None:
    weight = tensor("fc.weight_orig", [5], fill=True)
    mask = tensor("fc.weight_mask", [1, 0, 0, 1])
    assert left_of(weight, mask) == [5, 0, 0, 5]
    made = pruned(weight, {"fc.weight_mask": mask, weight.name: weight}, {
        name: Entry("float32", (4,)) for name in (weight.name, mask.name)
    })  # fmt: skip
    assert not made.fill


def test_a_mask_that_stores_fewer_values_than_it_has() -> None:
    """A sparse tensor's values are not in their places."""
    assert left_of(WEIGHT, tensor("fc.weight_mask", [1, 1])) == [1, 2, 3, 4]


def test_a_tensor_without_a_name_is_nobodys_mask() -> None:
    assert left_of(tensor("fc.weight", [1, 2, 3, 4]), tensor("", [1])) == [1, 2, 3, 4]


def test_a_mask_of_no_numbers() -> None:
    mask = tensor("fc.weight_mask", [np.nan, np.inf, 0, 1])
    assert np.count_nonzero(left_of(WEIGHT, mask)) == 3
