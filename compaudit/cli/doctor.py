"""``compaudit doctor``: what this machine has, and what compaudit will do with it."""

from __future__ import annotations

from compaudit.cli import options

__all__ = ["doctor"]


def doctor(
    noise: options.Noise = False,
    time_budget: options.NoiseBudget = "30s",
    format_: options.Format = "table",
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> int:
    """Show what this machine offers for audits, and what to change."""
    from compaudit import config
    from compaudit.checkup import examine
    from compaudit.cli import output as out
    from compaudit.cli.invocation import command_line
    from compaudit.cli.progress import Terminal
    from compaudit.errors import ExitCode

    out.check_format(format_)
    report_format = "json" if json else format_
    budget_s = config.parse_with_unit("time-budget", time_budget)
    with Terminal(quiet=quiet, moving=not no_progress) as progress:
        found = examine(command_line(), progress, budget_s if noise else None)
    return out.deliver(found, report_format, [], ExitCode.DONE)
