"""The numbers of a model's weights, wherever it was read.

A model that is read here is read again from its file. One that only running code can read lives in
a worker; its weights are written to files there and mapped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from compaudit.measure.layers.weights import Weights, weights_of
from compaudit.models.base import Model, Role, Tensor

__all__ = ["Spooled", "epsilons_of", "mapped", "spool", "weights_in"]

_CHUNK = 1 << 18
_KEPT = (np.float16, np.float32, np.float64)


class Spooled(msgspec.Struct, frozen=True):
    """One weight in a file: raw numbers in row-major order."""

    tensor: str
    file: str
    dtype: str
    shape: tuple[int, ...]


def weights_in(model: Model) -> dict[str, Weights]:
    """The weights of a model that was read here, and the statistics of its normalisations."""
    found = {tensor.name: weights_of(tensor) for tensor in model.tensors if _matters(tensor)}
    return {name: weights for name, weights in found.items() if weights is not None}


def epsilons_of(model: Model) -> dict[str, float]:
    """The ε of every normalisation, by the tensor that scales it."""
    if model.graph is None:
        return {}
    stated = {
        node.name: float(value)
        for node in model.graph.nodes
        for value in [node.attributes.get("epsilon", node.attributes.get("eps"))]
        if isinstance(value, float)
    }
    return {
        tensor.name: stated[tensor.use.node]
        for tensor in model.tensors
        if tensor.use is not None and tensor.use.node in stated
    }


def spool(model: Model, folder: str) -> list[Spooled]:
    """Write the weights to files. Those that do not fit on the disk are left out."""
    written = []
    for number, (name, weights) in enumerate(weights_in(model).items()):
        file = Path(folder) / f"{number}.raw"
        try:
            dtype = _write(weights, file)
        except OSError:
            file.unlink(missing_ok=True)
            break
        written.append(Spooled(name, str(file), dtype, weights.shape))
    return written


def mapped(spooled: list[Spooled]) -> Mapping[str, Weights]:
    """Weights that a worker has written, mapped."""
    return {item.tensor: _mapped(item) for item in spooled}


def _matters(tensor: Tensor) -> bool:
    return tensor.role is Role.WEIGHT or (tensor.role is Role.BUFFER and len(tensor.shape) == 1)


def _write(weights: Weights, file: Path) -> str:
    dtype = "float32"
    with file.open("wb") as stream:
        for place, chunk in enumerate(weights.read()):
            if place == 0 and chunk.dtype.type in _KEPT:
                dtype = chunk.dtype.name
            stream.write(np.ascontiguousarray(chunk, dtype).data)
    return dtype


def _mapped(item: Spooled) -> Weights:
    def read() -> list[NDArray[np.floating]]:
        if 0 in item.shape:
            return []
        flat = np.memmap(item.file, item.dtype, "r")
        return [flat[start : start + _CHUNK] for start in range(0, flat.size, _CHUNK)]

    return Weights(item.shape, lambda: iter(read()))
