"""Small models made of named arrays, ready to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from compaudit.measure.layers.comparison import Subject, compare_layers
from compaudit.measure.layers.names import layer_names
from compaudit.measure.layers.weights import Weights
from compaudit.models.base import Role, Tensor, Use
from compaudit.results import Layer, TensorResult


class Kit:
    def tensor(
        self, name: str, role: Role, shape: tuple[int, ...], use: Use | None = None
    ) -> Tensor:
        size = int(np.prod(shape, dtype=int))
        return Tensor(name, role, "float32", shape, size, 4 * size, use=use)

    def row(self, tensor: Tensor, layer: str | None, **changes: Any) -> TensorResult:
        values: dict[str, Any] = {
            "name": tensor.name,
            "role": tensor.role.value,
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "logical_elements": tensor.logical_elements,
            "stored_elements": tensor.stored_elements,
            "bits": tensor.bits,
            "bytes": tensor.bytes,
            "nonzeros": tensor.logical_elements,
            "entropy_bits": None,
            "layer": layer,
            "op": tensor.use.op if tensor.use else None,
            "computed_dtype": None,
            "scheme": None,
            "block": None,
            "symmetric": None,
            "tied_to": None,
            "location": "file",
            "note": "",
        }
        values |= {key: None for key in TensorResult.__struct_fields__ if key not in values}
        return TensorResult(**{**values, **changes})

    def subject(
        self,
        arrays: Mapping[str, np.ndarray],
        *,
        tied: Mapping[str, str] | None = None,
        epsilons: Mapping[str, float] | None = None,
        chunk: int = 5,
    ) -> Subject:
        """A model of arrays named as PyTorch does; those named running_* are statistics."""
        tensors = [
            self.tensor(
                name,
                Role.BUFFER if "running" in name else Role.BIAS if "bias" in name else Role.WEIGHT,
                array.shape,
            )
            for name, array in arrays.items()
        ]
        rows = [
            self.row(
                tensor, layer, tied_to=(tied or {}).get(tensor.name),
                **({"bytes": 0} if tensor.name in (tied or {}) else {}),
            )
            for tensor, layer in zip(tensors, layer_names(tensors), strict=True)
        ]  # fmt: skip
        weights = {name: self.weights(array, chunk) for name, array in arrays.items()}
        return Subject(rows, None, weights, epsilons or {}, {})

    def weights(self, array: np.ndarray, chunk: int = 5) -> Weights:
        flat = np.ascontiguousarray(array).reshape(-1)
        return Weights(
            array.shape,
            lambda: iter([flat[at : at + chunk] for at in range(0, flat.size, chunk)]),
        )

    def compare(self, original: Any, compressed: Any, **settings: Any) -> dict[str, Layer]:
        """Layers by name."""
        sides = [
            side if isinstance(side, Subject) else self.subject(side, **settings)
            for side in (original, compressed)
        ]
        layers = compare_layers(*sides)
        names = [layer.name for layer in layers]
        assert len(set(names)) == len(names)
        return {layer.name: layer for layer in layers}


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)
