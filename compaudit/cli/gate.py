"""``compaudit gate``: a saved report judged again."""

from __future__ import annotations

from typing import cast

from compaudit.cli import options

__all__ = ["gate"]


def gate(
    report: options.SavedReport,
    require: options.Require = None,
    inconclusive: options.InconclusiveAgain = None,
    confidence: options.ConfidenceAgain = None,
    resolution: options.ResolutionAgain = None,
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
    quiet: options.Quiet = False,
) -> int:
    """Judge a saved report again; nothing is run."""
    from compaudit import config, judging, saved
    from compaudit.cli import output as out
    from compaudit.cli.progress import Terminal
    from compaudit.report import View

    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    judged = judging.judge_again(
        saved.read_comparison(report),
        requirements=require or None,
        inconclusive=cast("config.Inconclusive | None", inconclusive),
        confidence=config.parse_with_unit("confidence", confidence),
        resolution=config.parse_with_unit("resolution", resolution),
    )
    if judged.error is not None:
        out.say_error(judged.error.message, judged.error.hint)
    if judged.gate.status == "none":
        with Terminal(quiet=quiet, moving=False) as progress:
            progress.note("the audit had no requirements, and no --require was given")
    verdict = judging.exit_code_of(judged)
    return out.deliver(judged, report_format, output or [], verdict, View(verdict_only=True))
