"""``compaudit doctor``: what this machine has, and what compaudit will do with it."""

from __future__ import annotations

from compaudit.cli import options

__all__ = ["doctor"]


def doctor(format_: options.Format = "table", json: options.Json = False) -> int:
    """Show devices, providers, versions and threads of this machine."""
    from compaudit.checkup import examine
    from compaudit.cli import output as out
    from compaudit.cli.invocation import command_line
    from compaudit.errors import ExitCode

    out.check_format(format_)
    report_format = "json" if json else format_
    return out.deliver(examine(command_line()), report_format, [], ExitCode.DONE)
