"""The ONNX format: recognised by content, read statically, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from compaudit.errors import CompauditError
from compaudit.models.base import Head, Model, Runner, RunSettings, Source
from compaudit.models.onnx.recognise import looks_like_onnx

__all__ = ["OnnxFormat"]


class OnnxFormat:
    """ONNX files, alone or with external data. Keeps onnx and onnxruntime out until one is used."""

    name = "onnx"
    runtime: Literal["onnxruntime", "torch"] | None = "onnxruntime"
    reading: Literal["static", "trusted", "own"] = "static"
    running: Literal["static", "trusted", "own"] = "static"

    def recognise(self, head: Head) -> bool:
        """Whether the file begins as a serialised ModelProto does."""
        return looks_like_onnx(head.start, head.size)

    def read(self, source: Source) -> Model:
        """The ledger and the graph. Raises RequestError for a broken or unsafe file."""
        from compaudit.models.onnx.ledger import read_model

        try:
            return read_model(source, _path(source))
        except CompauditError as error:
            raise _about(error, source, "open") from error.__cause__

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """An ONNX Runtime session. Raises RequestError where the model is unsafe or unsupported."""
        try:
            from compaudit.models.onnx.session import OnnxRunner

            return OnnxRunner(_path(source), settings)
        except CompauditError as error:
            raise _about(error, source, "load") from error.__cause__


def _path(source: Source) -> Path:
    assert source.path is not None, "an ONNX source always has a path"
    return Path(source.path)


def _about(error: CompauditError, source: Source, stage: str) -> CompauditError:
    """The same error, naming the model as the user did."""
    error.model = error.model or source.spec
    error.stage = error.stage or stage
    return error
