"""What a forward returns → NumPy arrays by name.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["named_arrays", "tensors_in"]


def named_arrays(result: object) -> tuple[dict[str, NDArray[Any]], bool]:
    """Outputs by name, and whether the model named them itself.

    A tensor is ``output``, the n-th of several ``output_n``; mappings, dataclasses and named tuples
    name their own. None and what is neither tensor nor number is left out.
    """
    members = _members(result)
    if members is not None:
        named = members
    elif isinstance(result, tuple | list):
        named = {f"output_{index}": part for index, part in enumerate(result)}
    else:
        named = {"output": result}
    arrays = {
        name: _array(leaf) if isinstance(leaf, torch.Tensor) else np.asarray(leaf)
        for key, part in named.items()
        for name, leaf in _flatten(str(key), part)
    }
    return arrays, members is not None


def tensors_in(result: object) -> list[torch.Tensor]:
    """The tensors among the outputs, in the order of `named_arrays`."""
    return [leaf for _, leaf in _flatten("", result) if isinstance(leaf, torch.Tensor)]


def _members(held: object) -> dict[str, Any] | None:
    """The parts of something that names its parts; None for anything else."""
    if isinstance(held, Mapping):
        return {str(key): value for key, value in held.items()}
    if dataclasses.is_dataclass(held) and not isinstance(held, type):
        return {field.name: getattr(held, field.name) for field in dataclasses.fields(held)}
    if isinstance(held, tuple) and hasattr(held, "_fields"):
        return dict(zip(held._fields, held, strict=True))
    return None


def _flatten(name: str, held: object) -> Iterator[tuple[str, torch.Tensor | float]]:
    if isinstance(held, torch.Tensor | bool | int | float):
        yield name, held
    elif (members := _members(held)) is not None:
        for key, part in members.items():
            yield from _flatten(f"{name}_{key}", part)
    elif isinstance(held, tuple | list):
        for index, part in enumerate(held):
            yield from _flatten(f"{name}_{index}", part)


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach()
    if tensor.is_nested:
        tensor = torch.nested.to_padded_tensor(tensor, 0.0)
    elif tensor.is_quantized:
        tensor = tensor.dequantize()
    elif tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype == torch.bfloat16 or "float8" in str(tensor.dtype):
        tensor = tensor.to(torch.float32)
    return tensor.cpu().resolve_conj().resolve_neg().numpy()
