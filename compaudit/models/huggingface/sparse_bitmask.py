"""Pruned weights of compressed-tensors: ``sparse-bitmask`` and ``sparse-24-bitmask``.

``compressed`` has the values that are left, row by row, ``bitmask`` a bit for every weight, lowest
bits first and every row in bytes of its own, and ``shape`` the dense shape. (``row_offsets`` say
where rows begin; they follow from the mask.) The 2:4 kind names them after the module, the other
after the weight. As pack_bitmasks and the two compressors of earlier releases have it.
"""

from __future__ import annotations

import math
from dataclasses import replace

from compaudit.models.base import Tensor
from compaudit.models.huggingface.packing import FLOATS, Checkpoint, MisfitError, array_of, sizes_in
from compaudit.models.quantized import Quantization, Shared

__all__ = ["unpack_bitmask"]


def unpack_bitmask(name: str, checkpoint: Checkpoint) -> Tensor:
    """The weight that is left of a pruned one, at its dense shape.

    Its values are the stored ones, as those of every sparse tensor are.

    Raises:
        MisfitError: mask, shape and values contradict one another.
    """
    stem = name.removesuffix("compressed")
    tensor = checkpoint[name].tensor
    mask = array_of(f"{stem}bitmask", checkpoint, name, ("uint8",))
    shape = sizes_in(f"{stem}shape", checkpoint, name)
    wanted = (*shape[:-1], -(-shape[-1] // 8))
    if mask.shape != wanted:
        raise MisfitError(f"{name} has a bitmask of shape {list(mask.shape)}, not {list(wanted)}")
    kept = tensor.logical_elements
    if kept > math.prod(shape):
        raise MisfitError(f"{name} has {kept} values, more than its shape {list(shape)}")
    scale = f"{stem.removesuffix('weight.')}weight_scale"
    quantization = None
    if scale in checkpoint:
        numbers = array_of(scale, checkpoint, name, FLOATS)
        # One for a row cannot be told from the values alone; none of them is where zero is.
        one = Shared.one(numbers.reshape(-1)[0]) if numbers.size == 1 else None
        quantization = Quantization(one)
    return replace(
        tensor,
        shape=shape,
        quantization=quantization,
        note=f"sparse: {kept} values of {math.prod(shape)}; {stem}bitmask says which",
    )
