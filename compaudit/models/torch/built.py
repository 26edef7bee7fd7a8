"""Calling a factory, and loading a file of weights into what it returns.

Imports torch; import it inside functions.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from compaudit.errors import RequestError
from compaudit.models.base import Head, Role, Source, Tensor
from compaudit.models.safetensors import SafetensorsFormat
from compaudit.models.torch.checkpoint import checkpoint_ledger, load_checkpoint, state_dict_in
from compaudit.models.torch.live import roles_in
from compaudit.models.torch.names import Entry
from compaudit.models.torch.runtime import first_line

__all__ = ["build", "load_weights", "loaded_ledger"]


def build(source: Source) -> torch.nn.Module:
    """Import and call the factory.

    Raises:
        RequestError: it cannot be imported (``factory-missing``), raises (``factory-failed``), or
            returns something else (``factory-not-a-module``).
    """
    factory = _callable(source)
    try:
        made = factory()
    except Exception as error:
        raise _refuse(
            source,
            "factory-failed",
            f"{source.factory} raised {first_line(error)}",
            "call it in Python to see the traceback; it must need no arguments",
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise _refuse(
            source,
            "factory-not-a-module",
            f"{source.factory} returned {_kind(made)}, not a torch.nn.Module",
            "name a callable that returns the network",
        )
    return made


def _kind(made: object) -> str:
    return "None" if made is None else f"a {type(made).__name__}"


def _callable(source: Source) -> Any:
    module_name, _, path = (source.factory or "").rpartition(":")
    try:
        found: Any = _imported(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            raise _refuse(
                source,
                "factory-missing",
                f"there is no module {error.name} to import for {source.factory}",
                "run compaudit where it can be imported, or add its folder to PYTHONPATH",
            ) from error
        raise _refuse(
            source,
            "factory-failed",
            f"importing {module_name} raised {first_line(error)}",
            f"install {error.name}",
        ) from error
    except Exception as error:
        raise _refuse(
            source,
            "factory-failed",
            f"importing {module_name} raised {first_line(error)}",
            f"run: python {module_name}"
            if module_name.endswith(".py")
            else f"run: python -c 'import {module_name}'",
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            close = difflib.get_close_matches(name, dir(found), n=3)
            raise _refuse(
                source,
                "factory-missing",
                f"{module_name} has no {name}",
                f"did you mean {' or '.join(close)}?" if close else "check the name",
            )
        found = getattr(found, name)
    if not callable(found):
        raise _refuse(
            source,
            "factory-missing",
            f"{source.factory} is {_kind(found)}, not a callable",
            "name a callable that returns the network",
        )
    return found


def _imported(module: str) -> ModuleType:
    """``package.module``, or a file, as ``python file.py`` would: what lies beside it is found."""
    if not module.endswith(".py"):
        return importlib.import_module(module)
    path = Path(module).resolve()
    sys.path.insert(0, str(path.parent))
    # Under its own name, by which data classes and pickles look a module up; unless that is taken.
    name = path.stem if path.stem not in sys.modules else str(path)
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None, "recognise accepts files that end in .py"
    assert found.loader is not None
    imported = importlib.util.module_from_spec(found)
    sys.modules[name] = imported
    found.loader.exec_module(imported)
    return imported


def _refuse(source: Source, code: str, message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code=code, model=source.spec, stage="load")


# --------------------------------------------------------------------------------- weights


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as stream:
        head = Head(path, stream.read(65536), path.stat().st_size)
    return SafetensorsFormat().recognise(head)


def load_weights(source: Source, module: torch.nn.Module) -> None:
    """Load the file of weights into the module, strictly.

    Raises:
        RequestError: the file is broken or unsafe, or its tensors are not the module's.
    """
    path = Path(source.weights or "")
    try:
        if _is_safetensors(path):
            import safetensors.torch

            SafetensorsFormat().read(_weights_source(source))
            state: Mapping[str, Any] = safetensors.torch.load_file(path)
        else:
            state = state_dict_in(load_checkpoint(_weights_source(source), path))
    except OSError as error:
        raise _refuse(
            source,
            "unreadable-file",
            f"{source.weights} cannot be read: {error.strerror or error}",
            "check the path",
        ) from error
    _load_state(source, module, state)


def _weights_source(source: Source) -> Source:
    """The source of the weights alone, as their own format reads it."""
    weights = source.weights or ""
    return Source(spec=weights, format=source.format, path=weights)


def _load_state(source: Source, module: torch.nn.Module, state: Mapping[str, Any]) -> None:
    misfits: list[str] = []
    try:
        missing, unexpected = module.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise _does_not_fit(source, lines or [first_line(error)]) from error
    except Exception as error:
        raise _does_not_fit(source, [first_line(error)]) from error
    misfits = [f"{key} is missing" for key in _really_missing(module, missing, state)]
    misfits += [f"{key} is unexpected" for key in unexpected]
    if misfits:
        raise _does_not_fit(source, misfits)


def _really_missing(
    module: torch.nn.Module, missing: list[str], state: Mapping[str, Any]
) -> list[str]:
    """Missing keys, without those of tensors tied to one that was loaded under another name."""
    tensors = dict(module.named_parameters(remove_duplicate=False))
    loaded = {id(tensor) for name, tensor in tensors.items() if name in state}
    return [key for key in missing if key not in tensors or id(tensors[key]) not in loaded]


def _does_not_fit(source: Source, misfits: list[str]) -> RequestError:
    more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
    return _refuse(
        source,
        "weights-do-not-fit",
        f"{source.weights} does not fit {source.factory}: {'; '.join(misfits[:3])}{more}",
        "the state dict must have been saved from what the factory returns",
    )


def loaded_ledger(source: Source, module: torch.nn.Module) -> tuple[Tensor, ...]:
    """The file's tensors as stored, with the roles that the module gives them.

    A tensor stored twice that the module ties is one parameter: its second copy is unused.
    """
    path = Path(source.weights or "")
    weights = _weights_source(source)
    load_weights(source, module)
    if _is_safetensors(path):
        stored = SafetensorsFormat().read(weights).tensors
    else:
        stored = checkpoint_ledger(weights, load_checkpoint(weights, path))
    entries = {tensor.name: Entry(tensor.dtype, tensor.shape) for tensor in stored}
    roles = roles_in(module, entries)
    parameters = dict(module.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    found: list[Tensor] = []
    for tensor in stored:
        role, note = roles[tensor.name], tensor.note
        if tensor.name in parameters and tensor.tied_to is None:
            owner = first.setdefault(id(parameters[tensor.name]), tensor.name)
            if owner != tensor.name:
                role, note = Role.UNUSED, f"stored again; the module ties it to {owner}"
        if tensor.role is Role.UNUSED:
            role = Role.UNUSED
        found.append(replace(tensor, role=role, note=note))
    return tuple(found)
