"""The call that a worker answers to infer sizes. It imports little: an inspection waits for it."""

from __future__ import annotations

from compaudit.models.base import Source
from compaudit.models.shapes import Shapes
from compaudit.workers.workspace import Workspace

__all__ = ["infer"]

Sizes = dict[str, tuple[int, ...]]


def infer(workspace: Workspace, source: Source, input_shapes: Sizes) -> Shapes:
    """The sizes of an ONNX model's values, by inference. Raises RequestError."""
    from compaudit.models.onnx.shapes import infer_shapes

    return infer_shapes(source, input_shapes)
