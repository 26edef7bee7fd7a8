"""Made-up inputs for audits without data: seeded, plausible, labelled as synthetic everywhere."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.data.base import ArrayInfo, DataRequest, Dataset, SyntheticInput, element_type
from compaudit.data.lookups import lookup_bounds
from compaudit.errors import RequestError
from compaudit.models.base import Dimension, Model, Value

__all__ = ["SAMPLES", "SyntheticDataset", "invent_inputs"]

SAMPLES = 64

_DEFAULT_INTEGER_BOUND = 2
_MASK_WORDS = ("mask",)
_SEGMENT_WORDS = ("token_type", "segment")
_POSITION_WORDS = ("position_id", "position_index", "positions")
_LENGTH_WORDS = ("length", "seq_len", "seqlen")


class SyntheticDataset(Dataset):
    """Random samples, each from its own seed: the same for any batch size and in any process."""

    kind = "synthetic"

    def __init__(self, request: DataRequest) -> None:
        self._request = request
        self.broken = {}
        self.samples = min(request.samples, request.limit or request.samples)
        self.arrays = tuple(
            ArrayInfo(made_up.name, made_up.dtype, made_up.shape) for made_up in request.synthetic
        )

    def batch(
        self, start: int, stop: int, names: Collection[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """The inputs for these samples."""
        stop = min(stop, self.samples)
        return {
            made_up.name: np.stack(
                [self._sample(place, made_up, index) for index in range(start, stop)]
            )
            for place, made_up in enumerate(self._request.synthetic)
            if names is None or made_up.name in names
        }

    def digest(self) -> str:
        """SHA-256 of the recipe, which determines every value."""
        return hashlib.sha256(msgspec.json.encode(self._request)).hexdigest()

    def _sample(self, place: int, made_up: SyntheticInput, index: int) -> NDArray[Any]:
        random = np.random.default_rng([self._request.seed, place, index])
        dtype = element_type(made_up.dtype)
        assert dtype is not None, "invent_inputs refuses such inputs"
        if dtype.kind in "iu" and _says(made_up.name, _POSITION_WORDS) and made_up.shape:
            places = np.arange(made_up.shape[-1]) % int(made_up.high)
            return np.broadcast_to(places, made_up.shape).astype(dtype)
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

    Integer inputs stay below the size of the embedding that they index and within their type, and
    real ones are uniform in [0, 1), as images and features mostly are. By their names: masks are
    ones, segments zeros, positions count up from 0, and lengths are the size of the second
    dimension of the other inputs.

    Args:
        inputs: what the model takes; the first dimension of each counts samples.
        shapes: ``--input-shape``, with the first dimension.
        read: the model as read, to find the embeddings; None when it was not.
        model: how the user named it, for errors.

    Raises:
        RequestError: a size that nobody gave, or a type that cannot be made up.
    """
    bounds = lookup_bounds(read.graph, read) if read is not None and read.graph else {}
    made_up = tuple(_invent(value, shapes, bounds, model) for value in inputs)
    sequences = [one.shape[0] for one in made_up if one.shape and not _is_length(one)]
    return tuple(
        _of_length(one, sequences[0]) if _is_length(one) and sequences else one for one in made_up
    )


def _of_length(made_up: SyntheticInput, length: int) -> SyntheticInput:
    length = min(length, int(np.iinfo(made_up.dtype).max))
    return msgspec.structs.replace(made_up, low=float(length), high=length + 1.0)


def _is_length(made_up: SyntheticInput) -> bool:
    """Whether it says how long the sequences of the other inputs are: one number a sample."""
    return (
        math.prod(made_up.shape) == 1
        and "int" in made_up.dtype
        and _says(made_up.name, _LENGTH_WORDS)
    )


def _invent(
    value: Value, shapes: Mapping[str, tuple[int, ...]], bounds: Mapping[str, range], model: str
) -> SyntheticInput:
    def refuse(what: str, hint: str) -> RequestError:
        return RequestError(
            f"{model} {what}", hint=hint, code="no-synthetic-input", model=model, stage="data"
        )

    shape = shapes.get(value.name, value.shape)
    example = f"--input-shape {value.name}={_example(shape)}, or --data"
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
    counted = _says(value.name, _POSITION_WORDS) and bool(sizes)
    usual = sizes[-1] if counted else _DEFAULT_INTEGER_BOUND
    bound = bounds[value.name].stop if value.name in bounds else usual
    low, high = _range_of(value.name, dtype, bound)
    return SyntheticInput(value.name, name, tuple(sizes), low, high)


def _example(shape: tuple[Dimension, ...] | None) -> str:
    """What ``--input-shape`` may say of an input: images where nothing, or four sizes, are known.

    Of what is no image, the open sizes are the length of a sequence.
    """
    image = (1, 3, 224, 224)
    if not shape:
        return "x".join(map(str, image))
    usual = image if len(shape) == len(image) else (1, *(128,) * (len(shape) - 1))
    return "x".join(
        str(size if isinstance(size, int) and size > 0 else instead)
        for size, instead in zip(shape, usual, strict=True)
    )


def _range_of(name: str, dtype: np.dtype[Any], bound: int) -> tuple[float, float]:
    """The range [low, high) of the values to make up; both ends are equal for all the same."""
    whole = dtype.kind in "iub"
    if _says(name, _MASK_WORDS):
        return 1.0, 2.0 if whole else 1.0  # nothing masked away
    if dtype.kind in "iu" and _says(name, _SEGMENT_WORDS):
        return 0.0, 1.0
    if dtype.kind == "b":
        return 0.0, 2.0
    return 0.0, float(min(bound, int(np.iinfo(dtype).max) + 1)) if whole else 1.0


def _says(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name.lower() for word in words)
