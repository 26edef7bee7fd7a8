"""Settings from a file: ``compaudit.toml``, or ``[tool.compaudit]`` in pyproject.toml.

Keys are the long options of ``compaudit compare`` without their dashes, and values what these take:
``time-budget = "60s"``, ``threads = 4``, ``skip = ["latency"]``, ``map-input = {image = "x"}``.

No file can make a model run code: ``--trust-model-code`` is for the command line alone, as are the
libraries of custom operators that it lets in (RELIABILITY rule 1).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from compaudit.config.checks import did_you_mean
from compaudit.config.policy import requirements_in
from compaudit.config.toml import read_toml, wrong
from compaudit.errors import RequestError

__all__ = ["FileSettings", "find_file", "keys_of_files", "read_file"]

NAME, SHARED_NAME = "compaudit.toml", "pyproject.toml"
_SHARED_TABLE = "[tool.compaudit]"

Kind = Literal["text", "whole", "switch", "list", "mapping", "shapes"]

_FOR_ONE: dict[str, Kind] = {
    "batch-size": "whole",
    "input-shape": "shapes",
    "map-input": "mapping",
    "map-output": "mapping",
    "provider-option": "mapping",
    "session-option": "mapping",
}
_KEYS: dict[str, Kind] = {
    "data": "text",
    "preprocess": "text",
    "task": "text",
    "metric": "list",
    "model-output": "text",
    "limit": "whole",
    "seed": "whole",
    "device": "text",
    "threads": "whole",
    "compile": "switch",
    **_FOR_ONE,
    **{
        f"{which}-{key}": kind
        for which in ("original", "compressed")
        for key, kind in _FOR_ONE.items()
    },
    "only": "list",
    "skip": "list",
    "time-budget": "text",
    "resolution": "text",
    "confidence": "text",
    "policy": "text",
    "baseline": "text",
    "inconclusive": "text",
    "raw": "switch",
    "profile": "switch",
    "trace": "switch",
    "worst": "whole",
    "timeout": "text",
    "memory-limit": "text",
    "workers": "whole",
    "engine": "text",
    "ray-address": "text",
    "no-cache": "switch",
    "no-lock": "switch",
}
_WHAT: dict[Kind, str] = {
    "text": "a text or a number",
    "whole": "a whole number",
    "switch": "true or false",
    "list": "a list of texts",
    "mapping": 'a table, such as {a = "b"}',
    "shapes": "a table, such as {image = [1, 3, 224, 224]}",
}
_NEVER = {
    "trust-model-code": "give --trust-model-code on the command line, if you trust the models",
    "custom-op-library": "give it on the command line, with --trust-model-code",
}
_PATHS = ("data", "preprocess", "policy", "baseline", "metric")
_OF_COMMANDS = ("format", "json", "output", "quiet", "no-progress", "layers", "config", "no-config")


class FileSettings(msgspec.Struct, frozen=True):
    """What a file says.

    Attributes:
        path: of the file, as a report names it.
        options: what the options of the command line would be given, by their key.
        requirements: as texts; those of its policy are not among them.
    """

    path: str
    options: dict[str, Any]
    requirements: tuple[str, ...]


def keys_of_files() -> tuple[str, ...]:
    """Every key that a file may hold."""
    return (*_KEYS, "require")


def find_file(folder: Path) -> Path | None:
    """The nearest file with settings, in this folder or one that it lies in.

    A folder above that everybody may write to, such as that of temporary files, is passed over:
    settings name code to run.

    Raises:
        RequestError: one folder has both files, or a pyproject.toml that names compaudit is broken.
    """
    for place in (folder, *folder.parents):
        if place != folder and _is_everybodys(place):
            continue
        own, shared = place / NAME, place / SHARED_NAME
        found = [path for path in (own, shared) if path.is_file()]
        if shared in found and not _names_us(shared):
            found.remove(shared)
        if len(found) == 2:
            raise wrong(
                own,
                f"and {_SHARED_TABLE} in {SHARED_NAME} beside it both hold settings",
                "keep one of them",
            )
        if found:
            return found[0]
    return None


def read_file(path: Path) -> FileSettings:
    """The settings in a file.

    Raises:
        RequestError: it cannot be read, has a key that no file may, or a value of another type.
    """
    table = read_toml(path)
    if path.name == SHARED_NAME:
        table = _ours(table, path)
    shown = _shown(path)
    options = {}
    for key, value in table.items():
        if key == "require":
            continue
        if key not in _KEYS:
            raise _unknown(key, shown)
        options[key] = _checked(key, value, shown)
    for key in set(options) & set(_PATHS):
        options[key] = _relocated(options[key], path.parent)
    return FileSettings(shown, options, requirements_in(table.get("require", []), shown))


# ------------------------------------------------------------------------------------- places


def _is_everybodys(place: Path) -> bool:
    try:
        return bool(place.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


def _names_us(path: Path) -> bool:
    """Whether a pyproject.toml has a table of ours; one that is broken only matters if it does."""
    try:
        if b"compaudit" not in path.read_bytes():
            return False
    except OSError:
        return False
    table = read_toml(path)
    tool = table.get("tool")
    return isinstance(tool, dict) and "compaudit" in tool


def _ours(table: dict[str, Any], path: Path) -> dict[str, Any]:
    tool = table.get("tool", {})
    ours = tool.get("compaudit", {}) if isinstance(tool, dict) else None
    if not isinstance(ours, dict):
        raise wrong(path, f"says {_SHARED_TABLE}, and not as a table", f"write: {_SHARED_TABLE}")
    return ours


def _shown(path: Path) -> str:
    """As one would type it from here."""
    try:
        near = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    return near if len(near) < len(str(path)) else str(path)


def _relocated(value: Any, folder: Path) -> Any:
    """Paths in a file are those of its own folder; functions of modules have no folder."""
    if isinstance(value, list):
        return [_relocated(one, folder) for one in value]
    path, colon, _ = value.partition(":")
    is_module = bool(colon) and not path.endswith(".py") and not (folder / value).exists()
    if is_module or value in ("imagenet", "") or Path(value).is_absolute():
        return value
    return _shown(folder / value) if not _is_here(folder) else value


def _is_here(folder: Path) -> bool:
    return folder.resolve() == Path.cwd().resolve()


# ------------------------------------------------------------------------------------- values


def _unknown(key: str, path: str) -> RequestError:
    if key.replace("_", "-") in _NEVER:
        known = key.replace("_", "-")
        return wrong(path, f"says {key}, which no file can", _NEVER[known])
    if key == "tool":
        hint = f"{_SHARED_TABLE} is for {SHARED_NAME}; here the keys stand alone"
        return wrong(path, "has a table of tools", hint)
    if key in _OF_COMMANDS:
        return wrong(path, f"says {key}, which is given with a command", f"give --{key}")
    return wrong(path, f"has an unknown key {key!r}", did_you_mean(key, keys_of_files()))


def _checked(key: str, value: Any, path: str) -> Any:
    """What the option of this name would be given. Raises RequestError for another type."""
    kind = _KEYS[key]
    match kind, value:
        case "text", str():
            return value
        case "text", int() | float() if not isinstance(value, bool):
            return repr(value)
        case "whole", int() if not isinstance(value, bool):
            return value
        case "switch", bool():
            return value
        case "list", str():
            return [value]
        case "list", list() if all(isinstance(one, str) for one in value):
            return value
        case "mapping", dict() if all(_is_plain(one) for one in value.values()):
            return [f"{name}={_plain(one)}" for name, one in value.items()]
        case "shapes", dict() if all(_is_shape(one) for one in value.values()):
            return [f"{name}={_shape(one)}" for name, one in value.items()]
        case _:
            raise wrong(path, f"says {key} = {_toml(value)}", f"{key} is {_WHAT[kind]}")


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _is_shape(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, list) and all(type(size) is int for size in value)


def _shape(value: str | Iterable[int]) -> str:
    return value if isinstance(value, str) else "x".join(map(str, value)) or "scalar"


def _toml(value: Any) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 60 else f"{text[:59]}…"
