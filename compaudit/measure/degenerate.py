"""Scales and zero points by which codes lose what they stood for.

A scale of zero makes every code zero, and one that is no finite number makes none of them a number.
A negative scale is in order (quantisers to 4 bits use them), and so is a scale of zero over codes
that all stand for zero: that is how a channel of zeros is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from compaudit.models.base import Graph, Model, Role, Tensor
from compaudit.models.quantized import Shared
from compaudit.results.behaviour import Degenerate

__all__ = ["degenerate_scales"]

_SCALED = ("QuantizeLinear", "DequantizeLinear")
_SCALE = 1
"""The input slot of a scale in both."""


def degenerate_scales(model: Model) -> list[Degenerate]:
    """Every tensor whose scale or zero point is degenerate, in the order of the model.

    Scales of weights are judged with their codes; scales of what flows between layers by
    themselves. Codes are read only where a scale is zero.
    """
    found = [each for tensor in model.tensors if (each := _of_weight(tensor)) is not None]
    return [*found, *_of_activations(model.tensors, model.graph)]


def _of_weight(tensor: Tensor) -> Degenerate | None:
    quantization = tensor.quantization
    if quantization is None:
        return None
    scale, zero_point = quantization.scale, quantization.zero_point
    broken = sum(_not_finite(part.numbers) for part in (scale, zero_point) if part is not None)
    if broken:
        return Degenerate(name=tensor.name, what="not finite", count=broken)
    if scale is not None and (lost := _lost_to_zero(tensor, scale, zero_point)):
        return Degenerate(name=tensor.name, what="lost", count=lost)
    return None


def _not_finite(numbers: NDArray[np.generic]) -> int:
    return int(np.count_nonzero(~np.isfinite(numbers.astype(np.float64))))


def _lost_to_zero(tensor: Tensor, scale: Shared, zero_point: Shared | None) -> int:
    """How many elements are zero by their scale alone."""
    if tensor.values is None or bool(np.all(scale.numbers != 0)):
        return 0
    lost = start = 0
    for chunk in tensor.values():
        codes = chunk.reshape(-1)
        zeros = scale.at(tensor.shape, start, codes.size) == 0
        zero = 0 if zero_point is None else zero_point.at(tensor.shape, start, codes.size)
        lost += int(np.count_nonzero(zeros & (codes != zero)))
        start += codes.size
    return lost


def _of_activations(tensors: Sequence[Tensor], graph: Graph | None) -> Iterator[Degenerate]:
    """Scales of Quantize- and DequantizeLinear that no stored codes belong to."""
    if graph is None:
        return
    stored = {tensor.name: tensor for tensor in tensors}
    seen = set()
    for node in graph.nodes:
        if node.op not in _SCALED or len(node.inputs) <= _SCALE or node.inputs[0] in stored:
            continue
        scale = stored.get(node.inputs[_SCALE])
        if scale is None or scale.role is not Role.QUANTIZATION or scale.name in seen:
            continue
        seen.add(scale.name)
        numbers = _values_of(scale)
        if broken := _not_finite(numbers):
            yield Degenerate(name=scale.name, what="not finite", count=broken)
        elif zeros := int(np.count_nonzero(numbers == 0)):
            yield Degenerate(name=scale.name, what="zero", count=zeros)


def _values_of(tensor: Tensor) -> NDArray[np.float64]:
    if tensor.values is None:
        return np.ones(0)
    chunks = [chunk.reshape(-1).astype(np.float64) for chunk in tensor.values()]
    return np.concatenate(chunks) if chunks else np.ones(0)
