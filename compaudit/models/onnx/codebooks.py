"""Shared weights: stored indices that a Gather looks up in a stored table of few numbers.

The indices are then the codes of a weight, and the table is their codebook (weight sharing: Han et
al. 2016, *Deep Compression*, section 3). A table of words, with a row for each, is no such thing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compaudit.models.base import Node, Role, Use
from compaudit.models.onnx.elements import is_real
from compaudit.models.onnx.meaning import Lookup
from compaudit.models.onnx.tensors import Payload
from compaudit.models.onnx.uses import arrivals
from compaudit.models.quantized import Quantization, Shared

__all__ = ["SharedWeights", "shared_weights"]

_MOST_SHARED = 2**16
"""Codes of up to 16 bits; a longer table saves nothing."""


class SharedWeights:
    """What a tensor is to the Gather that looks codes up.

    Attributes:
        role: weight for the codes, quantization for the codebook.
        quantization: of the codes; None for the codebook.
        use: what computes with the weight that comes of it.
    """

    def __init__(self, node: Node, table: Payload, lookup: Lookup, *, codes: bool) -> None:
        self.role = Role.WEIGHT if codes else Role.QUANTIZATION
        self.quantization = None
        if codes:
            numbers = table.array().astype(np.float64)
            self.quantization = Quantization(scale=Shared.one(np.ones(())), codebook=numbers)
        home = next(arrivals(node.outputs[0], table.dtype, lookup), None)
        self.use = Use(node.name, node.op) if home is None else Use(home.node.name, home.node.op)
        if codes and home is not None:
            self.use = Use(home.node.name, home.node.op, home.dtype)


def shared_weights(name: str, role: Role, payload: Payload, lookup: Lookup) -> SharedWeights | None:
    """Whether a stored tensor is the codes or the codebook of shared weights; mostly it is neither.

    Args:
        name: the tensor, as the graph calls it.
        role: what it would be otherwise.
        payload: what it stores.
        lookup: the uses of all values, and the stored tensors.
    """
    codes = not is_real(payload.dtype)
    if role is not (Role.CONSTANT if codes else Role.WEIGHT) or payload.values is None:
        return None
    for node in _lookups(name, payload, 1 if codes else 0, lookup):
        table, indices = lookup.payload(node, 0), lookup.payload(node, 1)
        if table is not None and indices is not None and _fit(table, indices) and node.outputs:
            return SharedWeights(node, table, lookup, codes=codes)
    return None


def _lookups(name: str, payload: Payload, slot: int, lookup: Lookup) -> Iterator[Node]:
    """Every Gather that takes the tensor there."""
    for arrival in arrivals(name, payload.dtype, lookup):
        node = arrival.node
        if (node.domain, node.op, arrival.slot) == ("", "Gather", slot):
            yield node


def _fit(table: Payload, indices: Payload) -> bool:
    """Whether these are few numbers, and many places of theirs."""
    if len(table.shape) != 1 or not is_real(table.dtype) or table.values is None:
        return False
    if is_real(indices.dtype) or indices.values is None:
        return False
    if not 1 < table.elements <= min(_MOST_SHARED, indices.elements - 1):
        return False
    most = table.elements
    return all(
        chunk.size == 0 or (-most <= int(chunk.min()) and int(chunk.max()) < most)
        for chunk in indices.values()
    )
