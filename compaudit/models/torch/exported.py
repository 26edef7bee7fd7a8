"""Exported programs (``.pt2``): the ledger and graph are read from the archive, nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from compaudit.errors import RequestError
from compaudit.models.base import Head, Model, Runner, RunSettings, Source
from compaudit.models.torch.archive import broken, member_names, open_archive
from compaudit.models.torch.runtime import first_line, quiet, require_torch

__all__ = ["ExportedFormat"]

_OLD_LAYOUT = frozenset(("serialized_exported_program.json", "serialized_state_dict.pt"))


class ExportedFormat:
    """What ``torch.export.save`` wrote. torch has no safe way to load it: running needs trust."""

    name = "pt2"
    runtime: Literal["onnxruntime", "torch"] | None = "torch"
    reading: Literal["static", "trusted", "own"] = "static"
    running: Literal["static", "trusted", "own"] = "trusted"

    def recognise(self, head: Head) -> bool:
        """A zip archive that says it is one, or has the layout of torch 2.5 to 2.7."""
        names = head.zip_names()
        if "archive_format" in names or any(name.startswith("models/") for name in names):
            return True
        return bool(names) and bool(_OLD_LAYOUT & member_names(head.path))

    def read(self, source: Source) -> Model:
        """The ledger and the graph, from the archive's JSON and raw tensors alone."""
        from compaudit.models.torch.exported_archive import read_graph, read_tensors

        path = Path(source.path or "")
        if _OLD_LAYOUT & member_names(path):
            raise _old_layout(source)
        archive = open_archive(source, path)
        graph, uses = read_graph(archive)
        tensors, uncounted = read_tensors(archive, uses)
        return Model(source, tensors, graph, (path,), uncounted=uncounted)

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """The program, ready to run; the caller has the user's trust."""
        require_torch(source)
        path = Path(source.path or "")
        if not _OLD_LAYOUT & member_names(path):
            open_archive(source, path)
        import torch

        from compaudit.models.torch.runner import TorchRunner

        try:
            with quiet():
                # Registers the operators of quantised programs.
                import torch.ao.quantization.fx._decomposed

                program = torch.export.load(path)
        except Exception as error:
            raise broken(source, f"is not a loadable .pt2 file: {first_line(error)}") from error
        return TorchRunner.of_exported(source, program, settings)


def _old_layout(source: Source) -> RequestError:
    return RequestError(
        f"{source.spec} is an exported program of torch 2.7 or older, "
        "whose tensors can only be read by running code",
        hint="export it again with torch 2.10 or newer (torch.export.save)",
        code="unsupported-archive",
        model=source.spec,
        stage="open",
    )
