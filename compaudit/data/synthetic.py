"""Made-up inputs for audits without data: seeded, plausible, labelled as synthetic everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest, SyntheticInput, element_type
from compaudit.errors import RequestError
from compaudit.models.base import Graph, Model, Value

__all__ = ["SAMPLES", "SyntheticDataset", "invent_inputs"]

SAMPLES = 64

_PASS_ON = {"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
"""What an index goes through unchanged on its way to a table."""

_SAME_TABLE = {"Cast", "Identity", "DequantizeLinear"}
"""What a stored table goes through, in its own shape, before it is looked up."""

_LOOKUPS = {
    "Gather": (0, 1, "axis"),
    "GatherBlockQuantized": (0, 1, "gather_axis"),
    "aten.embedding.default": (0, 1, ""),
}
"""Operator → slots of the table and of the index, and the attribute that names the axis, else 0."""

_DEFAULT_INTEGER_BOUND = 2
_MASK_WORDS = ("mask",)


class SyntheticDataset:
    """Random samples, each from its own seed: the same for any batch size and in any process."""

    def __init__(self, request: DataRequest) -> None:
        self._request = request
        self.samples = min(request.samples, request.limit or request.samples)
        self.arrays = tuple(
            ArrayInfo(made_up.name, made_up.dtype, made_up.shape) for made_up in request.synthetic
        )

    def batch(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """Every input for these samples."""
        stop = min(stop, self.samples)
        return {
            made_up.name: np.stack(
                [self._sample(place, made_up, index) for index in range(start, stop)]
            )
            for place, made_up in enumerate(self._request.synthetic)
        }

    def digest(self) -> str:
        """SHA-256 of the recipe, which determines every value."""
        return hashlib.sha256(msgspec.json.encode(self._request)).hexdigest()

    def _sample(self, place: int, made_up: SyntheticInput, index: int) -> NDArray[Any]:
        random = np.random.default_rng([self._request.seed, place, index])
        dtype = element_type(made_up.dtype)
        assert dtype is not None, "invent_inputs refuses such inputs"
        if dtype.kind in "fV":
            return random.uniform(made_up.low, made_up.high, made_up.shape).astype(dtype)
        return random.integers(int(made_up.low), int(made_up.high), made_up.shape).astype(dtype)


def invent_inputs(
    inputs: tuple[Value, ...],
    shapes: Mapping[str, tuple[int, ...]],
    read: Model | None,
    model: str,
) -> tuple[SyntheticInput, ...]:
    """Decide what to make up for each input: its sample shape and the range of its values.

    Integer inputs stay below the size of the embedding that they index and within their type, masks
    are ones, and real inputs are uniform in [0, 1), as images and features mostly are.

    Args:
        inputs: what the model takes; the first dimension of each counts samples.
        shapes: ``--input-shape``, with the first dimension.
        read: the model as read, to find the embeddings; None when it was not.
        model: how the user named it, for errors.

    Raises:
        RequestError: a size that nobody gave, or a type that cannot be made up.
    """
    bounds = _embedding_bounds(read.graph, read) if read is not None and read.graph else {}
    return tuple(_invent(value, shapes, bounds, model) for value in inputs)


def _invent(
    value: Value, shapes: Mapping[str, tuple[int, ...]], bounds: Mapping[str, int], model: str
) -> SyntheticInput:
    def refuse(what: str, hint: str) -> RequestError:
        return RequestError(
            f"{model} {what}", hint=hint, code="no-synthetic-input", model=model, stage="data"
        )

    shape = shapes.get(value.name, value.shape)
    example = f"--input-shape {value.name}=1x3x224x224, or --data"
    if shape is None:
        raise refuse(f"does not say what shape its input {value.name!r} has", f"give {example}")
    if not shape:
        raise refuse(
            f"has an input {value.name!r} without a first dimension to count samples",
            "give its inputs with --data",
        )
    sizes = [size for size in shape[1:] if isinstance(size, int) and size > 0]
    if len(sizes) != len(shape) - 1:
        unknown = next(
            str(size or "?") for size in shape[1:] if not isinstance(size, int) or size <= 0
        )
        raise refuse(
            f"leaves dimension {unknown!r} of its input {value.name!r} open", f"give {example}"
        )
    name = value.dtype or "float32"
    dtype = element_type(name)
    if dtype is None or dtype.kind == "c":
        raise refuse(
            f"takes {name} for its input {value.name!r}, which cannot be made up",
            "give its inputs with --data",
        )
    low, high = _range_of(value.name, dtype, bounds.get(value.name, _DEFAULT_INTEGER_BOUND))
    return SyntheticInput(value.name, name, tuple(sizes), low, high)


def _range_of(name: str, dtype: np.dtype[Any], bound: int) -> tuple[float, float]:
    """The range [low, high) of the values to make up; both ends are equal for all the same."""
    whole = dtype.kind in "iub"
    if any(word in name.lower() for word in _MASK_WORDS):
        return 1.0, 2.0 if whole else 1.0  # nothing masked away
    if dtype.kind == "b":
        return 0.0, 2.0
    return 0.0, float(min(bound, int(np.iinfo(dtype).max) + 1)) if whole else 1.0


def _embedding_bounds(graph: Graph, model: Model) -> dict[str, int]:
    """For every input that indexes a stored table: the rows of the smallest such table."""
    tables = {tensor.name: tensor.shape for tensor in model.tensors}
    origin = {value.name: value.name for value in graph.inputs}
    bounds: dict[str, int] = {}
    for node in graph.nodes:
        first = node.inputs[0] if node.inputs else ""
        if node.op in _PASS_ON and first in origin:
            origin |= dict.fromkeys(node.outputs, origin[first])
        if node.op in _SAME_TABLE and first in tables:
            tables |= dict.fromkeys(node.outputs, tables[first])
        table, index, axis = _LOOKUPS.get(node.op, (0, 0, ""))
        if index >= len(node.inputs) or node.op not in _LOOKUPS:
            continue
        shape, name = tables.get(node.inputs[table], ()), origin.get(node.inputs[index])
        place = node.attributes.get(axis, 0)
        if name is None or not isinstance(place, int):
            continue
        if -len(shape) <= place < len(shape) and shape[place] > 0:
            bounds[name] = min(shape[place], bounds.get(name, shape[place]))
    return bounds
