"""Where reports go: stdout, and files that are never half written."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from compaudit import interruption
from compaudit.errors import ExitCode, RequestError
from compaudit.report import FORMATS, View, format_for, render, require
from compaudit.results import Report

__all__ = [
    "check_format",
    "check_outputs",
    "check_writable",
    "deliver",
    "forget_stdout",
    "say_error",
    "write_file",
    "write_stdout",
]

# A line that begins with two colons is a command to GitHub's runner, as is the old ##[command]
# anywhere; ##vso[command] is one to Azure's. Names from files may try to be one.
# Reports for programs are written with that in mind.
_LINE_COMMAND = re.compile(r"(?m)^([ \t]*)::")
_COMMAND = re.compile(r"##(?=(?:vso)?\[)")
_OF_MACHINES = ("json", "github", "html")


def check_format(name: str, *, rankings: bool = False) -> None:
    """Refuse an unknown ``--format``, or one that cannot be written. Raises RequestError.

    Args:
        name: as it was typed.
        rankings: whether the report may be a ranking.
    """
    if name not in FORMATS:
        from compaudit.config import did_you_mean

        raise RequestError(
            f"--format {name!r} is not known",
            hint=did_you_mean(name, FORMATS),
            code="unknown-format",
        )
    require(name, rankings=rankings)


def check_outputs(paths: Sequence[str], *, rankings: bool = False) -> None:
    """Refuse what could not be written anyway, before minutes are spent on measuring.

    Args:
        paths: of ``--output``.
        rankings: whether the report may be a ranking.

    Raises:
        RequestError: an unknown suffix, a library that is not installed, a missing folder, or one
            that cannot be written to.
    """
    for path in paths:
        require(format_for(path), rankings=rankings)
        check_writable(path)


def check_writable(path: str) -> None:
    """Refuse a file that could not be written anyway.

    Raises:
        RequestError: its folder is missing, or it cannot be written to.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise RequestError(
            f"cannot write {path}: the folder {folder} does not exist",
            hint=f"mkdir -p {folder}",
            code="unwritable-output",
        )
    target = Path(path)
    writable = os.access(target, os.W_OK) if target.exists() else os.access(folder, os.W_OK)
    if target.is_dir() or not writable:
        raise RequestError(
            f"cannot write {path}: no permission"
            if not target.is_dir()
            else f"cannot write {path}: it is a folder",
            hint="choose another place with -o",
            code="unwritable-output",
        )


def deliver(
    report: Report,
    format_name: str,
    paths: Sequence[str],
    verdict: ExitCode,
    view: View | None = None,
    answer: str | None = None,
) -> ExitCode:
    """Write the report, or what `view` shows of it, to stdout and to every file.

    Args:
        report: what is written.
        format_name: of stdout.
        paths: of the files; their suffixes say their formats.
        verdict: the exit code, if everything can be written.
        view: what of it to show.
        answer: what stdout is to hold instead of the report.

    Returns:
        The verdict's exit code; where that is 0 and something could not be written, 2.
    """
    console = Console()
    text = (
        render(
            report,
            format_name,
            console.width,
            console.color_system is not None,
            view=view,
            encoding=sys.stdout.encoding or "utf-8",
        )
        if answer is None
        else answer.encode()
    )
    if format_name not in _OF_MACHINES:
        text = _COMMAND.sub("## ", _LINE_COMMAND.sub(r"\1: :", text.decode())).encode()
    failed = not write_stdout(text, exact=format_name != "table")
    if format_name == "github":
        from compaudit.cli.step_summary import append_summary

        append_summary(report, view)
    for path in paths:
        try:
            failed |= not write_file(path, render(report, format_for(path), 100, view=view))
        except RequestError as error:
            say_error(f"cannot write {path}: {error.message}", error.hint)
            failed = True
    return ExitCode.BAD_REQUEST if failed and verdict is ExitCode.DONE else verdict


def write_file(path: str, text: bytes) -> bool:
    """Write a file, all of it or nothing; False, and a sentence on stderr, where it cannot be."""
    try:
        _write_whole(Path(path), text)
    except OSError as error:
        say_error(f"cannot write {path}: {error.strerror or error}", "choose another place")
        return False
    return True


def write_stdout(text: bytes, *, exact: bool = True) -> bool:
    """Write to stdout; False when it is full. A reader that went away (``| head``) is no failure.

    Args:
        text: UTF-8.
        exact: write it as it is, whatever encoding stdout claims: JSON is always UTF-8.
    """
    try:
        sys.stdout.buffer.write(text if exact else _encodable(text))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        forget_stdout()
    except OSError as error:
        say_error(f"cannot write to stdout: {error.strerror or error}", "use -o FILE")
        forget_stdout()
        return False
    return True


def say_error(message: str, hint: str = "") -> None:
    """One sentence and a hint on stderr, never with control characters of somebody else's."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    with contextlib.suppress(OSError):
        console.print("error:", style="bold red", end=" ")
        console.print(_printable(message))
        if hint:
            console.print(f"hint:  {_printable(hint)}", style="dim")


def _encodable(text: bytes) -> bytes:
    """What stdout's encoding cannot hold becomes a question mark instead of an error."""
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower().replace("-", "") == "utf8":
        return text
    return text.decode().encode(encoding, "replace")


def forget_stdout() -> None:
    """Keep the interpreter from flushing a broken stdout once more when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_whole(path: Path, text: bytes) -> None:
    """All of it or nothing: written beside the target and renamed. Devices are written directly."""
    if path.exists() and not path.is_file():
        path.write_bytes(text)
        return
    with ExitStack() as stack:
        with interruption.held():
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            beside = Path(name)
            stack.enter_context(interruption.undone_by(partial(beside.unlink, missing_ok=True)))
        with os.fdopen(handle, "wb") as stream:
            stream.write(text)
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _printable(text: str) -> str:
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return _COMMAND.sub("## ", shown)
