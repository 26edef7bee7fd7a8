"""bitsandbytes: 4-bit NF4 and FP4 with a table of values, and LLM.int8().

4 bits: the weights of a matrix, flat, two to a byte, the first in the high half; one maximum
(``weight.absmax``) for each block of them, the table (``weight.quant_map``), and the shape and the
block size as JSON bytes (``weight.quant_state.bitsandbytes__nf4``). With double quantisation the
maxima are 8-bit codes of a table of their own (``nested_quant_map``), scaled by blocks
(``nested_absmax``) and moved by ``nested_offset``. 8 bits: int8 ``weight`` and ``SCB``, the largest
magnitude of each row, which the code 127 stands for. As bitsandbytes' QuantState.as_dict and
int8_vectorwise_dequant have it; the scheme is QLoRA's (arXiv 2305.14314).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.huggingface.deferred import Deferred, FlatBlocks
from compaudit.models.huggingface.packing import (
    FLOATS,
    INTEGERS,
    Checkpoint,
    Config,
    MisfitError,
    array_of,
    whole_number,
)
from compaudit.models.huggingface.words import split_nibbles
from compaudit.models.quantized import Quantization, Shared
from compaudit.models.torch.strided import CHUNK

__all__ = ["BitsAndBytes"]

_STATE = ".quant_state.bitsandbytes__"
_KINDS = ("nf4", "fp4")
_LARGEST_STATE = 1 << 16
_INT8_MAX = 127


class BitsAndBytes:
    """The packings that bitsandbytes saves."""

    methods: tuple[str, ...] = ("bitsandbytes",)

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Weights that have maxima, 4 bits, or the largest magnitudes of rows, 8 bits."""
        for name in checkpoint:
            stem, _, last = name.rpartition(".")
            if f"{name}.absmax" in checkpoint or (last == "weight" and f"{stem}.SCB" in checkpoint):
                yield name

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """One tensor at the shape that it had before. Raises MisfitError."""
        if f"{name}.absmax" in checkpoint:
            return _four_bits(name, checkpoint)
        return _eight_bits(name, checkpoint)


def _four_bits(name: str, checkpoint: Checkpoint) -> Tensor:
    kind = next((kind for kind in _KINDS if f"{name}{_STATE}{kind}" in checkpoint), None)
    if kind is None:
        raise MisfitError(f"{name} has no quant_state, which would tell its shape")
    state = _state(name, kind, checkpoint)
    stored = checkpoint[name]
    shape = _shape(name, state)
    elements = math.prod(shape)
    needed = -(-elements // 2)
    # The bytes may be held in a wider type, whose last element they need not fill.
    if not 0 <= stored.tensor.bytes - needed < max(1, stored.tensor.bits // 8):
        raise MisfitError(
            f"{name} has {stored.tensor.bytes} bytes, and {elements} weights of 4 bits need "
            f"{needed}"
        )
    table = array_of(f"{name}.quant_map", checkpoint, name, FLOATS)
    if table.size != 16:
        raise MisfitError(f"{name} has a table of {table.size} values, and 4-bit codes need 16")

    def values() -> Iterator[NDArray[np.uint8]]:
        data = stored.block()[:needed]
        for first in range(0, needed, CHUNK // 2):
            part = split_nibbles(data[first : first + CHUNK // 2], high_first=True)
            yield part[: elements - 2 * first]

    return replace(
        stored.tensor,
        dtype="uint4",
        shape=shape,
        stored_elements=elements,
        values=values,
        quantization=Quantization(
            _maxima(name, shape, state, checkpoint), codebook=table.reshape(-1)
        ),
        note=f"bitsandbytes {kind.upper()}",
    )


def _state(name: str, kind: str, checkpoint: Checkpoint) -> Config:
    stored = checkpoint[f"{name}{_STATE}{kind}"]
    if stored.tensor.bytes > _LARGEST_STATE:
        raise MisfitError(f"{name} has a quant_state of {stored.tensor.bytes} bytes")
    try:
        state = json.loads(stored.block().tobytes())
    except (ValueError, RecursionError) as error:
        raise MisfitError(f"{name} has a quant_state that is no JSON") from error
    if not isinstance(state, dict):
        raise MisfitError(f"{name} has a quant_state that is no JSON object")
    return state


def _shape(name: str, state: Config) -> tuple[int, ...]:
    shape = state.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise MisfitError(f"{name} has a quant_state without a shape")
    return tuple(shape)


def _maxima(name: str, shape: tuple[int, ...], state: Config, checkpoint: Checkpoint) -> Shared:
    """What each block is scaled by."""
    absmax = array_of(f"{name}.absmax", checkpoint, name, (*FLOATS, "uint8")).reshape(-1)
    size = whole_number(state, "blocksize") or 0
    if size <= 0 or absmax.size != -(-math.prod(shape) // size):
        raise MisfitError(f"{name} has {absmax.size} maxima, which do not fit blocks of {size}")
    compute = partial(absmax.astype, np.float32)
    if f"{name}.nested_absmax" in checkpoint:
        compute = partial(_nested, *_nested_parts(name, absmax, state, checkpoint))
    elif absmax.dtype == np.uint8:
        raise MisfitError(f"{name} has maxima that are codes, and no table for them")
    if not math.prod(shape) or not shape or shape[-1] % size:
        return FlatBlocks(compute, absmax.size, size)
    counts = (*shape[:-1], shape[-1] // size)
    return Deferred(lambda: compute().reshape(counts), counts, (*[1] * (len(shape) - 1), size))


def _nested_parts(
    name: str, absmax: NDArray[Any], state: Config, checkpoint: Checkpoint
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], int, float]:
    table = array_of(f"{name}.nested_quant_map", checkpoint, name, FLOATS).reshape(-1)
    scales = array_of(f"{name}.nested_absmax", checkpoint, name, FLOATS).reshape(-1)
    size = whole_number(state, "nested_blocksize") or 0
    offset = state.get("nested_offset")
    fits = size > 0 and scales.size == -(-absmax.size // size) and table.size == 256
    if not fits or absmax.dtype != np.uint8 or not isinstance(offset, int | float):
        raise MisfitError(f"{name} has maxima that do not fit their own scales and table")
    return absmax, table, scales, size, float(offset)


def _nested(
    codes: NDArray[np.uint8],
    table: NDArray[Any],
    scales: NDArray[Any],
    size: int,
    offset: float,
) -> NDArray[np.float32]:
    """The maxima behind their codes, in float32 as bitsandbytes computes them."""
    found = table.astype(np.float32)[codes]
    found *= np.repeat(scales.astype(np.float32), size)[: codes.size]
    found += np.float32(offset)
    return found


def _eight_bits(name: str, checkpoint: Checkpoint) -> Tensor:
    stem = name.removesuffix("weight")
    tensor = checkpoint[name].tensor
    largest = array_of(f"{stem}SCB", checkpoint, name, FLOATS).reshape(-1)
    order = f"{stem}weight_format"
    if order in checkpoint and array_of(order, checkpoint, name, INTEGERS).any():
        raise MisfitError(f"{name} is stored in the order of a GPU kernel, not by rows")
    if tensor.dtype != "int8" or not tensor.shape or largest.size != tensor.shape[0]:
        raise MisfitError(f"{name} does not fit its SCB of {largest.size} numbers")
    scale = Shared.per_channel(largest.astype(np.float64) / _INT8_MAX, 0, tensor.shape)
    return replace(tensor, quantization=Quantization(scale), note="bitsandbytes LLM.int8()")
