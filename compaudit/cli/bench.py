"""``compaudit bench``: latency over threads, batch sizes and devices."""

from __future__ import annotations

import typer

from compaudit.cli import options
from compaudit.cli.config_file import options_of
from compaudit.cli.invocation import command_line

__all__ = ["bench"]


def bench(
    context: typer.Context,
    models: options.TimedModels,
    threads: options.ThreadList = None,
    batch_size: options.BatchSizeList = "1",
    device: options.DeviceList = "cpu",
    data: options.Data = None,
    preprocess: options.Preprocess = None,
    input_shape: options.InputShape = None,
    map_input: options.MapInput = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    compile_: options.Compile = False,
    provider_option: options.ProviderOption = None,
    session_option: options.SessionOption = None,
    custom_op_library: options.CustomOpLibrary = None,
    time_budget: options.SettingBudget = "10s",
    resolution: options.Resolution = "3%",
    confidence: options.Confidence = "95%",
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
    trust_model_code: options.TrustModelCode = False,
    timeout: options.Timeout = "300s",
    memory_limit: options.MemoryLimit = None,
    no_lock: options.NoLock = False,
) -> int:
    """Time models over threads, batch sizes and devices, beside the first of them."""
    from compaudit import config as settings
    from compaudit.cli import output as out

    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    given = options_of(context)
    apart = ("threads", "batch-size", "device")
    common = settings.config_from(
        models[0],
        models[-1],
        {
            **{name: value for name, value in given.items() if name not in apart},
            "only": ["latency"],
        },
    )
    sweep = settings.Sweep(
        models=tuple(models),
        devices=settings.parse_names("device", [device]),
        threads=() if threads is None else settings.parse_numbers("threads", threads),
        batch_sizes=settings.parse_numbers("batch-size", batch_size),
        common=common,
    )
    from compaudit import sweep as story
    from compaudit.cli.progress import Terminal
    from compaudit.errors import ExitCode

    with Terminal(quiet=quiet, moving=not no_progress) as progress:
        report = story.bench(sweep, progress, command_line())
    verdict = ExitCode.DONE
    if report.error is not None:
        out.say_error(report.error.message, report.error.hint)
        verdict = ExitCode(report.error.exit)
    return out.deliver(report, report_format, output or [], verdict)
