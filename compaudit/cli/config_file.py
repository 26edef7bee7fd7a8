"""Where options come from: the command line, else a file, else their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from compaudit.errors import RequestError

if TYPE_CHECKING:
    from compaudit.config import FileSettings

__all__ = [
    "file_named",
    "judging_settings",
    "no_config",
    "options_of",
    "requirements_of",
    "settings_of_audits",
]

_FILE, _GIVEN, _LEFT_OUT = "compaudit.file", "compaudit.config", "compaudit.no-config"
_OF_JUDGING = ("policy", "baseline", "inconclusive")
"""What a saved report can be judged by; all other settings were those of its audit."""


def no_config(context: typer.Context, given: bool) -> bool:
    """``--no-config``: remembered for `settings_of_audits`, which is called after it."""
    context.meta[_LEFT_OUT] = given
    _check_both(context)
    return given


def settings_of_audits(context: typer.Context, path: str | None) -> str | None:
    """``--config FILE``, or the nearest file there is: its settings become defaults of options."""
    return _apply(context, path, keys=None)


def judging_settings(context: typer.Context, path: str | None) -> str | None:
    """The same for what only judges."""
    return _apply(context, path, keys=_OF_JUDGING)


def requirements_of(context: typer.Context) -> tuple[str, ...]:
    """The requirements of the file, without those of its policy."""
    found: FileSettings | None = context.meta.get(_FILE)
    return found.requirements if found is not None else ()


def file_named(context: typer.Context) -> str | None:
    """The file that settings came from."""
    found: FileSettings | None = context.meta.get(_FILE)
    return found.path if found is not None else None


def options_of(context: typer.Context) -> dict[str, Any]:
    """Every option by its long name, with the file's requirements before the command line's."""
    options = {_long_name(name): value for name, value in context.params.items()}
    options["require"] = [*requirements_of(context), *(options.get("require") or ())]
    options["config-file"] = file_named(context)
    return options


def _apply(context: typer.Context, path: str | None, keys: tuple[str, ...] | None) -> str | None:
    context.meta[_GIVEN] = path
    _check_both(context)
    if context.resilient_parsing or context.meta.get(_LEFT_OUT):
        return path
    found = _read(path)
    if found is None:
        return path
    context.meta[_FILE] = found
    chosen = found.options if keys is None else _only(found.options, keys)
    names = {_long_name(parameter.name): parameter.name for parameter in context.command.params}
    context.default_map = {
        **(context.default_map or {}),
        **{names[key]: value for key, value in chosen.items() if key in names},
    }
    return found.path


def _check_both(context: typer.Context) -> None:
    """Whichever of the two options is looked at last."""
    path = context.meta.get(_GIVEN)
    if path is not None and context.meta.get(_LEFT_OUT):
        raise RequestError(
            f"--config {path} and --no-config contradict each other",
            hint="leave one of them out",
            code="contradicting-options",
        )


def _read(path: str | None) -> FileSettings | None:
    """The file's settings, each checked, so that errors name the file and not an option."""
    from pathlib import Path

    from compaudit import config, gate

    place = Path(path) if path is not None else config.find_file(Path.cwd())
    if place is None:
        return None
    found = config.read_file(place)
    config.check_options(found.options, found.path)
    for text in found.requirements:
        try:
            gate.parse_requirement(text)
        except RequestError as error:
            raise RequestError(
                f"{found.path}: {error.message}", hint=error.hint, code=error.code
            ) from error
    return found


def _only(options: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key in keys}


def _long_name(parameter: str | None) -> str:
    """``compile_`` → ``compile``, ``time_budget`` → ``time-budget``."""
    return (parameter or "").rstrip("_").replace("_", "-")
