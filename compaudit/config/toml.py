"""TOML files of the user's: what they hold, or one sentence that says why it cannot be used."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from compaudit.errors import RequestError

__all__ = ["read_toml", "wrong"]

_MOST_BYTES = 10**7


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        RequestError: there is no such file, it cannot be read, is not UTF-8, or is no TOML.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise wrong(path, "does not exist", "give the path of a TOML file") from error
    except IsADirectoryError as error:
        raise wrong(path, "is a folder", "give the path of a TOML file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise wrong(path, f"cannot be read: {reason}", "give the path of a TOML file") from error
    if len(text) > _MOST_BYTES:
        raise wrong(path, "holds more than 10 MB, and no settings do", "give another file")
    try:
        return tomllib.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise wrong(path, f"is not UTF-8 in line {line}", "save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        said = f"{error}"
        said = said[0].lower() + said[1:]
        raise wrong(
            path, f"is no TOML: {said}", 'for example: require = ["delta >= 1.2"]'
        ) from error
    except RecursionError as error:
        raise wrong(path, "is nested deeper than any settings", "give another file") from error


def wrong(path: Path | str, what: str, hint: str, code: str = "bad-config") -> RequestError:
    """The error of a file that says something impossible."""
    return RequestError(f"{path} {what}", hint=hint, code=code)
