"""``compaudit report``: a saved report in another format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compaudit.cli import options

if TYPE_CHECKING:
    from compaudit.results import Benchmark, Comparison, Ranking

__all__ = ["report"]


def report(
    report: options.SavedReport,
    layers: options.Layers = False,
    columns: options.RankColumns = None,
    sort: options.RankSort = None,
    survey: options.Survey = False,
    published: options.PublishedRows = None,
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
) -> int:
    """Show a saved report again, in any format; nothing is run and nothing is judged."""
    from compaudit import saved
    from compaudit.cli import output as out
    from compaudit.errors import ExitCode
    from compaudit.report import View

    out.check_format(format_, rankings=True)
    report_format = "json" if json else format_
    out.check_outputs(output or [], rankings=True)
    found = saved.read_report(report)
    if published:
        found = _beside(found, published)
    shown = None if columns is None else tuple(name.strip() for name in columns.split(","))
    view = View(layers=layers, columns=shown, ranked_by=sort, survey=survey)
    return out.deliver(found, report_format, output or [], ExitCode.DONE, view)


def _beside(found: Comparison | Ranking | Benchmark, paths: list[str]) -> Ranking:
    """The ranking with these rows in place of those it was made with."""
    import msgspec

    from compaudit.errors import RequestError
    from compaudit.published import read_all
    from compaudit.results import Ranking

    if not isinstance(found, Ranking):
        raise RequestError(
            "published figures stand beside a ranking, and this report is none",
            hint="compaudit rank ORIGINAL CANDIDATE... --published FILE.csv",
            code="usage",
        )
    return msgspec.structs.replace(found, published=read_all(paths))
