"""The static reading of a ``.pt2`` archive: its JSON, typed, and its raw tensors, mapped.

The layout is that of torch/export/pt2_archive/_package.py in torch 2.9 and newer. Whatever differs
is refused, never guessed. No torch here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np

from compaudit.models.base import Graph, Role, Tensor, Use
from compaudit.models.quantized import Quantization, Shared
from compaudit.models.torch import exported_schema as schema
from compaudit.models.torch.archive import Archive, broken, unsafe
from compaudit.models.torch.exported_graph import Uses, neutral_graph
from compaudit.models.torch.masks import pruned
from compaudit.models.torch.names import Entry, is_weight_name, roles_of
from compaudit.models.torch.ownership import place
from compaudit.models.torch.strided import Strided

__all__ = ["read_graph", "read_tensors"]

_MODEL = "model"
_FOLDERS = {
    "data/weights/": "model_weights_config.json",
    "data/constants/": "model_constants_config.json",
}
_KEPT_BY_NAME = (Role.WEIGHT, Role.BIAS, Role.QUANTIZATION, Role.CONSTANT)


def read_graph(archive: Archive) -> tuple[Graph, Uses]:
    """The graph. Raises RequestError where the archive has another layout."""
    models = [name for name in archive.members if name.startswith("models/")]
    if models != [f"models/{_MODEL}.json"]:
        held = f"{len(models)} programs" if models else "no program"
        raise broken(archive.source, f"holds {held}, not one", "unsupported-archive")
    program = archive.decode(models[0], schema.Program)
    try:
        return neutral_graph(program.graph_module)
    except (
        KeyError, TypeError, ValueError, IndexError, AttributeError,
        RecursionError, msgspec.MsgspecError,
    ) as error:  # fmt: skip
        raise broken(
            archive.source,
            f"describes its graph in an unknown way: {error!r}",
            "unsupported-archive",
        ) from error


def read_tensors(archive: Archive, uses: Uses) -> tuple[tuple[Tensor, ...], str | None]:
    """Every stored tensor, and why parameters cannot be counted where one is a pickle."""
    if "byteorder" in archive.members and archive.block("byteorder").tobytes() != b"little":
        raise broken(archive.source, "was written on a big-endian machine", "unsupported-archive")
    payloads = {
        name: (folder + payload.path_name, payload)
        for folder, config in _FOLDERS.items()
        for name, payload in _payloads(archive, folder, config).items()
    }
    plain = {
        name: (path, payload, payload.tensor_meta)
        for name, (path, payload) in payloads.items()
        if payload.tensor_meta is not None and not payload.use_pickle
    }
    views = {name: _view(archive, name, path, meta) for name, (path, _, meta) in plain.items()}
    entries = {name: Entry(view.dtype, view.shape) for name, view in views.items()}
    by_name = roles_of(entries)
    places = place(views)
    tensors: dict[str, Tensor] = {}
    for name, view in views.items():
        payload = payloads[name][1]
        tensors[name] = Tensor(
            name=name,
            role=_role(name, payload, by_name[name], uses),
            dtype=view.dtype,
            shape=view.shape,
            stored_elements=1 if view.is_fill else view.elements,
            bytes=places[name].bytes,
            values=view.values,
            fill=view.is_fill,
            tied_to=places[name].tied_to,
            note="not persistent: no state dict holds it" if name in uses.not_persistent else "",
        )
    pickled = [name for name, (_, payload) in payloads.items() if payload.use_pickle]
    weights = [name for name in pickled if payloads[name][1].tensor_meta is not None]
    weights += [name for name in pickled if payloads[name][1].is_param and name not in weights]
    reason = None
    if weights:
        reason = f"{weights[0]} is stored as a pickle, which cannot be read without running it"
    return tuple(_finish(tensors, uses)), reason


def _payloads(archive: Archive, folder: str, config: str) -> Mapping[str, schema.Payload]:
    if folder + config not in archive.members and any(
        name.startswith(folder) and name.endswith(".pt") for name in archive.members
    ):
        raise broken(archive.source, "stores its tensors as a pickle", "unsupported-archive")
    return archive.decode(folder + config, schema.Payloads).config


def _view(archive: Archive, name: str, path: str, meta: schema.Meta) -> Strided:
    member = archive.members.get(path)
    sizes = [size.as_int for size in (*meta.sizes, *meta.strides, meta.storage_offset)]
    dtype = schema.DTYPES.get(meta.dtype)
    if member is None or dtype is None or None in sizes or meta.layout != schema.STRIDED:
        raise broken(
            archive.source, f"stores {name} in a way compaudit does not know", "unsupported-archive"
        )
    view = Strided(
        block=path,
        block_bytes=member.size,
        read=partial(archive.block, path),
        dtype=dtype,
        shape=tuple(size.as_int or 0 for size in meta.sizes),
        strides=tuple(size.as_int or 0 for size in meta.strides),
        offset=meta.storage_offset.as_int or 0,
    )
    if not view.fits:
        raise unsafe(archive.source, f"claims more elements for {name} than it stores")
    if view.is_absurd:
        raise unsafe(
            archive.source,
            f"claims {view.elements} elements for {name} over {view.block_bytes} stored bytes",
        )
    return view


def _role(name: str, payload: schema.Payload, by_name: Role, uses: Uses) -> Role:
    if name in uses.roles:
        return uses.roles[name]
    if payload.is_param:
        return Role.WEIGHT if is_weight_name(name) else Role.BIAS
    if by_name in _KEPT_BY_NAME:
        return by_name
    return Role.BUFFER if name in uses.buffers else Role.CONSTANT


def _finish(tensors: Mapping[str, Tensor], uses: Uses) -> Iterator[Tensor]:
    """Apply pruning masks, scales and zero points, which are tensors of their own."""
    entries = {name: Entry(tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        reader = uses.readers.get(name)
        if reader is not None:
            computed = "" if name in uses.zero_points or name in uses.scales else tensor.dtype
            tensor = replace(tensor, use=Use(reader.name, reader.op, computed))
        left = pruned(tensor, tensors, entries)
        if left is not tensor:
            yield left
        elif name in uses.zero_points or name in uses.scales:
            quantization = Quantization(
                _shared(uses.scales.get(name), name, tensors, uses),
                _shared(uses.zero_points.get(name), name, tensors, uses),
            )
            yield replace(tensor, quantization=quantization)
        else:
            yield tensor


def _shared(
    given: float | str | None, name: str, tensors: Mapping[str, Tensor], uses: Uses
) -> Shared | None:
    """A number in the graph, or a stored tensor of one for each channel."""
    if given is None:
        return None
    if not isinstance(given, str):
        return Shared.one(given)
    stored = tensors.get(given)
    if stored is None or stored.values is None:
        return None
    numbers = np.concatenate([*stored.values(), np.empty(0, stored.dtype)])
    if len(numbers) == 1:
        return Shared.one(numbers)
    shape, axis = tensors[name].shape, uses.axes.get(name)
    fits = axis is not None and -len(shape) <= axis < len(shape)
    if axis is None or not fits or shape[axis] != len(numbers):
        return None
    return Shared.per_channel(numbers, axis, shape)
