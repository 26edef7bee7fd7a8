"""``compaudit init``: a configuration from a first audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from compaudit.cli import options
from compaudit.cli.invocation import command_line

if TYPE_CHECKING:
    from compaudit.results import Comparison

__all__ = ["init"]

_NAME, _SHARED_NAME = "compaudit.toml", "pyproject.toml"


def init(
    context: typer.Context,
    audit: options.AuditToStartFrom = None,
    data: options.Data = None,
    preprocess: options.Preprocess = None,
    task: options.Task = "auto",
    metric: options.Metric = None,
    model_output: options.ModelOutput = None,
    input_shape: options.InputShape = None,
    map_input: options.MapInput = None,
    map_output: options.MapOutput = None,
    limit: options.Limit = None,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    batch_size: options.BatchSize = None,
    only: options.Only = None,
    skip: options.Skip = None,
    time_budget: options.TimeBudget = None,
    trust_model_code: options.TrustModelCode = False,
    output: options.ConfigToWrite = _NAME,
    force: options.Overwrite = False,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> int:
    """Write a commented compaudit.toml, with the limits that a first audit or a report passes."""
    from compaudit import proposal
    from compaudit.cli import output as out
    from compaudit.cli.progress import Terminal
    from compaudit.errors import ExitCode

    given = audit or []
    _check_arguments(given)
    _check_target(Path(output), force=force)
    with Terminal(quiet=quiet, moving=not no_progress) as progress:
        text = proposal.TEMPLATE
        if given:
            report = _audited(given, context.params, progress)
            if report.error is not None:
                out.say_error(report.error.message, report.error.hint)
                return ExitCode(report.error.exit)
            text = proposal.proposed(report, Path(output).parent)
        written = out.write_file(output, text.encode())
        if written:
            progress.note(f"{output} is written; read it, and change what you do not mean")
    return ExitCode.DONE if written else ExitCode.BAD_REQUEST


def _audited(given: list[str], parameters: dict[str, Any], progress: Any) -> Comparison:
    """The report that was given, or that of an audit of the two models. Raises RequestError."""
    if len(given) == 1:
        from compaudit import saved

        return saved.read_comparison(given[0])
    from compaudit import audit, config

    original, compressed = given
    chosen = {name.replace("_", "-"): value for name, value in parameters.items()}
    return audit.compare(config.config_from(original, compressed, chosen), progress, command_line())


def _check_arguments(given: list[str]) -> None:
    from compaudit.errors import RequestError

    if len(given) > 2:
        raise RequestError(
            f"init takes a report, or two models, and not {len(given)} arguments",
            hint="for example: compaudit init ORIGINAL COMPRESSED --data test.npz",
            code="usage",
        )


def _check_target(path: Path, *, force: bool) -> None:
    """Refuse what exists, or could not be written, before minutes are spent.

    Raises:
        RequestError: the file is there already, its folder is not or cannot be written to, or a
            pyproject.toml beside it holds settings that would contradict it.
    """
    from compaudit import config
    from compaudit.cli import output as out
    from compaudit.errors import RequestError

    if path.suffix != ".toml":
        raise RequestError(
            f"{path} would not be found: settings are in files that end in .toml",
            hint=f"leave -o out, and {_NAME} is written here",
            code="usage",
        )
    if path.is_file() and not force:
        raise RequestError(
            f"{path} exists already",
            hint="add --force to write it anew, or choose another file with -o",
            code="exists",
        )
    out.check_writable(str(path))
    if path.name == _NAME and config.find_file(path.parent.resolve()) == (
        path.parent.resolve() / _SHARED_NAME
    ):
        raise RequestError(
            f"{path.parent / _SHARED_NAME} holds settings already, in [tool.compaudit]",
            hint="choose another file with -o, and copy what you want from it",
            code="exists",
        )
