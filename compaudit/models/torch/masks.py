"""Weights and the pruning masks that are stored beside them: what is left of a weight counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.torch.names import Entry, mask_of
from compaudit.models.torch.strided import CHUNK, masked

__all__ = ["pruned"]

_Values = Callable[[], Iterator[NDArray[Any]]]


def pruned(tensor: Tensor, tensors: Mapping[str, Tensor], entries: Mapping[str, Entry]) -> Tensor:
    """The tensor as its mask leaves it; itself where it has none, or one that cannot be applied.

    Args:
        tensor: one of these.
        tensors: all of the model, by name.
        entries: the same, as names are judged by.
    """
    name = mask_of(tensor.name, entries)
    mask = None if name is None else tensors.get(name)
    if mask is None:
        return tensor
    values, kept = _every_element(tensor), _every_element(mask)
    if values is None or kept is None:
        return tensor
    note = f"pruned by {mask.name}"
    return replace(tensor, values=masked(values, kept), fill=False, note=note)


def _every_element(tensor: Tensor) -> _Values | None:
    """A reader of as many values as the shape says; None where they are not stored so."""
    read = tensor.values
    if read is None or not tensor.fill:
        return read if tensor.stored_elements == tensor.logical_elements else None

    def repeated() -> Iterator[NDArray[Any]]:
        value = next(iter(read()))
        for start in range(0, tensor.logical_elements, CHUNK):
            yield np.repeat(value[:1], min(CHUNK, tensor.logical_elements - start))

    return repeated
