"""Who takes part: paths, patterns, folders and lists become labelled candidates."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec

from compaudit.config import ModelOptions
from compaudit.errors import RequestError
from compaudit.models import open as models
from compaudit.timing.several import ORIGINAL

__all__ = ["Listed", "find_candidates"]

_PATTERN = frozenset("*?[")
_LIST = ".toml"
_OF_A_MODEL = ("config.json", "*.index.json")
_NOTHING_SET = ModelOptions()


@dataclass(frozen=True, slots=True)
class Listed:
    """A candidate as it was named.

    Attributes:
        path: as `compare` takes it.
        label: what it is called in the report; no two are called the same.
        options: what holds for it alone.
    """

    path: str
    label: str
    options: ModelOptions


class _Entry(ModelOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ``[[candidate]]`` of a list; beside its path and label, what is set for it alone."""

    path: str
    label: str | None = None


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    candidate: list[_Entry]


@dataclass(frozen=True, slots=True)
class _Named:
    path: str
    label: str | None = None
    options: ModelOptions = _NOTHING_SET


def find_candidates(arguments: Sequence[str], original: str) -> list[Listed]:
    """Everything that the arguments name, in their order, each once.

    An argument is a model as `compare` takes it; a pattern, of which every match is one; a folder
    that is no model itself, of which every model in it is one, but for the original; or a TOML file
    with a table ``[[candidate]]`` for each, its path relative to that file.

    Args:
        arguments: of the command line.
        original: as it was named.

    Raises:
        RequestError: an argument names nothing, or two candidates are to be called the same.
    """
    found: dict[str, _Named] = {}
    for argument in arguments:
        for one in _named_by(argument, original):
            found.setdefault(_identity(one.path), one)
    if not found:
        raise RequestError(
            "there is no candidate to rank",
            hint="for example: compaudit rank original.onnx 'compressed/*.onnx'",
            code="no-candidates",
        )
    return _labelled(list(found.values()))


def _named_by(argument: str, original: str) -> Iterator[_Named]:
    path = Path(argument)
    if path.suffix == _LIST and path.is_file():
        yield from _from_list(path)
    elif path.is_dir() and not _is_model(argument):
        yield from _from_folder(path, original)
    elif _PATTERN & set(argument) and not os.path.lexists(argument):
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - it may be absolute
        if not matches:
            raise _refused(f"nothing matches {argument}", "check the pattern, and quote it")
        yield from map(_Named, matches)
    else:
        _require_existing(argument)
        yield _Named(argument)


def _from_folder(folder: Path, original: str) -> Iterator[_Named]:
    """The models in a folder; what else is there is passed over, and so is the original."""
    inside = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    found = [
        str(entry)
        for entry in inside
        if _is_model(str(entry)) and _identity(str(entry)) != _identity(original)
    ]
    if not found:
        raise _refused(f"there is no model in the folder {folder}", "give the models themselves")
    yield from map(_Named, found)


def _from_list(path: Path) -> Iterator[_Named]:
    try:
        listed = msgspec.toml.decode(path.read_bytes(), type=_List)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(
            f"{path} is no list of candidates: {reason}",
            'write [[candidate]] and below it path = "model.onnx", and label = "…" if you like',
        ) from error
    fields = ModelOptions.__struct_fields__
    for entry in listed.candidate:
        entry.check("compressed-")
        options = ModelOptions(**{name: getattr(entry, name) for name in fields})
        there = path.parent / entry.path
        spec = str(there) if os.path.lexists(there) else entry.path
        _require_existing(spec)
        yield _Named(spec, entry.label, options)


def _is_model(spec: str) -> bool:
    """Whether it is one by its content; a folder is where it says so itself, as Hugging Face's."""
    path = Path(spec)
    if path.is_dir():
        return any(True for mark in _OF_A_MODEL for _ in path.glob(mark))
    try:
        models.recognise(spec)
    except RequestError:
        return False
    return True


def _require_existing(spec: str) -> None:
    """Refuse what is nowhere: a mistyped path would otherwise be a row after minutes."""
    try:
        models.recognise(spec)
    except RequestError as error:
        if error.code == "missing-file":
            raise


def _identity(spec: str) -> str:
    """The same for two names of one file."""
    return str(Path(spec).resolve()) if os.path.lexists(spec) else spec


def _labelled(named: Sequence[_Named]) -> list[Listed]:
    """Labels as given; else file names, or whole paths where several files have the same name."""
    names = [one.label or _name_of(one.path) for one in named]
    counts = Counter(names)
    labels = [
        one.path if counts[name] > 1 and one.label is None else name
        for one, name in zip(named, names, strict=True)
    ]
    for label, count in Counter(labels).items():
        if count > 1 or label == ORIGINAL:
            raise RequestError(
                f"{count} candidates are labelled {label!r}"
                if count > 1
                else f"no candidate can be labelled {label!r}, as the original is",
                hint="give each a label of its own",
                code="same-label",
            )
    return [Listed(one.path, label, one.options) for one, label in zip(named, labels, strict=True)]


def _name_of(spec: str) -> str:
    return spec if ":" in spec else PurePath(spec).name or spec


def _refused(message: str, hint: str) -> RequestError:
    return RequestError(message, hint=hint, code="no-candidates")
