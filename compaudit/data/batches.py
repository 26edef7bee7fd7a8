"""One batch of what the user's function yields, as arrays by name.

It may be

- a dict of arrays by input name (a Hugging Face batch, ``{"input_ids": [[…], …]}``, is one);
- a pair, inputs and labels: the arrays ``input`` and ``labels``, or the dict's and ``labels``;
- a single array: ``input``.

An array is of NumPy or of any library whose arrays NumPy can read (PyTorch's tensors included), or
a list; a list of sequences of different lengths stays that, nothing is padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import LABELS, element_type
from compaudit.data.function import where_and_what
from compaudit.data.spool import BatchError, Values

__all__ = ["arrays_of"]

_INPUT = "input"
_YIELD_DICTS = "yield dicts of arrays, {'input': …, 'labels': …}"


def arrays_of(batch: object) -> dict[str, Values]:
    """The arrays of a batch by name, all of the same length.

    Raises:
        BatchError: it is none of what a batch may be.
    """
    arrays = {name: _values(name, value) for name, value in _named(batch).items()}
    if not arrays:
        raise BatchError("is empty", _YIELD_DICTS)
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length} in {name!r}" for name, length in lengths.items())
        raise BatchError(
            f"has different numbers of samples: {listed}",
            "the first dimension of every array counts the samples",
        )
    return arrays


def _named(batch: object) -> dict[str, object]:
    if isinstance(batch, Mapping):
        strange = next((key for key in batch if not isinstance(key, str)), None)
        if strange is not None:
            raise BatchError(f"has a key {strange!r}, which is no name", _YIELD_DICTS)
        return dict(batch)
    parts = _parts(batch)
    if parts is None:
        return {_INPUT: batch}
    inputs, *labels = parts
    named = dict(_named(inputs)) if isinstance(inputs, Mapping) else {_INPUT: inputs}
    if labels and LABELS[0] in named:
        raise BatchError(f"has {LABELS[0]!r} both in its dict and beside it", "leave one out")
    return {**named, **dict(zip(LABELS[:1], labels, strict=False))}


def _parts(batch: object) -> tuple[object, ...] | None:
    """Inputs and labels, or inputs alone, where a batch consists of these; None for one array.

    A tuple does, and a list of arrays, as PyTorch's loaders make it; a list of numbers does not.
    """
    if isinstance(batch, list) and not (
        batch and (isinstance(batch[0], Mapping) or hasattr(batch[0], "__array__"))
    ):
        return None
    if not isinstance(batch, tuple | list):
        return None
    if not 0 < len(batch) <= 2:
        what = f"is a {type(batch).__name__} of {len(batch)}, and a pair is inputs and labels"
        raise BatchError(what, _YIELD_DICTS)
    return tuple(batch)


def _values(name: str, value: object) -> Values:
    """One array, or the sequences that it consists of."""
    items = value
    if isinstance(value, np.ndarray) and value.dtype.hasobject and value.ndim == 1:
        items = value.tolist()  # Hugging Face's NumPy format has ragged columns like this
    if not isinstance(items, list | tuple):
        return _checked(name, _array(name, value))
    if any(hasattr(item, "detach") for item in items):
        return _joined(name, [_array(name, item) for item in items])
    try:
        return _checked(name, np.asarray(items))
    except ValueError:  # of different lengths
        return _joined(name, [_array(name, item) for item in items])


def _joined(name: str, items: list[NDArray[Any]]) -> Values:
    """Samples as one array where all have one shape."""
    # An empty list has no type of its own; NumPy makes it float64.
    kinds = [item.dtype for item in items if item.size] or [item.dtype for item in items]
    try:
        dtype = np.result_type(*kinds)
        same = [item.astype(dtype, copy=False) for item in items]
    except (TypeError, ValueError) as error:
        raise _no_numbers(name, items[0].dtype) from error
    if len({item.shape for item in same}) == 1:
        return _checked(name, np.stack(same))
    for item in same:
        _require_numbers(name, item)
        if item.ndim != same[0].ndim:
            raise BatchError(
                f"mixes samples of {same[0].ndim} and {item.ndim} dimensions in {name!r}",
                "give all samples one form",
            )
    return [_native(item) for item in same]


def _array(name: str, value: object) -> NDArray[Any]:
    """Any library's array as NumPy's."""
    tensor: Any = value
    try:
        if hasattr(tensor, "detach") and hasattr(tensor, "cpu"):
            tensor = tensor.detach().cpu()
            if str(tensor.dtype).endswith("bfloat16"):
                tensor = tensor.float()  # which holds every bfloat16 exactly
            tensor = tensor.numpy()
        return np.asarray(tensor)
    except Exception as error:
        what = where_and_what(error)[1]
        raise BatchError(
            f"has a {type(value).__name__} in {name!r} that NumPy cannot read: {what}",
            "give NumPy arrays",
        ) from error


def _checked(name: str, array: NDArray[Any]) -> NDArray[Any]:
    _require_numbers(name, array)
    if array.ndim == 0:
        raise BatchError(
            f"has a single value in {name!r}, without a dimension that counts samples",
            "yield batches, not samples; of a Hugging Face data set, dataset.iter(batch_size=64)",
        )
    return _native(array)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _require_numbers(name: str, array: NDArray[Any]) -> None:
    if element_type(array.dtype.name) is None:
        raise _no_numbers(name, array.dtype)


def _no_numbers(name: str, dtype: np.dtype[Any]) -> BatchError:
    kinds = {"O": "Python objects", "U": "text", "S": "bytes", "T": "text", "M": "dates"}
    return BatchError(
        f"holds {kinds.get(dtype.kind, dtype)} in {name!r}, which no model can be fed",
        "yield numbers; leave other columns out",
    )
