"""Where do the zeros of a weight lie, and what could an execution make of them?

Zeros save time only where they lie as some kernel expects them. A tensor without zeros is not
looked at again; the others are read a second time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from compaudit import machine
from compaudit.measure.contents import Contents
from compaudit.measure.patterns import MOST_COLUMNS, Layout, Mask, Patterns, chance, slabs
from compaudit.measure.zeros import nonzero_test
from compaudit.models.base import Role, Tensor
from compaudit.results import Sparsity

__all__ = ["sparsity_of"]

# N:M patterns that hardware or papers know, the tightest first: of equal shares the one with the
# smaller groups is the stricter. Zhou et al. 2021 (arXiv 2102.04010), Hubara et al. 2021
# (arXiv 2102.08124).
_N_M = ((1, 16), (1, 8), (2, 16), (1, 4), (2, 8), (4, 16), (2, 4), (4, 8), (8, 16))

# Below it the zeros are looked at only if they could fill a channel.
_FEW_ZEROS = 0.005
# "Almost all": what else is zero in a structured tensor is zero by accident.
_ALMOST = 0.95
# Blocks that chance makes whole as often as this prove nothing.
_BY_CHANCE = 0.9
# So many groups would break the pattern if the zeros lay anywhere.
_EXPECTED_EXCEPTIONS = 10

_MOST_THREADS = 4

Structure = Literal["dense", "unstructured", "n_m", "channel", "block"]

_ROWS_ARE_INPUTS = frozenset(
    {
        "ConvTranspose",
        "DynamicQuantizeMatMul",
        "FusedMatMul",
        "MatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QLinearMatMul",
    }
)
_FEWEST_AXES_OF_CONVOLUTION = 4

_DENSE = "too few zeros to use"
_UNSTRUCTURED = "smaller once compressed; no common runtime is faster"
_TWO_OF_FOUR = "2:4 sparse tensor cores (NVIDIA Ampere and newer), in fp16, bf16 or int8"
_OTHER_N_M = "no common hardware runs this pattern (NVIDIA's sparse tensor cores take 2:4)"
_BY_CHANCE_TWO_OF_FOUR = f"{_UNSTRUCTURED}, though it also fits {_TWO_OF_FOUR}"
_CHANNELS = "whole channels can be removed: smaller and faster on every runtime"
_BLOCKS = "kernels for block-sparse matrices of this block size; dense kernels gain nothing"
_STORED_SPARSE = "stored as values and places: smaller as it is; runtimes make it dense to run it"


def sparsity_of(tensors: Sequence[Tensor], contents: Sequence[Contents]) -> list[Sparsity | None]:
    """How the zeros of each weight lie; None for what is no weight, is tied, or cannot be read.

    Args:
        tensors: all stored tensors.
        contents: what the values of each hold.

    Raises:
        RequestError: a tensor's bytes cannot be read any more.
    """
    with ThreadPoolExecutor(min(_MOST_THREADS, machine.usable_cores())) as readers:
        return list(readers.map(_sparsity, tensors, contents))


def _sparsity(tensor: Tensor, held: Contents) -> Sparsity | None:
    if tensor.role is not Role.WEIGHT or tensor.tied_to is not None or held.nonzeros is None:
        return None
    zeros = max(0, tensor.logical_elements - held.nonzeros)
    layout = _layout(tensor)
    if held.values != tensor.logical_elements and not tensor.fill:
        return _told(zeros, "unstructured", _STORED_SPARSE)
    if layout is None or zeros == 0 or not _is_worth_a_look(zeros, layout):
        share = zeros / max(1, tensor.logical_elements)
        if share < _FEW_ZEROS:
            return _told(zeros, "dense", _DENSE)
        return _told(zeros, "unstructured", _UNSTRUCTURED)
    patterns = Patterns(layout)
    if tensor.fill:
        return _found(tensor, layout, zeros, patterns, all_zero=True)
    for slab in slabs(_nonzero(tensor), layout, patterns.slab_rows):
        patterns.add(slab)
    return _found(tensor, layout, zeros, patterns)


def _layout(tensor: Tensor) -> Layout | None:
    """The tensor as a matrix; None where it is none, or its rows are too long to be looked at."""
    shape, op = tensor.shape, tensor.use.op if tensor.use is not None else ""
    if len(shape) < 2:
        return None
    if "Conv" in op or (not op and len(shape) >= _FEWEST_AXES_OF_CONVOLUTION):
        layout = Layout(shape[0], shape[1], math.prod(shape[2:]))
    else:
        layout = Layout(math.prod(shape[:-1]), shape[-1], 1)
    return layout if 0 < layout.columns <= MOST_COLUMNS else None


def _is_worth_a_look(zeros: int, layout: Layout) -> bool:
    elements = layout.rows * layout.columns
    channel = min(layout.columns, layout.rows * layout.kernel)
    return zeros >= min(channel, _FEW_ZEROS * elements)


def _nonzero(tensor: Tensor) -> Iterator[Mask]:
    assert tensor.values is not None
    is_nonzero, start = nonzero_test(tensor), 0
    for chunk in tensor.values():
        yield is_nonzero(chunk, start)
        start += len(chunk)


# ------------------------------------------------------------------------------ the verdict


def _found(
    tensor: Tensor, layout: Layout, zeros: int, seen: Patterns, *, all_zero: bool = False
) -> Sparsity:
    rows = layout.rows if all_zero else seen.zero_rows
    channels = layout.channels if all_zero else seen.zero_channels
    outputs, inputs = rows, channels
    if tensor.use is not None and tensor.use.op in _ROWS_ARE_INPUTS:
        outputs, inputs = channels, rows
    in_channels = rows * layout.columns + channels * layout.kernel * (layout.rows - rows)
    pattern = (1, 16) if all_zero else _pattern(seen)
    block: tuple[int, int] | None = None
    structure: Structure
    if in_channels >= _ALMOST * zeros:
        structure, usable = "channel", _CHANNELS
    elif pattern is not None and not _is_chance(pattern, layout, zeros):
        structure = "n_m"
        usable = _TWO_OF_FOUR if seen.most_nonzeros(4) <= 2 else _OTHER_N_M
    elif (block := _block(seen, layout, zeros)) is not None:
        structure, usable = "block", _BLOCKS
    elif zeros < _FEW_ZEROS * layout.rows * layout.columns:
        structure, usable = "dense", _DENSE
    else:
        fits = seen.most_nonzeros(4) <= 2
        structure, usable = "unstructured", _BY_CHANCE_TWO_OF_FOUR if fits else _UNSTRUCTURED
    return _told(zeros, structure, usable, pattern, outputs, inputs, block)


def _told(
    zeros: int,
    structure: Structure,
    usable: str,
    pattern: tuple[int, int] | None = None,
    outputs: int = 0,
    inputs: int = 0,
    block: tuple[int, int] | None = None,
) -> Sparsity:
    return Sparsity(
        zeros=zeros,
        structure=structure,
        n=None if pattern is None else pattern[0],
        m=None if pattern is None else pattern[1],
        zero_output_channels=outputs,
        zero_input_channels=inputs,
        block=None if block is None else list(block),
        usable=usable,
    )


def _pattern(seen: Patterns) -> tuple[int, int] | None:
    """The tightest N:M pattern that every group obeys."""
    return next(((n, m) for n, m in _N_M if seen.most_nonzeros(m) <= n), None)


def _is_chance(pattern: tuple[int, int], layout: Layout, zeros: int) -> bool:
    """Whether zeros that lay anywhere would obey the pattern as well."""
    n, m = pattern
    elements = layout.rows * layout.columns
    return elements / m * chance(m, n, 1 - zeros / elements) < _EXPECTED_EXCEPTIONS


def _block(seen: Patterns, layout: Layout, zeros: int) -> tuple[int, int] | None:
    """The largest block in which almost all zeros lie, where chance would not put them there."""
    share = zeros / (layout.rows * layout.columns)
    found = [
        block
        for block, inside in seen.in_blocks.items()
        if inside >= _ALMOST * zeros and share ** (math.prod(block) - 1) < _BY_CHANCE
    ]
    return max(found, key=math.prod, default=None)
