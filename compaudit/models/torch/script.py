"""TorchScript archives: code and weights in one file. Loading one runs code that it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from compaudit.models.base import Head, Model, Runner, RunSettings, Source
from compaudit.models.torch.archive import broken, open_archive
from compaudit.models.torch.runtime import first_line, quiet, require_torch

if TYPE_CHECKING:
    import torch

__all__ = ["ScriptFormat"]


class ScriptFormat:
    """What ``torch.jit.save`` wrote."""

    name = "torchscript"
    runtime: Literal["onnxruntime", "torch"] | None = "torch"
    reading: Literal["static", "trusted", "own"] = "trusted"
    running: Literal["static", "trusted", "own"] = "trusted"

    def recognise(self, head: Head) -> bool:
        """A zip archive with code beside its constants."""
        names = head.zip_names()
        return "constants.pkl" in names or (
            "data.pkl" in names and any(name.startswith("code/") for name in names)
        )

    def read(self, source: Source) -> Model:
        """The ledger; loads the archive, so only with the user's trust."""
        module = _load(source)
        from compaudit.models.torch.live import module_ledger

        return Model(
            source, module_ledger(source, module, "file"), None, (Path(source.path or ""),)
        )

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """The scripted module, ready to run."""
        module = _load(source)
        from compaudit.models.torch.runner import TorchRunner

        return TorchRunner.of_module(source, module, settings)


def _load(source: Source) -> torch.jit.ScriptModule:
    require_torch(source)
    import torch

    path = Path(source.path or "")
    open_archive(source, path, compressed=True)
    try:
        with quiet():
            return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-any-return,no-untyped-call]
    except Exception as error:
        raise broken(source, f"is not a loadable TorchScript file: {first_line(error)}") from error
