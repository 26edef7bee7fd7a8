"""From a file to a ModelProto, or one clear sentence about why there is none."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto

from compaudit.errors import RequestError
from compaudit.models.onnx.mapped import AGAIN, mapped, size_of, unreadable
from compaudit.models.onnx.skim import is_cut_short, skim
from compaudit.units import format_bytes

__all__ = ["LARGEST_FILE", "parse", "text"]

# Protobuf messages end at 2 GiB; larger models keep their weights in external data.
LARGEST_FILE = 2**31 - 1


def parse(path: Path) -> ModelProto:
    """The model in this file; large raw data is left in it, see `skim`.

    Raises:
        RequestError: the file is unreadable, truncated, damaged, too large, or holds no model.
    """
    size = size_of(path)
    if size > LARGEST_FILE:
        raise RequestError(
            f"{path} is {format_bytes(size)}; ONNX files end at 2 GiB",
            hint="save it with external data: onnx.save(model, path, save_as_external_data=True)",
            code="model-too-large",
        )
    model = ModelProto()
    try:
        with mapped(path) as file, memoryview(file) as view:
            try:
                model.ParseFromString(skim(view))
            except (DecodeError, ValueError) as error:
                raise _not_parsed(path, size, is_cut_short(view)) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if not model.HasField("graph"):
        raise RequestError(f"{path} holds no ONNX graph", hint=AGAIN, code="not-a-model")
    return model


def text(value: str | bytes) -> str:
    """A name from the file: protobuf gives bytes where it is not UTF-8."""
    return value if isinstance(value, str) else value.decode(errors="replace")


def _not_parsed(path: Path, size: int, cut_short: bool) -> RequestError:
    what = "ends before the model does" if cut_short else "is not a readable ONNX model"
    return RequestError(
        f"{path} ({format_bytes(size)}) {what}",
        hint=AGAIN,
        code="truncated-model" if cut_short else "broken-model",
    )
