"""How compaudit was called."""

from __future__ import annotations

import itertools
import shlex
import sys

__all__ = ["as_text", "command_line", "wants_json"]


def command_line() -> str:
    """The command as typed, so that it can be typed again."""
    return as_text(shlex.join(["compaudit", *sys.argv[1:]]))


def as_text(argument: str) -> str:
    """An argument with a replacement character for every byte that is not UTF-8."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def wants_json() -> bool:
    """Whether stdout is to carry JSON, known even where the options could not be parsed."""
    arguments = sys.argv[1:]
    pairs = set(itertools.pairwise(arguments))
    return "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairs
