"""What every way of packing weights has in common: which tensors it packs, and what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.safetensors import Stored

__all__ = [
    "FLOATS",
    "INTEGERS",
    "Checkpoint",
    "Config",
    "MisfitError",
    "Packing",
    "array_of",
    "groups_by",
    "groups_of",
    "order_of",
    "sizes_in",
    "whole_number",
]

Config = Mapping[str, Any]
"""``quantization_config`` of a config.json: whatever the file says, nothing of it checked."""

Checkpoint = Mapping[str, Stored]
"""Every stored tensor of a folder, by its name."""

INTEGERS = ("int", "uint")
FLOATS = ("float", "bfloat")

_MOST_AXES = 8


class MisfitError(Exception):
    """Why a tensor cannot be unpacked: one sentence that names it."""


class Packing(Protocol):
    """One way of packing weights. `registry.py` lists them all.

    Attributes:
        methods: values of ``quant_method`` that mean this packing.
    """

    methods: tuple[str, ...]

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Names of the tensors that hold weights in this packing."""
        ...

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """The weights in one of them, at their logical shape. Raises MisfitError.

        The record keeps the stored name and bytes; its values are one code a weight.
        """
        ...


def array_of(
    name: str, checkpoint: Checkpoint, needed_by: str, kinds: tuple[str, ...]
) -> NDArray[Any]:
    """A stored tensor that another one needs.

    Args:
        name: its name.
        checkpoint: where it should be.
        needed_by: the tensor that needs it.
        kinds: what the name of its element type may begin with.

    Raises:
        MisfitError: it is missing, or of another type.
    """
    if name not in checkpoint:
        raise MisfitError(f"{needed_by} is packed, and {name}, which it needs, is missing")
    tensor = checkpoint[name].tensor
    if not tensor.dtype.startswith(kinds) or tensor.bits < 8:
        raise MisfitError(f"{needed_by} is packed, and {name} beside it is of type {tensor.dtype}")
    return checkpoint[name].array()


def whole_number(config: Config, *keys: str) -> int | None:
    """The first of these keys that is there, where it is a whole number."""
    value = next((config[key] for key in keys if key in config), None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def sizes_in(name: str, checkpoint: Checkpoint, needed_by: str) -> tuple[int, ...]:
    """The shape that a small tensor of integers spells out. Raises MisfitError where it is none."""
    numbers = array_of(name, checkpoint, needed_by, INTEGERS)
    if not 1 <= numbers.size <= _MOST_AXES:
        raise MisfitError(f"{needed_by} is packed, and {name} states no shape")
    sizes = tuple(int(size) for size in numbers.reshape(-1))
    if min(sizes) < 0:
        raise MisfitError(f"{needed_by} is packed, and {name} states a negative size")
    return sizes


def groups_of(
    counts: tuple[int, ...], shape: tuple[int, ...], steps: Mapping[int, int], needed_by: str
) -> tuple[int, ...]:
    """Elements that share a number along each axis.

    Args:
        counts: the shape of the numbers.
        shape: the tensor's, of the same rank.
        steps: group sizes that the configuration states, by axis.
        needed_by: how errors name the tensor.

    Raises:
        MisfitError: so many numbers fit the shape in no way.
    """
    if len(counts) != len(shape):
        raise MisfitError(f"{needed_by} has {len(shape)} axes and its scales have {len(counts)}")
    groups = []
    for axis, (count, size) in enumerate(zip(counts, shape, strict=True)):
        step = steps.get(axis, 0)
        if count == size:
            groups.append(1)
        elif count == 1:
            groups.append(max(size, 1))
        elif step > 0 and -(-size // step) == count:
            groups.append(step)
        elif step <= 0 and count > 0 and size % count == 0:
            groups.append(size // count)
        else:
            raise MisfitError(
                f"{needed_by} of shape {list(shape)} does not fit its scales of shape "
                f"{list(counts)}"
            )
    return tuple(groups)


Groups = tuple[int | NDArray[np.integer[Any]], ...]


def groups_by(
    name: str,
    counts: tuple[int, ...],
    shape: tuple[int, ...],
    steps: Mapping[int, int],
    checkpoint: Checkpoint,
    index: str = "",
) -> Groups:
    """As `groups_of`, with the last axis in the order of a stored ``g_idx`` where one is named."""
    if not index or not shape or len(counts) != len(shape):
        return groups_of(counts, shape, steps, name)
    order = array_of(index, checkpoint, name, INTEGERS).reshape(-1)
    if len(order) != shape[-1]:
        raise MisfitError(
            f"{name} has {shape[-1]} columns, and {index} names the groups of {len(order)}"
        )
    if np.all(order == -1):  # reserved, and never filled in
        return groups_of(counts, shape, steps, name)
    return (*groups_of(counts[:-1], shape[:-1], steps, name), order_of(name, order, counts[-1]))


def order_of(
    name: str, order: NDArray[np.integer[Any]], count: int
) -> int | NDArray[np.integer[Any]]:
    """The group of each position; the size of a group where they follow one another.

    Raises:
        MisfitError: it names groups that there are not.
    """
    if not len(order) or int(order.min()) < 0 or int(order.max()) >= count:
        raise MisfitError(f"{name} has a g_idx that names groups which its scales do not have")
    size = -(-len(order) // count)
    return size if np.array_equal(order, np.arange(len(order)) // size) else order
