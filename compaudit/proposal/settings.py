"""The settings of an audit, as a file would hold them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from compaudit.config import Config, keys_of_files
from compaudit.results import Comparison

__all__ = ["as_toml", "settings_of"]

_KEYS = {
    "metrics": "metric",
    "input_shapes": "input-shape",
    "provider_options": "provider-option",
    "session_options": "session-option",
    "measurements": "only",
    "time_budget_s": "time-budget",
    "timeout_s": "timeout",
    "memory_limit_bytes": "memory-limit",
    "cache": "no-cache",
    "lock": "no-lock",
}
_LEFT_OUT = ("require", "policy", "baseline", "inconclusive")


def settings_of(report: Comparison, folder: Path) -> Iterator[tuple[str, str]]:
    """Keys and values, in TOML, of what was not left at its default and may stand in a file.

    Args:
        report: with the settings of its audit.
        folder: where the file is to be; its paths are relative to that.
    """
    defaults = _plain(Config(original="", compressed="").as_json())
    known = set(keys_of_files())
    config = _plain(report.config)
    for field, default in defaults.items():
        value = config.get(field, default)
        key = _KEYS.get(field, field.replace("_", "-"))
        if value == default or key not in known or key in _LEFT_OUT:
            continue
        yield key, as_toml(_as_typed(field, value, folder))
    for which in ("original", "compressed"):
        own, plain = config.get(f"{which}_only"), defaults[f"{which}_only"]
        for field, value in own.items() if isinstance(own, dict) else ():
            key = f"{which}-{_KEYS.get(field, field.replace('_', '-'))}"
            if key in known and value != plain.get(field):
                yield key, as_toml(value)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """As JSON would hold them: lists, and no tuples."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return plain


def _as_typed(field: str, value: Any, folder: Path) -> Any:
    match field:
        case "time_budget_s" | "timeout_s":
            return f"{value:g}s"
        case "memory_limit_bytes":
            return f"{value} B"
        case "resolution" | "confidence":
            return f"{value * 100:.10g}%"
        case "cache" | "lock":
            return not value
        case "data" | "preprocess":
            return _seen_from(folder, value)
        case "metrics":
            return [_seen_from(folder, one) for one in value]
        case _:
            return value


def _seen_from(folder: Path, value: str) -> str:
    path, colon, function = value.partition(":")
    if colon and path.endswith(".py"):
        return f"{_seen_from(folder, path)}:{function}"
    is_file = Path(value).exists() and not Path(value).is_absolute()
    return os.path.relpath(value, folder) if is_file else value


def as_toml(value: Any) -> str:
    """A value in TOML, on one line. JSON's strings, numbers and lists are TOML's, but for DEL."""
    if isinstance(value, dict):
        inner = ", ".join(f"{as_toml(str(key))} = {as_toml(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    text = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
