"""The kinds of files that hold samples, told by content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compaudit.data.base import DataRequest
from compaudit.data.file_dataset import FileDataset
from compaudit.data.jsonl import SUFFIXES as JSONL_SUFFIXES
from compaudit.data.jsonl import JsonLinesDataset, is_jsonl
from compaudit.data.npy import NpyDataset, is_npy
from compaudit.data.npz import NpzDataset, is_npz
from compaudit.data.parquet import ParquetDataset, is_parquet
from compaudit.errors import RequestError

__all__ = ["READABLE", "FileKind", "kind_of", "kind_of_suffix", "unknown_data", "unreadable"]

READABLE = (
    "compaudit reads .npz, .npy, .parquet and .jsonl files, folders of such files, and folders of "
    "images; numpy.savez saves inputs under their names, and labels as 'labels'"
)


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of file. A new kind is a file beside this one, and a line below."""

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path], bool]
    open: Callable[[DataRequest], FileDataset]


_KINDS = (
    FileKind("npz", (".npz",), is_npz, NpzDataset),
    FileKind("npy", (".npy",), is_npy, NpyDataset),
    FileKind("parquet", (".parquet",), is_parquet, ParquetDataset),
    # Last, for the others have marks that nothing else begins with.
    FileKind("jsonl", JSONL_SUFFIXES, is_jsonl, JsonLinesDataset),
)


def kind_of(path: Path) -> FileKind | None:
    """The kind of a file, by what it holds; None for one that is not read here.

    Raises:
        RequestError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            file.read(1)
        return next((kind for kind in _KINDS if kind.recognises(path)), None)
    except OSError as error:
        raise unreadable(path, error) from error


def kind_of_suffix(path: Path) -> FileKind | None:
    """The kind that a file is called; None for any other."""
    return next((kind for kind in _KINDS if path.suffix in kind.suffixes), None)


def unreadable(path: Path, error: Exception) -> RequestError:
    """A refusal of data that cannot be opened."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    why = "does not exist" if missing else f"cannot be opened: {error}"
    return RequestError(
        f"the data {path} {why}", hint="check --data", code="missing-data", stage="data"
    )


def unknown_data(path: Path, what: str = "is not data compaudit can read") -> RequestError:
    """A refusal of data of other kinds."""
    return RequestError(f"{path} {what}", hint=READABLE, code="unknown-data", stage="data")
