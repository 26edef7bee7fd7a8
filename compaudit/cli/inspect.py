"""``compaudit inspect``: the ledger of a model."""

from __future__ import annotations

from compaudit.cli import options
from compaudit.cli.invocation import command_line

__all__ = ["inspect"]


def inspect(
    models: options.Models,
    format_: options.Format = "table",
    json: options.Json = False,
    output: options.Output = None,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
    trust_model_code: options.TrustModelCode = False,
    timeout: options.Timeout = "300s",
    memory_limit: options.MemoryLimit = None,
) -> int:
    """Show what models are made of, without executing them."""
    from compaudit import config as settings
    from compaudit.cli import output as out

    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    limit_bytes = settings.parse_with_unit("memory-limit", memory_limit)
    timeout_s = settings.parse_with_unit("timeout", timeout) or 0.0

    from compaudit import audit
    from compaudit.cli.progress import Terminal
    from compaudit.errors import ExitCode
    from compaudit.workers.limits import Limits

    with Terminal(quiet=quiet, moving=not no_progress) as progress:
        report = audit.inspect(
            models,
            trust_model_code=trust_model_code,
            limits=Limits(timeout_s, None if limit_bytes is None else int(limit_bytes)),
            progress=progress,
            command=command_line(),
        )
    return out.deliver(report, report_format, output or [], ExitCode.DONE)
