"""Requirements from TOML: texts, or tables with a severity and a message.

    require = ["alpha.file_bytes >= 3.5", "delta >= 1.2"]

    [[require]]
    that = "accuracy.top1.delta >= -1 pp"
    severity = "warn"
    message = "below this the quality team looks at it"

They become the one form that requirements have everywhere, ``warn: … # message``; what a figure or
a unit is, the gate knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compaudit.config.checks import did_you_mean
from compaudit.config.toml import read_toml, wrong

__all__ = ["read_policy", "requirements_in"]

_KEYS = ("that", "severity", "message")
_SEVERITIES = ("fail", "warn")
_EXAMPLE = 'for example: require = ["delta >= 1.2"]'


def read_policy(path: str) -> tuple[str, ...]:
    """The requirements of a policy file, which holds nothing else.

    Raises:
        RequestError: it cannot be read, holds another key, or no requirement.
    """
    table = read_toml(Path(path))
    for key in table:
        if key != "require":
            raise wrong(path, f"has an unknown key {key!r}", did_you_mean(key, ["require"]))
    found = requirements_in(table.get("require", []), path)
    if not found:
        raise wrong(path, "holds no requirement", _EXAMPLE)
    return found


def requirements_in(listed: Any, path: Path | str) -> tuple[str, ...]:
    """The texts of requirements, from a list of texts and tables; a text alone is one.

    Raises:
        RequestError: something else is in the list; the file `path` is named.
    """
    if isinstance(listed, str):
        listed = [listed]
    if not isinstance(listed, list):
        raise wrong(path, "says require, and not in a list", _EXAMPLE)
    return tuple(_requirement(one, path) for one in listed)


def _requirement(one: Any, path: Path | str) -> str:
    if isinstance(one, str):
        return one
    if not isinstance(one, dict):
        raise wrong(path, f"requires {one!r}, which is neither text nor a table", _EXAMPLE)
    for key in one:
        if key not in _KEYS:
            raise wrong(path, f"has an unknown key {key!r} in require", did_you_mean(key, _KEYS))
    for key, value in one.items():
        if not isinstance(value, str):
            raise wrong(
                path, f"has a {key} in require that is no text", f'for example: {key} = "…"'
            )
    if not one.get("that", "").strip():
        raise wrong(path, "requires nothing in a table", 'for example: that = "delta >= 1.2"')
    severity = one.get("severity", "")
    if severity and severity not in _SEVERITIES:
        raise wrong(
            path,
            f"has an unknown severity {severity!r} in require",
            did_you_mean(severity, _SEVERITIES),
        )
    message = " ".join(one.get("message", "").split())
    before = f"{severity}: " if severity else ""
    return f"{before}{one['that'].strip()}{f'  # {message}' if message else ''}"
