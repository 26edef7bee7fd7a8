"""All tensors of a folder's shards, with the role that their names together tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from compaudit.errors import RequestError
from compaudit.models.base import Model, Role, Source, Tensor
from compaudit.models.huggingface.folder import ModelFolder, find
from compaudit.models.huggingface.registry import unpacked
from compaudit.models.safetensors import Stored, mapped_tensors
from compaudit.models.torch.names import Entry, packed_in, roles_of
from compaudit.models.torch.state_dict import StateDictFormat

__all__ = ["read_folder"]


def read_folder(source: Source) -> Model:
    """The ledger of all shards, packed weights at their logical size. Raises RequestError."""
    folder = find(Path(source.path or ""), source.spec)
    if folder.pickled:
        return _read_pickles(source, folder)
    checkpoint = _checkpoint(source, folder)
    tensors, uncounted = unpacked(folder.quantization, checkpoint)
    return Model(source, tensors, None, folder.files, uncounted)


def _checkpoint(source: Source, folder: ModelFolder) -> dict[str, Stored]:
    """Every tensor of every shard, with the role that all names together tell."""
    found: dict[str, Stored] = {}
    unread: list[str] = []
    named = defaultdict(list)
    for name, shard in folder.weight_map.items():
        named[shard].append(name)
    for shard, path in folder.shards.items():
        stored = _of_shard(source, shard, path)
        missing = next((name for name in named[shard] if name not in stored), None)
        if missing is not None:
            raise _broken(
                source, f"its index says that {missing!r} is in {shard!r}, which lacks it"
            )
        for name, one in stored.items():
            location = shard if len(folder.shards) > 1 else "file"
            tensor = replace(one.tensor, location=location)
            if name in found or folder.weight_map.get(name, shard) != shard:
                copy = _copy_name(source, folder, name, shard)
                if copy in found:
                    raise _broken(source, f"its shards hold {copy!r} more than once")
                note = f"{folder.weight_map[name]} holds the one that is read"
                tensor = replace(tensor, name=copy, note=note)
                unread.append(copy)
            found[tensor.name] = replace(one, tensor=tensor)
    roles = roles_of(
        {name: Entry(one.tensor.dtype, one.tensor.shape) for name, one in found.items()}
    )
    roles.update(dict.fromkeys(unread, Role.UNUSED))
    return {
        name: replace(one, tensor=replace(one.tensor, role=roles[name]))
        for name, one in found.items()
    }


def _of_shard(source: Source, shard: str, path: Path) -> dict[str, Stored]:
    own = msgspec.structs.replace(source, spec=f"{source.spec.rstrip('/')}/{shard}", path=str(path))
    try:
        return mapped_tensors(own, path)
    except RequestError as error:
        error.model = source.spec
        raise


def _copy_name(source: Source, folder: ModelFolder, name: str, shard: str) -> str:
    """A name for a tensor that another shard holds as well; which is read, the index must say."""
    if name not in folder.weight_map:
        raise _broken(source, f"two shards hold {name!r}, and no index says which is the model's")
    return f"{name} ({shard})"


def _read_pickles(source: Source, folder: ModelFolder) -> Model:
    """The ledger of ``pytorch_model.bin``, one or several; packed ones are not unpacked."""
    tensors = tuple(_of_pickles(source, folder))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _broken(source, f"two of its pickles hold {twice!r}")
    entries = {tensor.name: Entry(tensor.dtype, tensor.shape) for tensor in tensors}
    packed = next(packed_in(entries), None)
    uncounted = None
    if packed is not None or folder.quantization is not None:
        uncounted = (
            f"{packed or next(iter(names), 'every tensor')} may hold several weights per element, "
            "and packed weights are read from safetensors only"
        )
    return Model(source, tensors, None, folder.files, uncounted)


def _of_pickles(source: Source, folder: ModelFolder) -> Iterator[Tensor]:
    for shard, path in folder.shards.items():
        own = msgspec.structs.replace(
            source, spec=f"{source.spec.rstrip('/')}/{shard}", path=str(path)
        )
        try:
            held = StateDictFormat().read(own).tensors
        except RequestError as error:
            error.model = source.spec
            raise
        location = shard if len(folder.shards) > 1 else "file"
        yield from (replace(tensor, location=location) for tensor in held)


def _broken(source: Source, what: str) -> RequestError:
    return RequestError(
        f"{source.spec}: {what}",
        hint="download the folder again",
        code="broken-model",
        model=source.spec,
        stage="open",
    )
