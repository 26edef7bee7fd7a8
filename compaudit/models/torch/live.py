"""The ledger of a module that is in memory.

Imports torch; import it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from compaudit.errors import RequestError
from compaudit.models.base import Role, Source, Tensor, Use
from compaudit.models.torch.checkpoint import friendly_name
from compaudit.models.torch.elements import entry_of, is_uninitialised
from compaudit.models.torch.names import Entry, is_weight_name, roles_of
from compaudit.models.torch.runtime import first_line
from compaudit.models.torch.scripted import packed_parts, script_items
from compaudit.models.torch.tensors import Item, ledger

__all__ = ["module_items", "module_ledger", "roles_in"]

# What a buffer may be besides a buffer: quantised layers keep weights and scales in buffers.
_BUFFER_ROLES = (Role.WEIGHT, Role.BIAS, Role.QUANTIZATION, Role.CONSTANT)


def module_ledger(source: Source, module: torch.nn.Module, location: str) -> tuple[Tensor, ...]:
    """Parameters, buffers, and what quantised layers keep outside of both.

    Raises:
        RequestError: a lazy module has not seen its first input, or there is no tensor at all.
    """
    try:
        items = module_items(source, module)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(
            f"the tensors of {source.spec} cannot be listed: {first_line(error)}",
            hint="its state_dict() must work",
            code="unreadable-module",
            model=source.spec,
            stage="open",
        ) from error
    records = _with_ties(items, ledger(items, location))
    modules = dict(module.named_modules(remove_duplicate=False))
    return tuple(replace(record, use=_use(modules, record)) for record in records)


def _use(modules: Mapping[str, torch.nn.Module], record: Tensor) -> Use | None:
    """The module that holds a tensor: its path, its class, and the type it computes in.

    A quantised layer computes with its codes; what a tensor subclass does, only it knows.
    """
    name = record.note.removeprefix("of ") if record.note.startswith("of ") else record.name
    path = name.partition(".parametrizations.")[0] if ".parametrizations." in name else name
    while path and path not in modules:
        path = path.rpartition(".")[0]
    if not path:
        return None
    holder = modules[path]
    quantized = record.quantization is not None
    real = record.dtype.startswith(("float", "bfloat", "complex"))
    computed = record.dtype if quantized or (real and not record.note.startswith("a ")) else ""
    if record.role is Role.QUANTIZATION:
        computed = ""
    kind = getattr(holder, "original_name", None) or type(holder).__name__
    return Use(path, str(kind), computed)


def _with_ties(items: list[Item], records: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Tensors without bytes of their own to compare (meta, sparse, wrapped) are tied by identity.

    What belongs to a wrapped one, its scales, is tied with it.
    """
    first: dict[object, str] = {}
    owners = {item.name: first.setdefault(_storage(item.tensor), item.name) for item in items}
    found: list[Tensor] = []
    for record in records:
        name = record.name if record.name in owners else record.note.removeprefix("of ")
        owner = owners.get(name, name)
        if owner != name and record.tied_to is None:
            tied_to = owner + record.name.removeprefix(name)
            found.append(replace(record, tied_to=tied_to, bytes=0))
        else:
            found.append(record)
    return tuple(found)


def module_items(source: Source, module: torch.nn.Module) -> list[Item]:
    """Every tensor of a module with its role, each name once."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    buffers = dict(module.named_buffers(remove_duplicate=False))
    tensors: dict[str, torch.Tensor] = {**parameters, **buffers}
    lazy = next((name for name, tensor in tensors.items() if is_uninitialised(tensor)), None)
    if lazy is not None:
        raise RequestError(
            f"{lazy} of {source.spec} has no shape yet",
            hint="run a lazy module on an example input before the factory returns it",
            code="uninitialised-module",
            model=source.spec,
            stage="open",
        )
    state = {
        name: tensor
        for key, value in module.state_dict(keep_vars=True).items()
        for name, tensor in _tensors_in(key, value)
    }
    known = {_storage(tensor) for tensor in tensors.values()}
    packed = {
        friendly_name(name): tensor
        for name, tensor in state.items()
        if name not in tensors and _storage(tensor) not in known
    }
    everything = {**tensors, **packed}
    entries = {name: entry_of(tensor) for name, tensor in everything.items()}
    by_name = roles_of(entries)
    items = []
    for name, tensor in everything.items():
        note = ""
        if name in parameters:
            role = Role.WEIGHT if is_weight_name(name) else Role.BIAS
        elif name in buffers:
            role = by_name[name] if by_name[name] in _BUFFER_ROLES else Role.BUFFER
            note = "" if name in state else "not persistent: no state dict holds it"
        else:
            role = by_name[name]
        items.append(Item(name, tensor, role, note))
    if isinstance(module, torch.jit.ScriptModule):
        items += script_items(module, frozenset(everything))
    return items


def roles_in(module: torch.nn.Module, entries: Mapping[str, Entry]) -> dict[str, Role]:
    """The roles of a file's tensors, by what the module that they are loaded into makes of them."""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    buffers = {name for name, _ in module.named_buffers(remove_duplicate=False)}
    roles = roles_of(entries)
    for name, role in roles.items():
        if name in parameters:
            roles[name] = Role.WEIGHT if is_weight_name(name) else Role.BIAS
        elif name in buffers and role not in _BUFFER_ROLES:
            roles[name] = Role.BUFFER
    return roles


def _storage(tensor: torch.Tensor) -> tuple[object, ...] | int:
    if type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout == torch.strided:
        storage = tensor.untyped_storage()
        block = storage.data_ptr() or storage._cdata
        return (block, tensor.storage_offset(), tuple(tensor.shape))
    return id(tensor)


def _tensors_in(name: str, value: object) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, tuple | list):
        for index, part in enumerate(value):
            yield from _tensors_in(f"{name}.{index}", part)
    elif isinstance(value, torch.ScriptObject):
        for part, tensor in packed_parts(value):
            yield f"{name}.{part}", tensor
