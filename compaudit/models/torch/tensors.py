"""torch tensors → the ledger's `Tensor` records: strided, sparse, quantised, wrapped or meta.

Imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compaudit.models.base import Role, Tensor
from compaudit.models.quantized import Quantization, Shared
from compaudit.models.torch.elements import dtype_name, strided_view
from compaudit.models.torch.masks import pruned
from compaudit.models.torch.names import Entry
from compaudit.models.torch.ownership import place
from compaudit.models.torch.strided import Strided

__all__ = ["Item", "ledger"]


@dataclass(frozen=True, slots=True)
class Item:
    """A named tensor on its way into the ledger."""

    name: str
    tensor: torch.Tensor
    role: Role
    note: str = ""


def ledger(items: Iterable[Item], location: str) -> tuple[Tensor, ...]:
    """One record per tensor, and one per scale or zero point stored with it; ties found."""
    unique = {item.name: item for item in items}
    records: dict[str, Tensor] = {}
    views: dict[str, Strided] = {}
    for item in unique.values():
        for record, view in _records(item, location):
            records[record.name] = record
            if view is not None:
                views[record.name] = view
    for name, where in place(views).items():
        note = records[name].note
        if where.shared:
            note = f"{note}; " * bool(note) + f"shares {where.shared} bytes with other tensors"
        records[name] = replace(records[name], bytes=where.bytes, tied_to=where.tied_to, note=note)
    return tuple(_with_masks(records))


def _with_masks(records: Mapping[str, Tensor]) -> Iterator[Tensor]:
    entries = {name: Entry(record.dtype, record.shape) for name, record in records.items()}
    for record in records.values():
        yield pruned(record, records, entries)


_Record = tuple[Tensor, Strided | None]


def _records(item: Item, location: str) -> Iterator[_Record]:
    tensor = item.tensor.detach() if item.tensor.requires_grad else item.tensor
    if tensor.is_meta or type(tensor).__name__ == "FakeTensor":
        yield _record(item, tensor, 0, 0, None, "meta", "a meta tensor: it has no values"), None
    elif _is_wrapper(tensor):
        yield from _wrapped(item, tensor, location)
    elif tensor.is_nested:
        flat = tensor.values()
        yield from _records(replace(item, tensor=flat, note="nested: its values"), location)
    elif tensor.is_quantized:
        yield from _quantized(item, tensor, location)
    elif not _has_storage(tensor):
        yield _opaque(item, tensor, location), None
    elif tensor.layout == torch.strided:
        view = strided_view(tensor)
        record = _record(item, tensor, tensor.numel(), view.item_bytes, view.values, location)
        if view.is_fill:
            record = replace(record, stored_elements=1, fill=True)
        yield record, view
    else:
        yield _sparse(item, tensor, location), None


def _record(
    item: Item,
    tensor: torch.Tensor,
    stored: int,
    size: int,
    values: Callable[[], Iterator[NDArray[Any]]] | None,
    location: str,
    note: str = "",
) -> Tensor:
    return Tensor(
        name=item.name,
        role=item.role,
        dtype=dtype_name(tensor.dtype),
        shape=tuple(tensor.shape),
        stored_elements=stored,
        bytes=stored * size,
        values=values,
        location=location,
        note=note or item.note,
    )


def _reader(compute: Callable[[], torch.Tensor]) -> Callable[[], Iterator[NDArray[Any]]]:
    """Reads what is only known after a conversion; the converted tensor is held while reading."""

    def values() -> Iterator[NDArray[Any]]:
        with torch.no_grad():
            flat = compute().detach().reshape(-1).cpu()
        yield from strided_view(flat).values()

    return values


def _sparse(item: Item, tensor: torch.Tensor, location: str) -> Tensor:
    """Values and indices both cost bytes; the values that are read are the stored ones."""
    if tensor.layout == torch.sparse_coo:
        stored = [tensor._values(), tensor._indices()]
        values = _reader(lambda: tensor.coalesce().values())
    elif tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        stored = [tensor.values(), tensor.crow_indices(), tensor.col_indices()]
        values = _reader(lambda: stored[0])
    elif tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        stored = [tensor.values(), tensor.ccol_indices(), tensor.row_indices()]
        values = _reader(lambda: stored[0])
    else:
        stored = [tensor.to_dense()]
        values = _reader(lambda: stored[0])
    record = _record(item, tensor, sum(part.numel() for part in stored), 0, values, location)
    layout = str(tensor.layout).removeprefix("torch.")
    return replace(
        record,
        bytes=sum(part.numel() * part.element_size() for part in stored),
        note=f"{layout}: {stored[0].numel()} values and their indices",
    )


def _quantized(item: Item, tensor: torch.Tensor, location: str) -> Iterator[_Record]:
    """Codes, and per-channel scales and zero points, which a file stores as tensors of their own.

    A single scale and zero point are numbers in the pickle, not tensors.
    """
    dtype = dtype_name(tensor.dtype)
    bits = int("".join(filter(str.isdigit, dtype)))
    elements = tensor.numel()
    per_channel = tensor.qscheme() in (
        torch.per_channel_affine,
        torch.per_channel_symmetric,
        torch.per_channel_affine_float_qparams,
    )
    if per_channel:
        axis, shape = tensor.q_per_channel_axis(), tuple(tensor.shape)
        points = tensor.q_per_channel_zero_points().numpy()
        if np.array_equal(points, np.rint(points)):
            points = points.astype(np.int64)
        quantization = Quantization(
            Shared.per_channel(tensor.q_per_channel_scales().numpy(), axis, shape),
            Shared.per_channel(points, axis, shape),
        )
    else:
        quantization = Quantization(
            Shared.one(tensor.q_scale()), Shared.one(np.int64(tensor.q_zero_point()))
        )
    codes = _reader(tensor.int_repr if bits >= 8 else lambda: _unpacked_codes(tensor, bits))
    record = replace(
        _record(item, tensor, elements, 0, codes, location),
        dtype=dtype,
        bytes=-(-elements * bits // 8),
        quantization=quantization,
    )
    yield record, None
    if per_channel:
        parts = {
            "scales": tensor.q_per_channel_scales(),
            "zero_points": tensor.q_per_channel_zero_points(),
        }
        for suffix, part in parts.items():
            yield from _records(
                Item(f"{item.name}.{suffix}", part, Role.QUANTIZATION, f"of {item.name}"), location
            )


def _unpacked_codes(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes of ``quint4x2`` and ``quint2x4``, whose ``int_repr`` stays packed."""
    packed = tensor.int_repr().reshape(-1)
    parts = [(packed >> shift) & ((1 << bits) - 1) for shift in range(0, 8, bits)]
    return torch.stack(parts, dim=1).reshape(-1)[: tensor.numel()]


def _is_wrapper(tensor: torch.Tensor) -> bool:
    return hasattr(tensor, "__tensor_flatten__")


def _has_storage(tensor: torch.Tensor) -> bool:
    """Whether the bytes can be reached: a subclass may be a name for something elsewhere."""
    if tensor.layout != torch.strided:
        return True
    try:
        tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return False
    return True


def _opaque(item: Item, tensor: torch.Tensor, location: str) -> Tensor:
    note = f"a {type(tensor).__name__}: where it keeps its values is unknown"
    return _record(item, tensor, 0, 0, None, location, note)


def _wrapped(item: Item, tensor: Any, location: str) -> Iterator[_Record]:
    """A tensor subclass that wraps others: the largest holds the codes, the rest describes them."""
    names, _ = tensor.__tensor_flatten__()
    parts = {name: getattr(tensor, name) for name in names}
    parts = {name: part for name, part in parts.items() if isinstance(part, torch.Tensor)}
    kind = type(tensor).__name__
    if not parts:
        yield _opaque(item, tensor, location), None
        return
    main = max(parts, key=lambda name: parts[name].numel() * parts[name].element_size())
    held = parts.pop(main)
    for record, view in _records(replace(item, tensor=held, note=f"a {kind}"), location):
        if record.name != item.name or record.logical_elements == tensor.numel():
            yield replace(record, shape=tuple(tensor.shape)), view
            continue
        bits = record.bytes * 8 / max(tensor.numel(), 1)
        packed = f"int{int(bits)}" if bits in (1, 2, 4) else record.dtype
        yield (
            replace(
                record,
                shape=tuple(tensor.shape),
                dtype=packed,
                stored_elements=tensor.numel(),
                values=None,
                note=f"a {kind} of {bits:g} bits an element; its values are not read",
            ),
            view,
        )
    for name, part in parts.items():
        note = f"of {item.name}"
        yield from _records(Item(f"{item.name}.{name}", part, Role.QUANTIZATION, note), location)
