"""The entry point: runs a command and turns every way it can end into an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import typer

from compaudit import interruption
from compaudit.cli import bench, compare, doctor, gate, init, inspect, rank, report, schema
from compaudit.cli.invocation import as_text, command_line, wants_json
from compaudit.cli.one_model import OneModelCommand
from compaudit.errors import CompauditError, ExitCode, InternalError, Interrupted, RequestError
from compaudit.version import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    name="compaudit",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The framework's own error class is a base of one of its public errors; its module is not public.
_UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"compaudit {__version__}")
        raise typer.Exit


# A full disk, a broken device, a file that grew beyond its limit: no fault of ours.
_REFUSED_WRITES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Is the compressed model really smaller, really faster and really as good as the original?"""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help() + "\n", err=True)
        raise RequestError(
            "no command was given",
            hint="for example: compaudit compare ORIGINAL COMPRESSED",
            code="usage",
        )


app.command("compare", cls=OneModelCommand)(compare.compare)
app.command("inspect")(inspect.inspect)
app.command("rank", cls=OneModelCommand)(rank.rank)
app.command("bench")(bench.bench)
app.command("gate")(gate.gate)
app.command("init")(init.init)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)


def main() -> NoReturn:
    """Run the command line and exit with one of the documented codes."""
    _open_closed_streams()
    # Off here and, inherited, in workers: ONNX Runtime 1.32 would upload what it did, from a thread
    # of its own while models are timed, and leave a file among the temporary ones.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    interruption.listen()
    code = _run()
    interruption.deafen()
    interruption.undo_everything()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        os._exit(int(code))  # at once, and not with a signal, as CPython may end after Ctrl-C
    sys.exit(int(code))


def _run() -> ExitCode:
    try:
        return _attempt()
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Interrupted:
        return ExitCode.TERMINATED


def _attempt() -> ExitCode:
    try:
        return _command()
    except CompauditError as error:
        interruption.raise_pending()
        return _refused(error)
    except Exception as error:
        interruption.raise_pending()  # which may have become another error on its way
        if isinstance(error, typer.Abort):
            raise
        if isinstance(error, _UsageError):
            return _refused(_usage_error(error))
        if isinstance(error, OSError) and error.errno in _REFUSED_WRITES:
            return _refused(_not_written(error))
        return _bug(error)


def _command() -> ExitCode:
    """Run the command that was asked for.

    Not by calling the app: its own handling gives a broken pipe the exit code of a failed
    requirement, and the end of a file that of an interruption.
    """
    command = typer.main.get_command(app)
    arguments = _decoded(sys.argv[1:])
    try:
        with command.make_context("compaudit", arguments) as context:
            result = command.invoke(context)
    except typer.Exit as stop:
        result = stop.exit_code
    except BrokenPipeError:
        from compaudit.cli.output import forget_stdout

        forget_stdout()  # who reads the help went away
        return ExitCode.DONE
    return ExitCode(result) if isinstance(result, int) else ExitCode.DONE


def _decoded(arguments: list[str]) -> list[str]:
    """The arguments, all of them text. Raises RequestError for bytes that are not UTF-8."""
    for argument in arguments:
        if argument != as_text(argument):
            raise RequestError(
                f"the argument {as_text(argument)} is not UTF-8, and no report could name it",
                hint="rename the file, or make a link to it with another name: ln -s",
                code="not-utf-8",
            )
    return arguments


def _refused(error: CompauditError) -> ExitCode:
    """Say what is wrong; with ``--json`` as a document on stdout too."""
    from compaudit.cli.output import say_error, write_stdout

    if isinstance(error, InternalError):
        return _bug(error)
    say_error(error.message, error.hint)
    if wants_json():
        from compaudit.envelope import error_report
        from compaudit.results import encode_report

        write_stdout(encode_report(error_report(error, command_line())))
    return error.exit_code


def _usage_error(error: Exception) -> RequestError:
    message = str(getattr(error, "format_message", lambda: error)()) or "the command line is wrong"
    text = message[0].lower() + message[1:].rstrip(".")
    known = {command.name for command in app.registered_commands}
    command = next((f" {word}" for word in sys.argv[1:2] if word in known), "")
    return RequestError(text, hint=f"see: compaudit{command} --help", code="usage")


def _not_written(error: OSError) -> RequestError:
    from compaudit.cli.output import forget_stdout

    forget_stdout()
    where = f" {error.filename}" if error.filename else ""
    return RequestError(
        f"cannot write{where}: {error.strerror}",
        hint="free some space, or write elsewhere",
        code="unwritable-output",
    )


def _bug(error: Exception) -> ExitCode:
    from compaudit.cli.output import say_error

    trace = error.message if isinstance(error, InternalError) else traceback.format_exc()
    sys.stderr.write(trace.rstrip() + "\n")
    say_error(
        "this is a bug in compaudit",
        f"please report it with the traceback above and the command: {command_line()}",
    )
    if wants_json():
        from compaudit.cli.output import write_stdout
        from compaudit.envelope import error_report
        from compaudit.results import encode_report

        bug = InternalError("a bug in compaudit", hint="please report it", code="internal-error")
        write_stdout(encode_report(error_report(bug, command_line())))
    return ExitCode.BUG


def _open_closed_streams() -> None:
    """Put the null device where a caller closed stdin, stdout or stderr.

    Otherwise the next file or pipe that is opened takes that place, and what is printed goes there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
