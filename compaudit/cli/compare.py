"""``compaudit compare``: the audit."""

from __future__ import annotations

from typing import Any

import typer

from compaudit.cli import options
from compaudit.cli.config_file import options_of
from compaudit.cli.invocation import command_line
from compaudit.cli.one_model import for_one_model

__all__ = ["compare"]


@for_one_model
def compare(
    context: typer.Context,
    original: options.Original,
    compressed: options.Compressed,
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
    time_budget: options.TimeBudget = None,
    resolution: options.Resolution = "3%",
    confidence: options.Confidence = "95%",
    require: options.Require = None,
    policy: options.Policy = None,
    baseline: options.Baseline = None,
    inconclusive: options.Inconclusive = "fail",
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
    raw: options.Raw = False,
    layers: options.Layers = False,
    profile: options.Profile = False,
    trace: options.Trace = False,
    worst: options.Worst = 10,
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
    """Audit a compressed model against its original."""
    from compaudit import config as settings
    from compaudit.cli import output as out

    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    config = settings.config_from(original, compressed, options_of(context))
    from compaudit import audit, judging
    from compaudit.cli.progress import Terminal
    from compaudit.report import View

    with Terminal(quiet=quiet, moving=not no_progress) as progress:
        report = audit.compare(config, progress, command_line())
    if report.error is not None:
        out.say_error(report.error.message, report.error.hint)
    verdict = judging.exit_code_of(report)
    return out.deliver(report, report_format, output or [], verdict, View(layers=layers))
