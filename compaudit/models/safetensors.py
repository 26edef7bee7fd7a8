"""safetensors files: a JSON header and raw tensors. Needs no PyTorch and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from compaudit.errors import RequestError
from compaudit.models.base import Head, Model, Runner, RunSettings, Source, Tensor, bits_of
from compaudit.models.torch.masks import pruned
from compaudit.models.torch.names import Entry, packing_of, roles_of
from compaudit.models.torch.strided import (
    Strided,
    contiguous_strides,
    numpy_type,
    unpacked,
)

__all__ = ["SafetensorsFormat", "Stored", "mapped_tensors", "stored_tensors"]

_PREFIX_BYTES = 8
_LARGEST_HEADER = 100_000_000  # the library's own limit
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "C64": "complex64",
    "F8_E4M3": "float8e4m3fn",
    "F8_E5M2": "float8e5m2",
    "F8_E4M3FNUZ": "float8e4m3fnuz",
    "F8_E5M2FNUZ": "float8e5m2fnuz",
    "F8_E8M0": "float8e8m0",
    "F6_E2M3": "float6e2m3",
    "F6_E3M2": "float6e3m2",
    "F4": "float4e2m1",
}


class SafetensorsFormat:
    """A file of tensors. It has no code, so it cannot be run alone."""

    name = "safetensors"
    runtime: Literal["onnxruntime", "torch"] | None = None
    reading: Literal["static", "trusted", "own"] = "static"
    running: Literal["static", "trusted", "own"] = "static"

    def recognise(self, head: Head) -> bool:
        """A header length that the file can hold, then the JSON object that it counts."""
        length = int.from_bytes(head.start[:_PREFIX_BYTES], "little")
        after = head.start[_PREFIX_BYTES : _PREFIX_BYTES + 64]
        # A length beyond the file is recognised too, so that the error can say what is wrong.
        return 2 <= length <= max(head.size, _LARGEST_HEADER) and after[:1] == b"{"

    def read(self, source: Source) -> Model:
        """The ledger: one tensor per entry, read from the mapped file."""
        path = Path(source.path or "")
        tensors = stored_tensors(source, path)
        entries = {tensor.name: Entry(tensor.dtype, tensor.shape) for tensor in tensors}
        return Model(source, tensors, None, (path,), uncounted=packing_of(entries))

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """Always a RequestError: tensors have no code."""
        raise RequestError(
            f"{source.spec} is a safetensors file: it holds tensors and no code to run",
            hint=f"name the code that builds the network: package.module:factory@{source.spec}",
            code="not-executable",
            model=source.spec,
            stage="load",
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a safetensors file and its bytes, mapped: they are read where they are used."""

    tensor: Tensor
    block: Callable[[], NDArray[np.uint8]]

    def array(self) -> NDArray[Any]:
        """The elements in their stored shape, still mapped; for element types of whole bytes.

        They may lie unaligned, which NumPy reads as well as it reads others.
        """
        raw = np.asarray(self.block())
        return raw.view(numpy_type(self.tensor.dtype)).reshape(self.tensor.shape)


def stored_tensors(source: Source, path: Path) -> tuple[Tensor, ...]:
    """Every tensor of one safetensors file. Raises RequestError as `mapped_tensors` does."""
    return tuple(stored.tensor for stored in mapped_tensors(source, path).values())


def mapped_tensors(source: Source, path: Path) -> dict[str, Stored]:
    """Every tensor of one safetensors file by its name, with its bytes.

    Raises:
        RequestError: the library refuses the file, or it names a tensor twice.
    """
    _validate(source, path)
    header, data_start = _header(source, path)
    file = np.memmap(path, dtype=np.uint8, mode="r")
    entries = {
        name: Entry(_dtype(source, name, info["dtype"]), tuple(info["shape"]))
        for name, info in header.items()
        if name != "__metadata__"
    }
    roles = roles_of(entries)
    tensors: dict[str, Tensor] = {}
    blocks: dict[str, Callable[[], NDArray[np.uint8]]] = {}
    for name, entry in entries.items():
        begin, end = header[name]["data_offsets"]
        block = blocks[name] = partial(_slice, file, data_start + begin, data_start + end)
        elements = int(np.prod(entry.shape, dtype=object))
        tensors[name] = Tensor(
            name=name,
            role=roles[name],
            dtype=entry.dtype,
            shape=entry.shape,
            stored_elements=elements,
            bytes=end - begin,
            values=_values(block, end - begin, entry, elements),
        )
    return {
        name: Stored(pruned(tensor, tensors, entries), blocks[name])
        for name, tensor in tensors.items()
    }


def _validate(source: Source, path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise _broken(source, f"is a broken safetensors file: {error}") from error
    except OSError as error:
        raise RequestError(
            f"{source.spec} cannot be read: {error.strerror or error}",
            hint="check the path and its permissions",
            code="unreadable-file",
            model=source.spec,
            stage="open",
        ) from error


def _header(source: Source, path: Path) -> tuple[dict[str, Any], int]:
    """The header that the library has just accepted, and where the data begin."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_PREFIX_BYTES), "little")
        text = stream.read(length)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _broken(source, f"names {twice} twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique), _PREFIX_BYTES + length
    except (ValueError, RecursionError) as error:
        raise _broken(source, f"has a broken header: {error}") from error


def _dtype(source: Source, name: str, dtype: str) -> str:
    if dtype not in _DTYPES:
        raise RequestError(
            f"{name} in {source.spec} is of type {dtype}, which compaudit does not know",
            hint="save it in a common type",
            code="unsupported-dtype",
            model=source.spec,
            stage="open",
        )
    return _DTYPES[dtype]


def _broken(source: Source, what: str) -> RequestError:
    return RequestError(
        f"{source.spec} {what}",
        hint="export or download the model again",
        code="broken-model",
        model=source.spec,
        stage="open",
    )


def _slice(file: NDArray[np.uint8], begin: int, end: int) -> NDArray[np.uint8]:
    return file[begin:end]


def _values(
    block: Callable[[], NDArray[np.uint8]], size: int, entry: Entry, elements: int
) -> Callable[[], Iterator[NDArray[Any]]]:
    bits = bits_of(entry.dtype)
    if bits < 8:
        codes, kind = unpacked(block, bits, elements), numpy_type(entry.dtype)
        return lambda: (chunk.view(kind) for chunk in codes())
    strides = contiguous_strides(entry.shape)
    return Strided(None, size, block, entry.dtype, entry.shape, strides).values
