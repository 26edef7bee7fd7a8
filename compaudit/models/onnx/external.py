"""External data: which bytes of which file a tensor's numbers are, decided before anyone opens it.

A model names the files its weights are in, and a hostile one names any file it likes. So every
location is resolved here first: its real path inside the model's folder (or, for a folder of links
into a cache, the folder of the real model), a regular file, and as many bytes as the tensor needs.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from onnx import TensorProto

from compaudit.errors import RequestError
from compaudit.models.onnx.proto import text

__all__ = ["ExternalFiles", "Span"]

_NUMBER = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of an external file.

    Attributes:
        location: the file as the model names it.
        path: the file in the model's folder.
        real: where that really is.
        offset, length: which bytes of it.
    """

    location: str
    path: Path
    real: Path
    offset: int
    length: int


class ExternalFiles:
    """Resolves the external data of one model. Remembers the files, so each is looked at once."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self._folder = model.parent
        self._allowed = {Path(os.path.realpath(self._folder)), Path(os.path.realpath(model)).parent}
        self._files: dict[str, tuple[Path, Path, int]] = {}

    def locate(self, tensor: TensorProto, name: str, needed: int) -> Span:
        """The bytes of an external tensor.

        Args:
            tensor: with ``data_location`` EXTERNAL.
            name: how errors name it.
            needed: bytes that its type and shape ask for.

        Raises:
            RequestError: it is unsafe, missing, or does not fit the file.
        """
        entries = {text(entry.key): text(entry.value) for entry in tensor.external_data}
        if len(entries) != len(tensor.external_data):
            raise _unsafe(f"the external data of tensor {name!r} states something twice")
        location = entries.get("location", "")
        path, real, size = self._file(location, name)
        offset = _number(entries.get("offset", "0"), "offset", name)
        length = _number(entries.get("length", str(needed)), "length", name)
        if length != needed:
            raise _broken(
                f"tensor {name!r} needs {needed} bytes by its shape, "
                f"but its external data in {location!r} is said to be {length}"
            )
        if offset + length > size:
            raise _broken(
                f"tensor {name!r} is said to be bytes {offset} to {offset + length} of "
                f"{location!r}, which has {size}"
            )
        return Span(location, path, real, offset, length)

    def paths(self) -> tuple[Path, ...]:
        """The external files seen so far, each once; not the model, which may name itself."""
        unique = {real: path for path, real, _ in reversed(self._files.values())}
        unique.pop(Path(os.path.realpath(self.model)), None)
        return tuple(sorted(unique.values()))

    def _file(self, location: str, name: str) -> tuple[Path, Path, int]:
        if location not in self._files:
            self._files[location] = self._resolve(location, name)
        return self._files[location]

    def _resolve(self, location: str, name: str) -> tuple[Path, Path, int]:
        where = f"the external data of tensor {name!r}"
        parts = PurePosixPath(location).parts
        if not location or "\0" in location:
            raise _unsafe(f"{where} names no file")
        if "\\" in location or location.startswith("/") or re.match(r"[A-Za-z]:", location):
            raise _unsafe(f"{where} names {location!r}, which is not relative to the model")
        if ".." in parts:
            raise _unsafe(f"{where} names {location!r}, which leaves the model's folder")
        path = self._folder / location
        try:
            real = Path(os.path.realpath(path))
            if not any(real.is_relative_to(folder) for folder in self._allowed):
                raise _unsafe(f"{where} names {location!r}, which leads out of the model's folder")
            status = real.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RequestError(
                f"{where} is in {location!r}, which cannot be found beside the model: {reason}",
                hint=f"put the data file beside the model, in {self._folder}",
                code="missing-external-data",
            ) from error
        if not stat.S_ISREG(status.st_mode):
            raise _unsafe(f"{where} names {location!r}, which is not a regular file")
        return path, real, status.st_size


def _number(value: str, what: str, name: str) -> int:
    if not _NUMBER.fullmatch(value):
        raise _broken(f"the external data of tensor {name!r} has {what} {value[:40]!r}")
    return int(value)


def _unsafe(message: str) -> RequestError:
    return RequestError(
        message,
        hint="a model may only read files in its own folder; do not run it, export it again",
        code="unsafe-external-data",
    )


def _broken(message: str) -> RequestError:
    return RequestError(
        message, hint="download or export the model again", code="broken-external-data"
    )
