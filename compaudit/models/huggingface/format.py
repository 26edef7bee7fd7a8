"""Hugging Face folders: tensors in safetensors shards, and how they are packed in config.json."""

from __future__ import annotations

from typing import Literal

from compaudit.errors import RequestError
from compaudit.models.base import Head, Model, Runner, RunSettings, Source

__all__ = ["HuggingFaceFormat"]


class HuggingFaceFormat:
    """A folder as transformers saves it. Its code is elsewhere, so it cannot be run alone.

    `files` are the shards and their index: config.json and the tokenizer are not weights.
    """

    name = "huggingface"
    runtime: Literal["onnxruntime", "torch"] | None = None
    reading: Literal["static", "trusted", "own"] = "static"
    running: Literal["static", "trusted", "own"] = "static"

    def recognise(self, head: Head) -> bool:
        """Whether it is a folder: no other format is one. Reading it tells what is in it."""
        return head.path.is_dir()

    def read(self, source: Source) -> Model:
        """The ledger of all shards, packed weights at their logical size."""
        # Every recognition of every model imports this file; what reads a folder can wait.
        from compaudit.models.huggingface.checkpoint import read_folder

        return read_folder(source)

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """Always a RequestError: tensors have no code."""
        raise RequestError(
            f"{source.spec} is a Hugging Face folder: it holds tensors and no code that "
            "compaudit runs",
            hint="export it to ONNX, or name the code that builds it: package.module:factory",
            code="not-executable",
            model=source.spec,
            stage="load",
        )
