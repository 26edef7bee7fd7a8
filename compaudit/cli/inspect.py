"""``compaudit inspect``: the ledger of a model."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from compaudit.cli import options
from compaudit.cli.invocation import command_line

if TYPE_CHECKING:
    from compaudit.report.view import View

__all__ = ["inspect"]


def inspect(
    models: options.Models,
    layers: options.Layers = False,
    tensors: options.Tensors = False,
    sort: options.Sort = None,
    top: options.Top = None,
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

    view = _view(layers, tensors, sort, top)
    out.check_format(format_)
    report_format = "json" if json else format_
    out.check_outputs(output or [])
    limit_bytes = settings.parse_with_unit("memory-limit", memory_limit)
    timeout_s = settings.parse_with_unit("timeout", timeout) or 0.0

    from compaudit.errors import ExitCode

    with _worker_ahead(models):
        from compaudit import inspection
        from compaudit.cli.progress import Terminal
        from compaudit.workers.limits import Limits

        with Terminal(quiet=quiet, moving=not no_progress) as progress:
            report = inspection.inspect(
                models,
                trust_model_code=trust_model_code,
                limits=Limits(timeout_s, None if limit_bytes is None else int(limit_bytes)),
                progress=progress,
                command=command_line(),
            )
    verdict = ExitCode.DONE
    if report.error is not None:
        out.say_error(report.error.message, report.error.hint)
        for skipped in report.skipped:
            if skipped.metric == "models" and report.error.message not in skipped.reason:
                out.say_error(skipped.reason)
        verdict = ExitCode(report.error.exit)
    return out.deliver(report, report_format, output or [], verdict, view)


def _worker_ahead(models: list[str]) -> AbstractContextManager[None]:
    """A worker that starts while this process imports what reads a model; ONNX alone needs one."""
    if not any(model.endswith(".onnx") for model in models):
        return nullcontext()
    from compaudit.workers.spare import started_ahead

    return started_ahead(["compaudit.measure.macs.inference", "compaudit.models.onnx.shapes"])


def _view(layers: bool, tensors: bool, sort: str | None, top: int | None) -> View:
    """What is to be shown. Raises RequestError for an order that there is not."""
    from compaudit.config import did_you_mean
    from compaudit.errors import RequestError
    from compaudit.report import SORTS, View

    if sort is not None and sort not in SORTS:
        raise RequestError(
            f"--sort {sort!r} is not known", hint=did_you_mean(sort, SORTS), code="unknown-value"
        )
    if sort == "macs" and tensors and not layers:
        raise RequestError(
            "--sort macs orders layers, and a tensor has no MACs",
            hint="choose --layers, or another order",
            code="usage",
        )
    if top is not None and top < 1:
        raise RequestError(
            f"--top is {top}, which is below 1",
            hint="give --top a whole number of at least 1",
            code="out-of-range",
        )
    asked = sort is not None or top is not None
    order = "bytes" if sort is None and top is not None else sort
    return View(layers or (asked and not tensors), tensors, order, top)
