"""From what the user named to a recognised, readable model.

Kind is decided by content, never by suffix. `FORMATS` is the registry: a new format is one new file
and one line here. Nothing in a model file runs code unless the user said so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from compaudit.errors import RequestError
from compaudit.models.base import Format, Head, Model, Runner, RunSettings, Source
from compaudit.models.huggingface.format import HuggingFaceFormat
from compaudit.models.onnx.format import OnnxFormat
from compaudit.models.safetensors import SafetensorsFormat
from compaudit.models.torch.exported import ExportedFormat
from compaudit.models.torch.factory import FactoryFormat
from compaudit.models.torch.pickled import PickledModuleFormat
from compaudit.models.torch.script import ScriptFormat
from compaudit.models.torch.state_dict import StateDictFormat

__all__ = [
    "FORMATS",
    "executes_on_read",
    "format_of",
    "imports_user_modules",
    "load",
    "read",
    "recognise",
    "require_trust",
    "runtime_of",
]

# Asked in this order; those with the surest mark come first, ONNX (which has none) last.
FORMATS: tuple[Format, ...] = (
    HuggingFaceFormat(),
    SafetensorsFormat(),
    ExportedFormat(),
    ScriptFormat(),
    PickledModuleFormat(),
    StateDictFormat(),
    OnnxFormat(),
    FactoryFormat(),
)

_FACTORY = re.compile(
    r"(?P<factory>(?:(?P<file>.+\.py)|[A-Za-z_][\w.]*):[A-Za-z_][\w.]*)(?:@(?P<weights>.+))?"
)
_HEAD_BYTES = 65536


def recognise(spec: str) -> Source:
    """What the user named, with its format.

    Raises:
        RequestError: it does not exist, is no model, or is of a kind nobody here reads.
    """
    _refuse_unnameable(spec)
    path = Path(spec)
    factory = _FACTORY.fullmatch(spec)
    if factory is not None and not path.exists():
        weights = factory["weights"]
        for file in (factory["file"], weights):
            if file is not None:
                _head(Path(file), file)
        return Source(spec, "module", factory=factory["factory"], weights=weights)
    head = _head(path, spec, folders=True)
    _refuse_lookalikes(head, spec)
    for format_ in FORMATS:
        if format_.recognise(head):
            return Source(spec, format_.name, path=str(_named(path)))
    raise RequestError(
        f"{spec} is not a model compaudit knows",
        hint="give an ONNX, .pt2, TorchScript, state dict or safetensors file, a Hugging Face "
        "folder, or package.module:factory, or file.py:factory",
        code="unknown-format",
        model=spec,
        stage="open",
    )


def format_of(source: Source) -> Format:
    """The format of a recognised source."""
    return next(format_ for format_ in FORMATS if format_.name == source.format)


def runtime_of(source: Source) -> Literal["onnxruntime", "torch"] | None:
    """What executes this model; None for one that cannot be executed."""
    return format_of(source).runtime


def imports_user_modules(source: Source) -> bool:
    """Whether loading it imports modules of the user's, found from where the user stands."""
    return source.factory is not None or source.format == PickledModuleFormat.name


def executes_on_read(source: Source) -> bool:
    """Whether reading it runs code, so that it is to be done in a worker process."""
    return format_of(source).reading != "static"


def read(source: Source, *, trust_model_code: bool) -> Model:
    """The ledger and graph of a model, without running it. Raises RequestError."""
    require_trust(source, trust_model_code)
    return format_of(source).read(source)


def require_trust(source: Source, trust_model_code: bool) -> None:
    """Refuse a file that can only be read by running what it holds, unless the user trusts it.

    Raises:
        RequestError: the user did not say so.
    """
    if format_of(source).reading == "trusted" and not trust_model_code:
        raise _untrusted(
            source, "read", f"{source.spec} ({source.format}) can only be read by running its code"
        )


def load(source: Source, settings: RunSettings) -> Runner:
    """A model ready to run, in the process that will hold it. Raises RequestError."""
    format_ = format_of(source)
    if format_.running == "trusted" and not settings.trust_model_code:
        raise _untrusted(
            source,
            "load",
            f"{source.spec} ({source.format}) runs code of its own when it is loaded",
        )
    return format_.load(source, settings)


def _untrusted(source: Source, stage: str, message: str) -> RequestError:
    return RequestError(
        message,
        hint="add --trust-model-code if you trust it, or give ONNX or a state dict instead",
        code="untrusted-code",
        model=source.spec,
        stage=stage,
    )


def _named(path: Path) -> Path:
    """A path that ends in a name: reports call a model by it, and ``.`` and ``..`` are none."""
    return path if path.name not in ("", "..") else path.resolve()


def _head(path: Path, spec: str, *, folders: bool = False) -> Head:
    """The start of a regular file, or one clear sentence about why there is none.

    A folder has no start: where `folders` are expected, its head is empty.
    """

    def refuse(code: str, message: str, hint: str) -> RequestError:
        return RequestError(message, hint=hint, code=code, model=spec, stage="open")

    try:
        if path.is_dir():
            if folders:
                return Head(path, b"", 0)
            raise refuse(
                "is-a-folder",
                f"{spec} is a folder, not a model file",
                "give the model file inside it",
            )
        if not path.exists():
            raise refuse("missing-file", f"{spec} does not exist", "check the path")
        if not path.is_file():
            raise refuse("not-a-file", f"{spec} is not a regular file", "give a model file")
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(_HEAD_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse("unreadable-file", f"{spec} cannot be read: {reason}", "check it") from error
    if size == 0:
        raise refuse("empty-file", f"{spec} is empty", "export or download the model again")
    return Head(path, start, size)


def _refuse_unnameable(spec: str) -> None:
    """A name that is not UTF-8 fits neither into a report nor into a message to a worker."""
    try:
        spec.encode()
    except UnicodeEncodeError as error:
        name = spec.encode("utf-8", "replace").decode()
        raise RequestError(
            f"the name {name} is not UTF-8, and no report could name it",
            hint="rename the file, or make a link to it with another name: ln -s",
            code="not-utf-8",
            model=name,
            stage="open",
        ) from error


def _refuse_lookalikes(head: Head, spec: str) -> None:
    """Name the two files that most often stand where a model should: a web page and a pointer."""
    start = head.start[:512].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise RequestError(
            f"{spec} is a Git LFS pointer, not the model itself",
            hint="run: git lfs pull",
            code="git-lfs-pointer",
            model=spec,
            stage="open",
        )
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise RequestError(
            f"{spec} is a web page, not a model; the download went wrong",
            hint="download the raw file, not the page that shows it",
            code="web-page",
            model=spec,
            stage="open",
        )
