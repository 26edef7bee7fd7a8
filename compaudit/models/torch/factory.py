"""``package.module:callable``: PyTorch code of the user's own, with or without saved weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from compaudit.models.base import Head, Model, Runner, RunSettings, Source
from compaudit.models.torch.runtime import require_torch

__all__ = ["FactoryFormat"]


class FactoryFormat:
    """A callable that returns a module. Reading calls it: it is the user's own code."""

    name = "module"
    runtime: Literal["onnxruntime", "torch"] | None = "torch"
    reading: Literal["static", "trusted", "own"] = "own"
    running: Literal["static", "trusted", "own"] = "own"

    def recognise(self, head: Head) -> bool:
        """Never by content: a factory is a name, not a file."""
        return False

    def read(self, source: Source) -> Model:
        """The module's ledger; with weights, that of the file they are shipped in."""
        require_torch(source)
        from compaudit.models.torch.built import build, loaded_ledger
        from compaudit.models.torch.live import module_ledger

        module = build(source)
        if source.weights is None:
            return Model(source, module_ledger(source, module, "memory"), None, ())
        return Model(source, loaded_ledger(source, module), None, (Path(source.weights),))

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """The module with its weights, ready to run."""
        require_torch(source)
        from compaudit.models.torch.built import build, load_weights
        from compaudit.models.torch.runner import TorchRunner

        module = build(source)
        if source.weights is not None:
            load_weights(source, module)
        return TorchRunner.of_module(source, module, settings)
