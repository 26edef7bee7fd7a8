"""Types and storages of torch tensors, in the ledger's terms.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from compaudit.models.torch.names import Entry
from compaudit.models.torch.strided import Strided

__all__ = ["dtype_name", "entry_of", "is_uninitialised", "strided_view"]

_DTYPES: dict[torch.dtype, str] = {
    torch.float8_e4m3fn: "float8e4m3fn",
    torch.float8_e4m3fnuz: "float8e4m3fnuz",
    torch.float8_e5m2: "float8e5m2",
    torch.float8_e5m2fnuz: "float8e5m2fnuz",
    torch.float8_e8m0fnu: "float8e8m0",
    torch.qint8: "int8",
    torch.quint8: "uint8",
    torch.qint32: "int32",
    torch.quint4x2: "uint4",
    torch.quint2x4: "uint2",
}
_PLAIN = frozenset(
    [
        "float64",
        "float32",
        "float16",
        "bfloat16",
        "complex64",
        "complex128",
        "complex32",
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    ]
)


def dtype_name(dtype: torch.dtype) -> str:
    """The ledger's name of a torch type; ``uint8`` for what is only a container of bits."""
    name = _DTYPES.get(dtype) or str(dtype).removeprefix("torch.")
    return name if name in _PLAIN or dtype in _DTYPES else "uint8"


def entry_of(tensor: torch.Tensor) -> Entry:
    """What the rules on names need to know of a tensor; for tensors that are initialised."""
    return Entry(dtype_name(tensor.dtype), tuple(tensor.shape))


def is_uninitialised(tensor: torch.Tensor) -> bool:
    """Whether this is a lazy module's parameter that has no shape yet."""
    return torch.nn.parameter.is_lazy(tensor)


def strided_view(tensor: torch.Tensor) -> Strided:
    """A dense tensor as a view of its storage; reading it brings a device's storage here."""
    storage = tensor.untyped_storage()
    return Strided(
        block=(str(tensor.device), storage.data_ptr() or storage._cdata),
        block_bytes=storage.nbytes(),
        read=lambda: _bytes_of(storage),
        dtype=dtype_name(tensor.dtype),
        shape=tuple(tensor.shape),
        strides=tuple(tensor.stride()),
        offset=int(tensor.storage_offset()),
    )


def _bytes_of(storage: torch.UntypedStorage) -> NDArray[np.uint8]:
    here = storage if storage.device.type == "cpu" else storage.cpu()  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(here).numpy()
