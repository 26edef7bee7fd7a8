"""compressed-tensors, the format of llm-compressor and vLLM.

``pack-quantized``: signed codes plus 2^(bits − 1), packed along the rows into int32
``weight_packed`` [out, …]; ``weight_shape`` is the logical shape, and zero points are packed alike
along the columns. Where 32 is no multiple of the bits, earlier releases let no code cross from one
integer into the next, and later ones do. ``int-quantized``, ``float-quantized``,
``naive-quantized`` and ``mxfp8-quantized`` store one code an element; ``nvfp4-pack-quantized`` and
``mxfp4-pack-quantized`` two to a byte. Pruned tensors: see `sparse_bitmask`.

Every record has the shape of the layer's own weight, [out, in].
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Tensor
from compaudit.models.huggingface.deferred import Deferred
from compaudit.models.huggingface.fp4 import packed_float4
from compaudit.models.huggingface.fp8 import shared
from compaudit.models.huggingface.packing import (
    FLOATS,
    INTEGERS,
    Checkpoint,
    Config,
    MisfitError,
    array_of,
    sizes_in,
    whole_number,
)
from compaudit.models.huggingface.sparse_bitmask import unpack_bitmask
from compaudit.models.huggingface.words import by_rows, unpack_words, words_of
from compaudit.models.quantized import Quantization, Shared

__all__ = ["CompressedTensors"]

_WIDTH = 32
_BITS = range(1, 9)


class _Layout(NamedTuple):
    bits: int
    crossing: bool


class CompressedTensors:
    """The packings of compressed-tensors."""

    methods: tuple[str, ...] = ("compressed-tensors",)

    def packed(self, config: Config, checkpoint: Checkpoint) -> Iterable[str]:
        """Packed and pruned weights, and codes of whole bytes that have scales."""
        for name, stored in checkpoint.items():
            last, dtype = name.rpartition(".")[2], stored.tensor.dtype
            pruned = last == "compressed" and f"{name.removesuffix(last)}bitmask" in checkpoint
            codes = dtype == "int8" or dtype.startswith("float8")
            if last == "weight_packed" or pruned or (codes and f"{name}_scale" in checkpoint):
                yield name

    def unpack(self, name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
        """One weight, [out, in]. Raises MisfitError."""
        if name.endswith(".compressed"):
            return unpack_bitmask(name, checkpoint)
        if not name.endswith("weight_packed"):
            return _whole_bytes(name, config, checkpoint)
        if config.get("format") == "marlin-24":
            raise MisfitError(f"{name} is packed in the order of a GPU kernel (marlin-24)")
        match checkpoint[name].tensor.dtype:
            case "int32":
                return _words(name, config, checkpoint)
            case "uint8":
                return packed_float4(name, checkpoint)
            case other:
                raise MisfitError(
                    f"{name} is packed into {other}, which compressed-tensors never does"
                )


def _whole_bytes(name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
    tensor = checkpoint[name].tensor
    index = f"{name}_g_idx" if f"{name}_g_idx" in checkpoint else ""
    scale = _first_that_fits(name, tensor.shape, [*_blocks(config), None], checkpoint, index)
    zero_point = None
    if f"{name}_zero_point" in checkpoint:
        points = array_of(f"{name}_zero_point", checkpoint, name, (*INTEGERS, *FLOATS))
        zero_point = _spread(name, points, scale) if np.any(points != 0) else None
    return replace(tensor, quantization=Quantization(scale, zero_point), note="compressed-tensors")


def _first_that_fits(
    name: str, shape: tuple[int, ...], blocks: list[object], checkpoint: Checkpoint, index: str
) -> Shared:
    """Scales in one of the block sizes of the configuration; the last is tried in any case."""
    for block in blocks[:-1]:
        with contextlib.suppress(MisfitError):
            return shared(name, f"{name}_scale", shape, block, checkpoint, index)
    return shared(name, f"{name}_scale", shape, blocks[-1], checkpoint, index)


def _spread(name: str, points: NDArray[Any], scale: Shared) -> Shared:
    """Zero points, one beside every scale. Raises MisfitError."""
    if points.size != math.prod(scale.counts):
        raise MisfitError(
            f"{name} has {math.prod(scale.counts)} scales and {points.size} zero points"
        )
    return Shared(points.reshape(scale.counts), scale.groups)


def _words(name: str, config: Config, checkpoint: Checkpoint) -> Tensor:
    stem = name.removesuffix("_packed")
    words = array_of(name, checkpoint, name, INTEGERS)
    shape = sizes_in(f"{stem}_shape", checkpoint, name)
    if len(shape) != 2 or words.ndim != 2 or words.shape[0] != shape[0]:
        raise MisfitError(
            f"{name} of shape {list(words.shape)} holds no matrix of shape {list(shape)}"
        )
    rows, columns = shape
    bits, crossing = _layout(name, config, columns, words.shape[1])
    index = f"{stem}_g_idx" if f"{stem}_g_idx" in checkpoint else ""
    scale = shared(name, f"{stem}_scale", shape, _group_of(config, bits), checkpoint, index)

    def codes(first: int, last: int) -> NDArray[np.int8]:
        return _signed(unpack_words(words[first:last], bits, crossing=crossing)[:, :columns], bits)

    return replace(
        checkpoint[name].tensor,
        dtype=f"int{bits}",
        shape=shape,
        stored_elements=rows * columns,
        values=by_rows(rows, columns, codes),
        quantization=Quantization(
            scale, _zero_point(name, rows, _Layout(bits, crossing), scale, checkpoint)
        ),
        note=f"compressed-tensors, {bits} bits",
    )


def _layout(name: str, config: Config, columns: int, words: int) -> _Layout:
    """The bits of the one group of the configuration that the sizes fit. Raises MisfitError.

    Groups name their modules by class or by regular expression; the sizes say as surely which one
    it is, so no expression of a file is run.
    """
    stated = {bits for bits in map(_bits_of, _groups(config)) if bits is not None and bits in _BITS}
    found = [
        _Layout(bits, crossing)
        for bits in sorted(stated)
        for crossing in ((True,) if _WIDTH % bits == 0 else (True, False))
        if words_of(columns, bits, _WIDTH, crossing=crossing) == words
    ]
    if len(found) == 2 and found[0].bits == found[1].bits and columns <= _WIDTH // found[0].bits:
        found.pop()  # all within one integer: the two are the same
    if len(found) != 1:
        known = ", ".join(map(str, sorted(stated))) or "unstated"
        how = "in more than one way" if found else "in no way"
        raise MisfitError(
            f"{name} packs {columns} columns into {words} integers, which fits the {known} bits of "
            f"its quantization_config {how}"
        )
    return found[0]


def _zero_point(
    name: str, rows: int, layout: _Layout, scale: Shared, checkpoint: Checkpoint
) -> Shared | None:
    """Zero points: int8, one each, or packed along the columns as the weights are along rows."""
    full = f"{name.removesuffix('_packed')}_zero_point"
    if full not in checkpoint:
        return None
    points = array_of(full, checkpoint, name, INTEGERS)
    if points.dtype != np.int32:
        return _spread(name, points, scale)
    wanted = (
        words_of(rows, layout.bits, _WIDTH, crossing=layout.crossing),
        scale.counts[-1],
    )
    if points.shape != wanted or scale.counts[0] != rows:
        raise MisfitError(
            f"{name} does not fit its packed zero points of shape {list(points.shape)}"
        )
    return Deferred(partial(_points, points, rows, layout), scale.counts, scale.groups)


def _points(words: NDArray[np.int32], rows: int, layout: _Layout) -> NDArray[np.int8]:
    """[packed rows, groups] → [rows, groups]."""
    codes = unpack_words(words.T, layout.bits, crossing=layout.crossing)
    return _signed(codes[:, :rows].T, layout.bits)


def _signed(codes: NDArray[np.uint8], bits: int) -> NDArray[np.int8]:
    moved: NDArray[np.int8] = (codes - np.uint8(1 << (bits - 1))).view(np.int8)
    return moved


# ------------------------------------------------------------------- what the configuration says


def _groups(config: Config) -> Iterator[Mapping[str, Any]]:
    """What each group of modules does with weights."""
    groups = config.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping):
            yield weights


def _bits_of(weights: Mapping[str, Any]) -> int | None:
    return whole_number(weights, "num_bits")


def _group_of(config: Config, bits: int) -> int | None:
    """The group size that goes with these bits; None where there are several or none."""
    found = {
        whole_number(group, "group_size") for group in _groups(config) if _bits_of(group) == bits
    }
    return found.pop() if len(found) == 1 else None


def _blocks(config: Config) -> Iterator[object]:
    return (group["block_structure"] for group in _groups(config) if group.get("block_structure"))
