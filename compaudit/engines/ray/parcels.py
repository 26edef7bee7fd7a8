"""Files that a node needs: found where they are, or sent once to each node that lacks them.

A file on a node is the same where it has the same path and the same content. On the machine of the
caller, or in a container there, that is so when it is the very same file; elsewhere it is read and
hashed. What a node lacks is written to a folder of its own (`shelf`), named by content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from compaudit.errors import RequestError

__all__ = ["Chunk", "File", "Parcel", "chunks", "is_here", "pack", "pack_folder", "python_files"]

_CHUNK_BYTES = 16 * 2**20

Chunk = list[tuple[int, int, int, bytes]]
"""Pieces of files: the parcel, the file in it, the place in the file, and what stands there."""

_MOST_CODE_FILES = 10_000
_SKIPPED = {"node_modules", "site-packages", "__pycache__"}


class File(msgspec.Struct, frozen=True):
    """A file of a parcel; `sha256` is empty where nobody on another machine will ask."""

    name: str
    size: int
    modified_ns: int
    device: int
    inode: int
    sha256: str = ""


class Parcel(msgspec.Struct, frozen=True):
    """Files that belong together.

    Attributes:
        purpose: what they are for: ``original``, ``data`` …
        root: the folder that their names are relative to.
        entry: what the user named, relative to it.
        files: all of them.
    """

    purpose: str
    root: str
    entry: str
    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """Of names and contents."""
        listing = "".join(f"{file.name}\0{file.size}\0{file.sha256}\n" for file in self.files)
        return hashlib.sha256(os.fsencode(listing)).hexdigest()

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)


def pack(purpose: str, entry: str, files: Sequence[str], *, hashed: bool) -> Parcel:
    """These files, of which the user named one, or the folder of all.

    Args:
        purpose: what they are for.
        entry: what was named.
        files: all that belong to it.
        hashed: whether a node may not share this machine's files.

    Raises:
        RequestError: one cannot be read.
    """
    named = Path(entry).absolute()
    paths = [Path(file).absolute() for file in files]
    root = Path(os.path.commonpath([named.parent, *(path.parent for path in paths)]))
    return Parcel(
        purpose,
        str(root),
        str(named.relative_to(root)),
        tuple(_file(path, str(path.relative_to(root)), hashed) for path in sorted(paths)),
    )


def pack_folder(purpose: str, entry: str, *, hashed: bool) -> Parcel:
    """A file, or all that lies in a folder, links followed. Raises RequestError."""
    named = Path(entry).absolute()
    if not named.is_dir():
        return pack(purpose, entry, [entry], hashed=hashed)
    found = [str(path) for path in _below(named)]
    return pack(purpose, entry, found, hashed=hashed)


def python_files(folder: str) -> list[str]:
    """The modules below a folder, without environments, hidden folders and what tools made.

    Raises:
        RequestError: there are too many for that to be a project.
    """
    found: list[str] = []
    for path in _below(Path(folder), skip=True):
        if path.suffix == ".py":
            found.append(str(path))
        if len(found) > _MOST_CODE_FILES:
            raise RequestError(
                f"{folder} holds more than {_MOST_CODE_FILES:,} Python files, too many to send "
                "to the nodes of the Ray cluster",
                hint="run compaudit from the folder of the code that the models need",
                code="too-much-code",
                stage="evaluate",
            )
    return found


def is_here(parcel: Parcel, *, same_machine: bool) -> bool:
    """Whether all files are at their place, with this content.

    Args:
        parcel: the files.
        same_machine: under the kernel that `parcel` was packed under.
    """
    return all(_is_same(Path(parcel.root, file.name), file, same_machine) for file in parcel.files)


def chunks(parcels: Sequence[Parcel], wanted: Iterable[int]) -> Iterator[Chunk]:
    """The contents of these parcels, in pieces of 16 MiB at most, small files together.

    Raises:
        RequestError: a file has changed meanwhile.
    """
    chunk: Chunk = []
    held = 0
    for number in wanted:
        for place, file in enumerate(parcels[number].files):
            for offset, piece in _pieces(Path(parcels[number].root, file.name), file):
                if held + len(piece) > _CHUNK_BYTES and chunk:
                    yield chunk
                    chunk, held = [], 0
                chunk.append((number, place, offset, piece))
                held += len(piece)
    if chunk:
        yield chunk


def _pieces(path: Path, file: File) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as stream:
            offset = 0
            while piece := stream.read(_CHUNK_BYTES):
                yield offset, piece
                offset += len(piece)
            if not offset:
                yield 0, b""
    except OSError as error:
        raise _unreadable(path, error) from error
    if offset != file.size:
        raise RequestError(
            f"{path} changed while it was sent to the nodes of the Ray cluster",
            hint="run the audit again",
            code="file-changed",
            stage="evaluate",
        )


def _file(path: Path, name: str, hashed: bool) -> File:
    try:
        facts = path.stat()
        digest = _sha256(path) if hashed else ""
    except OSError as error:
        raise _unreadable(path, error) from error
    return File(name, facts.st_size, facts.st_mtime_ns, facts.st_dev, facts.st_ino, digest)


def _is_same(path: Path, file: File, same_machine: bool) -> bool:
    try:
        facts = path.stat()
        if facts.st_size != file.size:
            return False
        if same_machine:
            own = (facts.st_dev, facts.st_ino, facts.st_mtime_ns)
            if own == (file.device, file.inode, file.modified_ns):
                return True
        return file.sha256 != "" and _sha256(path) == file.sha256
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _below(folder: Path, *, skip: bool = False) -> Iterator[Path]:
    """The regular files below a folder. A link that leads back is not followed again."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        facts = Path(place).stat()
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        if skip:
            kept = [name for name in folders if _is_code(Path(place, name))]
            folders[:] = kept
        yield from (path for name in names if (path := Path(place, name)).is_file())


def _is_code(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _SKIPPED
    return not hidden and not (folder / "pyvenv.cfg").exists()


def _unreadable(path: Path, error: OSError) -> RequestError:
    return RequestError(
        f"{path} cannot be read: {error.strerror}",
        hint="check it",
        code="unreadable-file",
        stage="evaluate",
    )
