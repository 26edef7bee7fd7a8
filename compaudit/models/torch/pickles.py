"""What a pickle would import, found without loading it.

A state dict imports only what ``torch.load(weights_only=True)`` allows; anything else is a pickle
that runs code. This only sorts files into formats: what keeps a state dict from running code is
torch's restricted unpickler, not this scan.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from compaudit.models.base import Head

__all__ = ["foreign_globals", "holds_pickle", "is_legacy"]

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PICKLES = 4
_MOST_BYTES = 256 << 20
_UNREADABLE = (
    OSError, EOFError, ValueError, RuntimeError, struct.error, zipfile.BadZipFile
)  # fmt: skip

_ALLOWED = re.compile(
    r"collections\.(OrderedDict|Counter)"
    r"|_codecs\.encode|(__builtin__|builtins)\.(bytearray|set|complex)"
    r"|torch\.(cuda\.)?(sparse\.)?[A-Za-z0-9]+(Storage|Tensor)"
    r"|torch\.storage\.(TypedStorage|UntypedStorage)"
    r"|torch\.(Size|Tensor|device|bool|bfloat16|q?u?int\d+(x\d+)?|bits\w+)"
    r"|torch\.(float|complex)\d\w*"
    r"|torch\.per_(tensor|channel)_\w+"
    r"|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
    r"|torch\._utils\._rebuild_(parameter|parameter_with_state|qtensor|tensor|tensor_v2|tensor_v3"
    r"|sparse_tensor|meta_tensor_no_storage|nested_tensor|wrapper_subclass"
    r"|device_tensor_from_numpy|device_tensor_from_cpu_tensor)"
    r"|torch\._tensor\._rebuild_from_type_v2"
)


def holds_pickle(head: Head) -> bool:
    """Whether this is a zip archive with a ``data.pkl`` and no code, or a pickle."""
    names = head.zip_names()
    if names:
        return "data.pkl" in names and not any(
            name == "constants.pkl" or name.startswith("code/") for name in names
        )
    return head.start[:1] == b"\x80" and head.start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def is_legacy(path: Path) -> bool:
    """Whether torch wrote this pickle, before torch 1.6; other pickles torch does not load."""
    with path.open("rb") as stream:
        return stream.read(len(_LEGACY)) == _LEGACY


def foreign_globals(head: Head) -> frozenset[str]:
    """What the pickle imports beyond what a state dict may; the first such pickle's only."""
    try:
        for stream in _pickles(head):
            found = frozenset(name for name in _globals(stream) if _ALLOWED.fullmatch(name) is None)
            if found:
                return found
    except _UNREADABLE:
        pass
    return frozenset()


def _pickles(head: Head) -> Iterator[IO[bytes]]:
    if head.zip_names():
        with zipfile.ZipFile(head.path) as archive:
            for info in archive.infolist():
                if info.filename.partition("/")[2] != "data.pkl":
                    continue
                if info.compress_type == zipfile.ZIP_STORED:
                    with archive.open(info) as member:
                        yield io.BytesIO(member.read(_MOST_BYTES))
        return
    with head.path.open("rb") as stream:
        for _ in range(_LEGACY_PICKLES if head.start.startswith(_LEGACY) else 1):
            yield stream


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """Every import of one pickle; those before the break of a broken one."""
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".", 1)
            elif opcode.name == "STACK_GLOBAL":
                # torch's restricted unpickler knows no STACK_GLOBAL, so it is never allowed.
                yield "stack:" + ".".join(strings[-2:])
            elif opcode.name.startswith("EXT"):
                yield f"extension:{argument}"
            elif isinstance(argument, str):
                strings = [*strings[-1:], argument]
    except (ValueError, IndexError, KeyError, UnicodeError, OverflowError, MemoryError):
        return
