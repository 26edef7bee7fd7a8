"""External data of a model that is handed to ONNX Runtime as bytes.

Of such a model ONNX Runtime knows one folder, and refuses links that lead out of it. Download
caches keep models just so: a folder of links to files elsewhere. There the real folder is named
instead, and in the model the real names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from onnx import ModelProto, SparseTensorProto, TensorProto

from compaudit.models.onnx.graph import walk
from compaudit.models.onnx.proto import text

__all__ = ["folder_of_data", "name_data_in"]


def folder_of_data(path: Path, model: ModelProto) -> Path:
    """The folder to name for a model: its own, unless links lead out of that.

    Args:
        path: the model's file, whose external data was checked.
        model: what is in it; without weights will do.
    """
    own = path.parent.absolute()
    locations = {text(entry) for entry in _locations(model)}
    real = [Path(os.path.realpath(own / location)) for location in locations]
    if all(file.is_relative_to(os.path.realpath(own)) for file in real):
        return own
    return Path(os.path.commonpath([file.parent for file in real]))


def name_data_in(folder: Path, path: Path, model: ModelProto) -> None:
    """Let a model call its external data by names in a folder: the real ones, if it is not its own.

    Args:
        folder: as `folder_of_data` gives it.
        path: the model's file.
        model: what is in it; changed.
    """
    own = path.parent.absolute()
    for tensor in _external(model) if folder != own else ():
        for entry in tensor.external_data:
            if text(entry.key) == "location":
                real = Path(os.path.realpath(own / text(entry.value)))
                entry.value = real.relative_to(folder).as_posix()


def _locations(model: ModelProto) -> Iterator[str]:
    for tensor in _external(model):
        yield from (entry.value for entry in tensor.external_data if entry.key == "location")


def _external(model: ModelProto) -> Iterator[TensorProto]:
    for stored in walk(model).stored:
        held = stored.proto
        parts = (held.values, held.indices) if isinstance(held, SparseTensorProto) else (held,)
        for part in parts:
            if part is not None and part.data_location == TensorProto.EXTERNAL:
                yield part
