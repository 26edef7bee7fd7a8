"""``compaudit rank``: many compressed models against one original."""

from __future__ import annotations

from typing import Any

import typer

from compaudit.cli import options
from compaudit.cli.config_file import options_of
from compaudit.cli.invocation import command_line
from compaudit.cli.one_model import for_one_model

__all__ = ["rank"]


@for_one_model
def rank(
    context: typer.Context,
    original: options.Original,
    candidates: options.Candidates,
    best: options.Best = None,
    columns: options.RankColumns = None,
    sort: options.RankSort = None,
    survey: options.Survey = False,
    published: options.PublishedRows = None,
    data: options.Data = None,
    preprocess: options.Preprocess = None,
    task: options.Task = "auto",
    metric: options.Metric = None,
    model_output: options.ModelOutput = None,
    input_shape: options.InputShape = None,
    map_input: options.MapInput = None,
    map_output: options.MapOutput = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    compile_: options.Compile = False,
    batch_size: options.BatchSize = None,
    provider_option: options.ProviderOption = None,
    session_option: options.SessionOption = None,
    custom_op_library: options.CustomOpLibrary = None,
    only: options.Only = None,
    skip: options.Skip = None,
    time_budget: options.RankTimeBudget = None,
    resolution: options.Resolution = "3%",
    confidence: options.Confidence = "95%",
    require: options.Require = None,
    policy: options.Policy = None,
    inconclusive: options.Inconclusive = "fail",
    format_: options.RankFormat = None,
    json: options.Json = False,
    output: options.Output = None,
    raw: options.Raw = False,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
    trust_model_code: options.TrustModelCode = False,
    timeout: options.Timeout = "300s",
    memory_limit: options.MemoryLimit = None,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    ray_address: options.RayAddress = None,
    no_cache: options.NoCache = False,
    no_lock: options.NoLock = False,
    no_config: options.NoConfig = False,
    config_file: options.ConfigFile = None,
    **for_one: Any,
) -> int:
    """Compare many compressed models with one original, and with one another."""
    from compaudit import config as settings
    from compaudit.cli import output as out
    from compaudit.report import View
    from compaudit.report.rows.ranking import in_words
    from compaudit.report.rows.ranking_columns import refuse_unknown

    out.check_format(format_ or "table", rankings=True)
    report_format = "json" if json else format_
    out.check_outputs(output or [], rankings=True)
    shown = None if columns is None else tuple(name.strip() for name in columns.split(","))
    refuse_unknown("columns", shown or ())
    refuse_unknown("sort", () if sort is None else (sort,))
    config = settings.config_from(original, "", {**options_of(context), "worst": 0})
    from compaudit import ranking
    from compaudit.cli.progress import Terminal
    from compaudit.published import read_all

    beside = read_all(published or ())

    answer = None
    with Terminal(quiet=quiet, moving=not no_progress) as progress:
        report = ranking.rank(config, candidates, best, progress, command_line(), beside)
        if report.best is not None and report_format is None:
            # What a script asked for is the path, and nothing else.
            answer = "" if report.best.path is None else f"{report.best.path}\n"
            progress.note(in_words(report.best))
    if report.error is not None:
        out.say_error(report.error.message, report.error.hint)
    return out.deliver(
        report,
        report_format or "table",
        output or [],
        ranking.exit_code_of(report),
        View(columns=shown, ranked_by=sort, survey=survey),
        answer,
    )
