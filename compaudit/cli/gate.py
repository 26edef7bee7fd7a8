"""``compaudit gate``: a saved report judged again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from compaudit.cli import options
from compaudit.cli.config_file import file_named, requirements_of

if TYPE_CHECKING:
    from compaudit.errors import ExitCode
    from compaudit.results import Comparison

__all__ = ["gate"]


def gate(
    context: typer.Context,
    report: options.SavedReport,
    require: options.RequireAgain = None,
    policy: options.Policy = None,
    baseline: options.Baseline = None,
    accept: options.Accept = False,
    force: options.Force = False,
    inconclusive: options.InconclusiveAgain = None,
    confidence: options.ConfidenceAgain = None,
    resolution: options.ResolutionAgain = None,
    no_config: options.NoConfig = False,
    config_file: options.ConfigFileAgain = None,
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> int:
    """Judge a saved report again; nothing is run."""
    import msgspec

    from compaudit import config, judging, saved, terms
    from compaudit.cli import output as out
    from compaudit.cli.progress import Terminal
    from compaudit.report import View

    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    _check_acceptance(accept=accept, force=force, baseline=baseline)
    theirs = config.read_policy(policy) if policy is not None else ()
    wanted = (*theirs, *requirements_of(context), *(require or ()))
    first = accept and baseline is not None and not Path(baseline).exists()
    earlier = None if baseline is None or first else terms.read_baseline(baseline)
    judged = judging.judge_again(
        saved.read_comparison(report),
        requirements=tuple(dict.fromkeys(wanted)) or None,
        inconclusive=cast("config.Inconclusive | None", inconclusive),
        confidence=config.parse_with_unit("confidence", confidence),
        resolution=config.parse_with_unit("resolution", resolution),
        baseline=earlier,
        first_baseline=first,
    )
    sources = {"baseline": baseline, "policy": policy, "config_file": file_named(context)}
    if wanted or earlier is not None:
        judged = msgspec.structs.replace(judged, config={**judged.config, **sources})
    if judged.error is not None:
        out.say_error(judged.error.message, judged.error.hint)
    verdict = judging.exit_code_of(judged)
    with Terminal(quiet=quiet, moving=False) as progress:
        if not judged.gate.checks and not accept:
            progress.note("the audit had no requirements, and no --require was given")
        code = out.deliver(judged, report_format, output or [], verdict, View(verdict_only=True))
        if accept and baseline is not None:
            code, said = _accept(judged, baseline, code, verdict, force=force)
            if said:
                progress.note(said)
    return code


def _check_acceptance(*, accept: bool, force: bool, baseline: str | None) -> None:
    """Refuse what could never become a baseline, before anything is judged."""
    from compaudit.cli import output as out
    from compaudit.errors import RequestError
    from compaudit.report import format_for

    if force and not accept:
        raise RequestError(
            "--force without --accept has nothing to force", hint="add --accept", code="usage"
        )
    if not accept:
        return
    if baseline is None:
        raise RequestError(
            "--accept does not say where the baseline is",
            hint="add --baseline FILE.json; it is written anew",
            code="usage",
        )
    out.check_outputs([baseline])
    if format_for(baseline) != "json":
        raise RequestError(
            f"a baseline is JSON, and {baseline} would not be",
            hint="give --baseline a file that ends in .json",
            code="usage",
        )


def _accept(
    judged: Comparison, path: str, code: ExitCode, verdict: ExitCode, *, force: bool
) -> tuple[ExitCode, str]:
    """Write the new baseline, if the verdict allows it.

    Returns:
        The exit code, and what is to be said: nothing where an error was said already.
    """
    from compaudit.cli import output as out
    from compaudit.errors import ExitCode
    from compaudit.results import encode_report

    if verdict is not ExitCode.DONE and not force:
        out.say_error(
            f"{path} stays the baseline that it was: {_why_not(judged)}",
            "add --force to accept the report nevertheless",
        )
        return code, ""
    if not out.write_file(path, encode_report(judged)):
        return (ExitCode.BAD_REQUEST if code is ExitCode.DONE else code), ""
    return code, f"{path} is the new baseline"


def _why_not(judged: Comparison) -> str:
    if judged.error is not None:
        return "a measurement died"
    counted = [check.status for check in judged.gate.checks if check.severity == "fail"]
    failed = counted.count("failed")
    if failed:
        return f"{failed} of {len(counted)} requirements failed"
    undecided = len(counted) - counted.count("passed")
    return f"{undecided} of {len(counted)} requirements are undecided"
