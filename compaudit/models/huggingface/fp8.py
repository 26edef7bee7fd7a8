"""Whole-byte codes with scales beside them: float8 and int8 weights that need no unpacking.

``weight_scale_inv`` is DeepSeek's name for the number that the codes are *multiplied* by, one for
each block of 128 × 128 (DeepSeek-V3, arXiv 2412.19437, §3.3); ``weight_scale`` is everybody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compaudit.models.base import Tensor
from compaudit.models.huggingface.deferred import Deferred
from compaudit.models.huggingface.fp4 import powers_of_two
from compaudit.models.huggingface.packing import (
    FLOATS,
    Checkpoint,
    Config,
    MisfitError,
    array_of,
    groups_by,
)
from compaudit.models.quantized import Quantization, Shared

__all__ = ["Fp8", "shared"]

_USUAL_BLOCK = [128, 128]  # transformers' FineGrainedFP8Config
_SUFFIXES = ("_scale_inv", "_scale")


class Fp8:
    """Fine-grained float8 as transformers and DeepSeek save it, and FBGEMM's by rows."""

    methods: tuple[str, ...] = ("fp8", "fbgemm_fp8")

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Every float8 tensor that has a scale."""
        for name, stored in checkpoint.items():
            if stored.tensor.dtype.startswith("float8") and _scale_of(name, checkpoint):
                yield name

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """The tensor as it is, with the meaning of its codes. Raises MisfitError."""
        block = config.get("weight_block_size") or _USUAL_BLOCK
        if not _steps(block, 2):
            raise MisfitError(f"{name} has blocks that its quantization_config states wrongly")
        tensor = checkpoint[name].tensor
        scale = shared(name, _scale_of(name, checkpoint), tensor.shape, block, checkpoint)
        return replace(tensor, quantization=Quantization(scale), note="float8")


def shared(
    name: str,
    scale: str,
    shape: tuple[int, ...],
    block: object,
    checkpoint: Checkpoint,
    index: str = "",
) -> Shared:
    """Scales as the elements of a tensor share them.

    Args:
        name: how errors name the tensor.
        scale: the name of the scales.
        shape: the tensor's.
        block: sizes of a block along the last axes, as a configuration states them, or the size
            along the last one; anything else is ignored.
        checkpoint: where they are.
        index: the tensor of each last position's group; empty where they follow one another.

    Raises:
        MisfitError: the scales do not fit.
    """
    numbers = array_of(scale, checkpoint, name, (*FLOATS, "uint8"))
    if numbers.size == 0:
        raise MisfitError(f"{name} has no number in {scale}")
    exponents = numbers.dtype == np.uint8
    if numbers.size == 1:
        one = powers_of_two(numbers) if exponents else numbers
        return Shared.one(one.reshape(-1)[0])
    if numbers.ndim == len(shape) - 1:
        numbers = numbers[..., None]
    groups = groups_by(name, numbers.shape, shape, _steps(block, len(shape)), checkpoint, index)
    if exponents:
        return Deferred(partial(powers_of_two, numbers), numbers.shape, groups)
    return Shared(numbers, groups)


def _steps(block: object, rank: int) -> Mapping[int, int]:
    sizes: list[Any] = block if isinstance(block, list) else [block]
    if not all(type(size) is int and size > 0 for size in sizes) or len(sizes) > rank:
        return {}
    return {rank - len(sizes) + place: size for place, size in enumerate(sizes)}


def _scale_of(name: str, checkpoint: Checkpoint) -> str:
    return next((name + suffix for suffix in _SUFFIXES if name + suffix in checkpoint), "")
