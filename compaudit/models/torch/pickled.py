"""Whole modules saved with ``torch.save(model)``: pickles that run code when they are loaded."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Literal

from compaudit.errors import RequestError
from compaudit.models.base import Head, Model, Runner, RunSettings, Source
from compaudit.models.torch.archive import broken, open_archive
from compaudit.models.torch.pickles import foreign_globals, holds_pickle, is_legacy
from compaudit.models.torch.runtime import first_line, quiet, require_torch

__all__ = ["PickledModuleFormat"]


class PickledModuleFormat:
    """A pickle that imports more than a state dict does; only ever loaded with trust."""

    name = "pickled-module"
    runtime: Literal["onnxruntime", "torch"] | None = "torch"
    reading: Literal["static", "trusted", "own"] = "trusted"
    running: Literal["static", "trusted", "own"] = "trusted"

    def recognise(self, head: Head) -> bool:
        """A zip archive or pickle that imports something of its own."""
        return holds_pickle(head) and bool(foreign_globals(head))

    def read(self, source: Source) -> Model:
        """The ledger of the module, or of the tensors where it holds no module."""
        held = _load(source)
        import torch

        from compaudit.models.torch.checkpoint import checkpoint_ledger
        from compaudit.models.torch.live import module_ledger

        files = (Path(source.path or ""),)
        if isinstance(held, torch.nn.Module):
            return Model(source, module_ledger(source, held, "file"), None, files)
        return Model(source, checkpoint_ledger(source, held), None, files)

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """The module, ready to run."""
        held = _load(source)
        import torch

        from compaudit.models.torch.runner import TorchRunner
        from compaudit.models.torch.state_dict import not_executable

        if not isinstance(held, torch.nn.Module):
            raise not_executable(source, "checkpoint")
        return TorchRunner.of_module(source, held, settings)


def _load(source: Source) -> object:
    """Unpickle, running what the file wants to run: the caller has the user's trust."""
    require_torch(source)
    import torch

    path = Path(source.path or "")
    with path.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    if is_zip:
        open_archive(source, path)
    try:
        with quiet():
            if not is_zip and not is_legacy(path):
                with path.open("rb") as stream:
                    return pickle.load(stream)
            return torch.load(path, map_location="cpu", weights_only=False, mmap=is_zip)
    except (ImportError, AttributeError) as error:
        raise RequestError(
            f"{source.spec} needs code that cannot be imported here: {first_line(error)}",
            hint="run compaudit where that code can be imported, or save the state dict instead",
            code="missing-code",
            model=source.spec,
            stage="open",
        ) from error
    except Exception as error:
        raise broken(source, f"cannot be unpickled: {first_line(error)}") from error
