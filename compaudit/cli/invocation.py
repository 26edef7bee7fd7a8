"""How compaudit was called."""

from __future__ import annotations

import shlex
import sys

__all__ = ["command_line", "wants_json"]


def command_line() -> str:
    """The command as typed, so that it can be typed again."""
    return shlex.join(["compaudit", *sys.argv[1:]])


def wants_json() -> bool:
    """Whether stdout is to carry JSON, known even where the options could not be parsed."""
    arguments = sys.argv[1:]
    pairs = set(zip(arguments, arguments[1:], strict=False))
    return "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairs
