"""Files that ``torch.save`` wrote → named tensors, by torch's restricted unpickler only.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from compaudit.errors import RequestError
from compaudit.models.base import Role, Source, Tensor
from compaudit.models.torch.archive import Archive, broken, open_archive, unsafe
from compaudit.models.torch.elements import entry_of, strided_view
from compaudit.models.torch.names import roles_of
from compaudit.models.torch.pickle_cost import why_too_costly
from compaudit.models.torch.runtime import first_line, quiet
from compaudit.models.torch.scripted import packed_parts
from compaudit.models.torch.tensors import Item, ledger

__all__ = [
    "checkpoint_ledger",
    "friendly_name",
    "load_checkpoint",
    "named_tensors",
    "state_dict_in",
]

_MODELS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
_COPIES = ("state_dict_ema", "model_ema", "ema", "ema_state_dict", "ema_model", "averaged_model")
_MODELS_AFTER = ("weights", "params", "student")
_PLAIN = (torch.Tensor, torch.nn.Parameter)
_DEEPEST = 32
_MOST_TENSORS = 2_000_000
_NEEDS_CODE = re.compile(
    r"Unsupported global|allowed global|is blocked|unrecognized function|Can only (create|build)"
    r"|must be imported|Unsupported operand 14[5-9]|Unsupported operand 15[0-1]"
)
_PACKED_PARAMS = re.compile(
    r"(?P<stem>(.*\.)?)_packed_params\.(_packed_params\.(?P<slot>[01])|_packed_weight)"
)


def load_checkpoint(source: Source, path: Path) -> object:
    """What the file holds, without running any of its code.

    Raises:
        RequestError: it is broken, unsafe, or a pickle that wants to run code.
    """
    archive = _archive_of(source, path)
    _check_cost(source, path, archive)
    try:
        # Without the check torch 2.13 accepts sparse indices outside of the shape.
        with quiet(), torch.sparse.check_sparse_tensor_invariants():  # type: ignore[no-untyped-call]
            held = _load(path, mapped=archive is not None)
    except pickle.UnpicklingError as error:
        if _NEEDS_CODE.search(str(error)):
            raise _needs_code(source, str(error)) from error
        raise broken(source, f"is a broken pickle: {_short(error)}") from error
    except Exception as error:
        raise broken(source, f"is not a readable state dict: {first_line(error)}") from error
    _check_storages(source, path, archive, held)
    return held


def _archive_of(source: Source, path: Path) -> Archive | None:
    with path.open("rb") as stream:
        start = stream.read(4)
    return open_archive(source, path) if start == b"PK\x03\x04" else None


def _check_cost(source: Source, path: Path, archive: Archive | None) -> None:
    """Refuse pickles that would end this process, before they are loaded."""
    if archive is not None:
        stream: IO[bytes] = io.BytesIO()
        if "data.pkl" in archive.members:
            stream = io.BytesIO(archive.block("data.pkl").tobytes())
        reason = why_too_costly(stream)
    else:
        with path.open("rb") as stream:
            reason = why_too_costly(stream)
    if reason is not None:
        raise unsafe(source, f"holds a pickle that {reason}")


def _load(path: Path, *, mapped: bool) -> object:
    # torch.load turns to another reader where the *name* ends in .safetensors.
    if path.suffix == ".safetensors":
        with path.open("rb") as stream:
            return torch.load(stream, map_location="cpu", weights_only=True)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)


def _needs_code(source: Source, message: str) -> RequestError:
    wanted = re.search(r"GLOBAL (\S+)", message)
    return RequestError(
        f"{source.spec} is a pickle that runs code when loaded"
        + (f": it imports {wanted[1]}" if wanted else ""),
        hint="save its state dict instead, torch.save(model.state_dict(), …), "
        "or add --trust-model-code if you trust it",
        code="untrusted-code",
        model=source.spec,
        stage="open",
    )


def _short(error: Exception) -> str:
    """Torch appends advice to its errors; the cause stands in the last paragraph but one."""
    text = str(error).replace("Check the documentation of torch.load", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    cause = next((line for line in lines if "perand" in line or "ersistent" in line), None)
    return (cause or (lines[0] if lines else type(error).__name__))[:200]


def _check_storages(source: Source, path: Path, archive: Archive | None, held: object) -> None:
    """No storage may be larger than what the file holds for it, and no view than its storage."""
    size = path.stat().st_size
    storages: dict[object, int] = {}
    for _, tensor in named_tensors(held):
        if (
            tensor.layout != torch.strided
            or tensor.is_quantized
            or tensor.is_meta
            or type(tensor) not in _PLAIN
        ):
            continue
        view = strided_view(tensor)
        if not view.fits:
            raise unsafe(source, "has a tensor that reaches outside its storage")
        if view.is_absurd:
            raise unsafe(
                source, f"claims {view.elements} elements over {view.block_bytes} stored bytes"
            )
        storages[view.block] = view.block_bytes
    if sum(storages.values()) > size:
        raise unsafe(source, f"of {size} bytes claims {sum(storages.values())} bytes of tensors")
    if archive is not None:
        stored = Counter(
            member.size for name, member in archive.members.items() if name.startswith("data/")
        )
        if Counter(nbytes for nbytes in storages.values() if nbytes) - stored:
            raise unsafe(source, "has tensors of other sizes than it stores")


# --------------------------------------------------------------------------- what it holds


def named_tensors(held: object) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested dicts and lists, by its path joined with dots.

    The model's own dict (``{"state_dict": …}``) gives names without its key.
    """
    if isinstance(held, torch.Tensor):
        yield "tensor", held
        return
    main = _model_key(held)
    seen: set[int] = set()
    for path, tensor in _walk(held, (), seen):
        yield ".".join(path[1:] if main is not None and path[0] == main else path), tensor


def state_dict_in(held: object) -> dict[str, Any]:
    """The model's state dict itself, to load into a module; empty where there is none."""
    main = _model_key(held)
    found = held[main] if main is not None and isinstance(held, Mapping) else held
    return dict(found) if isinstance(found, Mapping) else {}


def _model_key(held: object) -> str | None:
    if not isinstance(held, Mapping) or any(isinstance(v, torch.Tensor) for v in held.values()):
        return None
    for key in (*_MODELS, *_MODELS_AFTER, *_COPIES):
        inner = held.get(key)
        if isinstance(inner, Mapping) and next(_walk(inner, (), set()), None) is not None:
            return key
    return None


def _walk(
    held: object, path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
    if isinstance(held, torch.Tensor):
        yield path, held
        return
    if isinstance(held, torch.ScriptObject):
        # Only a pickle that the user trusts holds one: the packed weights of a quantised layer.
        stem = path[:-1] if path and path[-1] in ("param", "_packed_params") else path
        for name, tensor in packed_parts(held):
            yield (*stem, name), tensor
        return
    if isinstance(held, Mapping):
        children = [(str(key), value) for key, value in held.items()]
    elif isinstance(held, list | tuple) and not isinstance(held, torch.Size):
        children = [(str(index), value) for index, value in enumerate(held)]
    else:
        return
    if id(held) in seen or len(path) > _DEEPEST:
        return
    seen.add(id(held))
    for key, value in children:
        yield from _walk(value, (*path, key), seen)


def checkpoint_ledger(source: Source, held: object) -> tuple[Tensor, ...]:
    """The ledger of a loaded file. Raises RequestError where it holds no tensor."""
    found: dict[str, torch.Tensor] = {}
    for raw, tensor in named_tensors(held):
        name = friendly_name(raw)
        while name in found:
            name += "_"
        found[name] = tensor
        if len(found) > _MOST_TENSORS:
            raise unsafe(source, f"holds more than {_MOST_TENSORS} tensors")
    if not found:
        raise broken(source, "holds no tensors", "no-tensors")
    roles = roles_of({name: entry_of(tensor) for name, tensor in found.items()})
    main = _model_key(held)
    items = []
    for name, tensor in found.items():
        copy = main is not None and name.partition(".")[0] in _COPIES
        role, note = (Role.UNUSED, "a second, averaged copy") if copy else (roles[name], "")
        items.append(Item(name, tensor, role, note))
    return ledger(items, "file")


def friendly_name(name: str) -> str:
    """Quantised layers pack weight and bias in one entry: give each the name it has elsewhere."""
    packed = _PACKED_PARAMS.fullmatch(name)
    if packed is None:
        return name
    return packed["stem"] + ("bias" if packed["slot"] == "1" else "weight")
