"""``compaudit report``: a saved report in another format."""

from __future__ import annotations

from compaudit.cli import options

__all__ = ["report"]


def report(
    report: options.SavedReport,
    layers: options.Layers = False,
    columns: options.RankColumns = None,
    sort: options.RankSort = None,
    survey: options.Survey = False,
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
) -> int:
    """Show a saved report again, in any format; nothing is run and nothing is judged."""
    from compaudit import saved
    from compaudit.cli import output as out
    from compaudit.errors import ExitCode
    from compaudit.report import View

    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    found = saved.read_report(report)
    shown = None if columns is None else tuple(name.strip() for name in columns.split(","))
    view = View(layers=layers, columns=shown, ranked_by=sort, survey=survey)
    return out.deliver(found, report_format, output or [], ExitCode.DONE, view)
