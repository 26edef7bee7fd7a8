"""The entry point: runs a command, and turns every way it can end into an exit code and a sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import typer

from compaudit import __version__
from compaudit.cli import compare, doctor, inspect, schema
from compaudit.cli.invocation import command_line, wants_json
from compaudit.errors import CompauditError, ExitCode, InternalError, Interrupted, RequestError

__all__ = ["app", "main"]

app = typer.Typer(
    name="compaudit",
    help="Is the compressed model really smaller, really faster and really as good as the original?",
    no_args_is_help=True,
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


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Is the compressed model really smaller, really faster and really as good as the original?"""


app.command("compare")(compare.compare)
app.command("inspect")(inspect.inspect)
app.command("doctor")(doctor.doctor)
app.command("schema")(schema.schema)


def main() -> NoReturn:
    """Run the command line and exit with one of the documented codes."""
    signal.signal(signal.SIGTERM, _terminate)
    code = _run()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    sys.exit(int(code))


def _run() -> ExitCode:
    try:
        result = app(standalone_mode=False)
    except CompauditError as error:
        return _refused(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Interrupted:
        return ExitCode.TERMINATED
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:
        if isinstance(error, _UsageError):
            return _refused(_usage_error(error))
        return _bug(error)
    return ExitCode(result) if isinstance(result, int) else ExitCode.DONE


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
    command = next((word for word in sys.argv[1:2] if not word.startswith("-")), "")
    return RequestError(
        text, hint=f"see: {' '.join(f'compaudit {command} --help'.split())}", code="usage"
    )


def _bug(error: Exception) -> ExitCode:
    from compaudit.cli.output import say_error

    trace = error.message if isinstance(error, InternalError) else traceback.format_exc()
    sys.stderr.write(trace)
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


def _terminate(number: int, frame: FrameType | None) -> None:
    if os.getpid() == _PID:
        raise Interrupted


_PID = os.getpid()
