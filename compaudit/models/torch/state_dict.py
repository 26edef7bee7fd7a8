"""State dicts: ``.pt``, ``.pth`` and ``.bin`` files that hold tensors and nothing that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from compaudit.errors import RequestError
from compaudit.models.base import Head, Model, Runner, RunSettings, Source
from compaudit.models.torch.names import Entry, packing_of
from compaudit.models.torch.pickles import foreign_globals, holds_pickle
from compaudit.models.torch.runtime import require_torch

__all__ = ["StateDictFormat"]


class StateDictFormat:
    """A saved dict of tensors, nested or not. It has no code, so it cannot be run alone."""

    name = "state-dict"
    runtime: Literal["onnxruntime", "torch"] | None = None
    reading: Literal["static", "trusted", "own"] = "static"
    running: Literal["static", "trusted", "own"] = "static"

    def recognise(self, head: Head) -> bool:
        """A zip archive or pickle that imports only what a state dict may, or a broken archive."""
        if head.start.startswith(b"PK\x03\x04") and not head.zip_names():
            return True
        return holds_pickle(head) and not foreign_globals(head)

    def read(self, source: Source) -> Model:
        """The ledger, read without running anything that the file holds."""
        require_torch(source)
        from compaudit.models.torch.checkpoint import checkpoint_ledger, load_checkpoint

        path = Path(source.path or "")
        tensors = checkpoint_ledger(source, load_checkpoint(source, path))
        entries = {tensor.name: Entry(tensor.dtype, tensor.shape) for tensor in tensors}
        return Model(source, tensors, None, (path,), uncounted=packing_of(entries))

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """Always a RequestError: tensors have no code."""
        raise not_executable(source, "state dict")


def not_executable(source: Source, kind: str) -> RequestError:
    """The error for a file of tensors that was asked to run."""
    return RequestError(
        f"{source.spec} is a {kind}: it holds tensors and no code to run",
        hint=f"name the code that builds the network: package.module:factory@{source.spec}",
        code="not-executable",
        model=source.spec,
        stage="load",
    )
