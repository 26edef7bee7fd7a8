"""Four-bit floats (E2M1), two to a byte, the first in the low half, and their scales.

NVFP4 has an E4M3 scale for each 16 weights and divides it by one number for the whole tensor; MXFP4
has an E8M0 one for each 32, a byte that stands for 2^(b − 127) (OCP Microscaling Formats 1.0). Both
as compressed-tensors writes them; gpt-oss stores MXFP4 as ``…_blocks`` and ``…_scales``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.huggingface.deferred import Deferred
from compaudit.models.huggingface.packing import (
    FLOATS,
    Checkpoint,
    Config,
    MisfitError,
    array_of,
    groups_of,
)
from compaudit.models.huggingface.words import split_nibbles
from compaudit.models.quantized import Quantization
from compaudit.models.safetensors import Stored
from compaudit.models.torch.strided import CHUNK

__all__ = ["Mxfp4", "float4", "powers_of_two"]

_BLOCK = 32
_BIAS = 127


class Mxfp4:
    """The packing of gpt-oss: bytes [experts, out, blocks, 16] and a scale for each block."""

    methods: tuple[str, ...] = ("mxfp4",)

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Every ``…_blocks`` of bytes that has its ``…_scales``."""
        for name, stored in checkpoint.items():
            scales = f"{name.removesuffix('_blocks')}_scales"
            if name.endswith("_blocks") and stored.tensor.dtype == "uint8" and scales in checkpoint:
                yield name

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """The weights as they are stored, [experts, out, in]. Raises MisfitError."""
        stored = checkpoint[name]
        scales = array_of(f"{name.removesuffix('_blocks')}_scales", checkpoint, name, ("uint8",))
        *lead, blocks, size = stored.tensor.shape if len(stored.tensor.shape) > 1 else (0, 0)
        if scales.shape != (*lead, blocks) or 2 * size != _BLOCK:
            raise MisfitError(f"{name} does not fit its scales in blocks of {_BLOCK}")
        shape = (*lead, blocks * _BLOCK)
        groups = (*[1] * len(lead), _BLOCK)
        quantization = Quantization(Deferred(partial(powers_of_two, scales), scales.shape, groups))
        return float4(stored, shape, quantization, "MXFP4, stored as [experts, out, in]")


def float4(stored: Stored, shape: tuple[int, ...], quantization: Quantization, note: str) -> Tensor:
    """The record of four-bit floats that lie in bytes, rows of whole bytes."""
    import ml_dtypes

    def values() -> Iterator[NDArray[Any]]:
        data = stored.block()
        for first in range(0, len(data), CHUNK // 2):
            yield split_nibbles(data[first : first + CHUNK // 2]).view(ml_dtypes.float4_e2m1fn)

    return replace(
        stored.tensor,
        dtype="float4e2m1",
        shape=shape,
        stored_elements=math.prod(shape),
        values=values,
        quantization=quantization,
        note=note,
    )


def powers_of_two(exponents: NDArray[np.uint8]) -> NDArray[np.float64]:
    """E8M0 bytes → 2^(b − 127); the byte 255 is not a number."""
    found = np.ldexp(1.0, exponents.astype(np.int32) - _BIAS)
    return np.where(exponents == 255, np.nan, found)


def packed_float4(name: str, checkpoint: Checkpoint) -> Tensor:
    """NVFP4 or MXFP4 as compressed-tensors packs it, ``weight_packed`` [out, in / 2].

    Raises:
        MisfitError: it does not fit its scales.
    """
    stored = checkpoint[name]
    stem = name.removesuffix("_packed")
    scales = array_of(f"{stem}_scale", checkpoint, name, (*FLOATS, "uint8"))
    shape = (*stored.tensor.shape[:-1], 2 * stored.tensor.shape[-1]) if stored.tensor.shape else ()
    groups = groups_of(scales.shape, shape, {}, name)
    whole = f"{stem}_global_scale"
    compute: Callable[[], NDArray[Any]]
    if whole in checkpoint:
        divisor = array_of(whole, checkpoint, name, FLOATS).astype(np.float64).reshape(-1)
        if divisor.size != 1 or not divisor[0]:
            raise MisfitError(f"{name} has a global scale that is not one number")
        compute, kind = partial(_divided, scales, float(divisor[0])), "NVFP4"
    elif scales.dtype == np.uint8:
        compute, kind = partial(powers_of_two, scales), "MXFP4"
    else:
        raise MisfitError(f"{name} has neither a global scale nor scales that are powers of two")
    quantization = Quantization(Deferred(compute, scales.shape, groups))
    return float4(stored, shape, quantization, f"compressed-tensors {kind}")


def _divided(scales: NDArray[Any], divisor: float) -> NDArray[np.float64]:
    return scales.astype(np.float64) / divisor
