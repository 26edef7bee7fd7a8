"""An earlier report to compare with: whether it can be, and what is required of it by default.

Sizes and operations are facts of a file and can be compared between any two machines. Times cannot:
the same processor, cores, software and settings are needed, and what was recorded decides whether
they were the same. Figures of outputs need the same data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from compaudit.errors import RequestError
from compaudit.gate.requirement import Requirement, parse_requirement
from compaudit.results import Comparison, Environment, Latency, ModelResult

__all__ = ["incomparable", "regressions", "require_comparable"]

_MEASURED_OF_A_PROCESS = (
    *("latency", "load_s", "first_inference_s", "peak_memory_bytes"),
    *("resident_anonymous_bytes", "resident_file_bytes", "peak_device_memory_bytes"),
)
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "torch")


def require_comparable(
    baseline: Comparison, original: ModelResult, task: str | None = None
) -> None:
    """Refuse a baseline of other models, or of another task.

    The compressed model is the one that changes. The original is the same where its content is, or
    where it was trained again: then the name and the number of parameters stay.

    Args:
        baseline: an earlier report.
        original: of the audit that is to be judged.
        task: of that audit; None where it is not known.

    Raises:
        RequestError: the baseline says nothing of these models.
    """
    theirs = baseline.original
    if theirs.sha256 != original.sha256 or original.sha256 is None:
        same_name = _name(theirs) == _name(original)
        if not same_name or theirs.parameters != original.parameters:
            name = f"{_name(theirs)}, not {_name(original)}"
            if same_name:
                name = (
                    f"{_name(theirs)} of {theirs.parameters} parameters, not of "
                    f"{original.parameters}"
                )
            raise RequestError(
                f"the baseline is of another original: {name}",
                hint="give a report of the same original with --baseline",
                code="other-baseline",
            )
    if task is None or baseline.accuracy is None or baseline.accuracy.task == task:
        return
    raise RequestError(
        f"the baseline's task is {baseline.accuracy.task}, and this audit's is {task}",
        hint="give a report of the same task with --baseline",
        code="other-baseline",
    )


def incomparable(path: tuple[str, ...], report: Comparison, baseline: Comparison) -> str:
    """Why a figure of the baseline is no measure for this report; empty where it is."""
    if _is_timed(path):
        differences = [*_other_machine(report, baseline), *_other_run(report, baseline)]
        if differences:
            return f"the baseline was timed under other conditions: {'; '.join(differences)}"
    if path[0] in ("accuracy", "divergence"):
        ours, theirs = report.data, baseline.data
        if ours is None or theirs is None:
            return "what the models were fed is not recorded"
        if (ours.digest, ours.samples) != (theirs.digest, theirs.samples):
            return f"the baseline was measured on other data: {theirs.uri or 'synthetic inputs'}"
        if path[0] == "accuracy" and _task(report) != _task(baseline):
            return f"the baseline's task is {_task(baseline)}, and this one's is {_task(report)}"
    asked, had = (_confidence(path, one) for one in (report, baseline))
    if had < asked:
        return f"the baseline's intervals are of {had * 100:.4g} % confidence"
    return ""


def regressions(baseline: Comparison) -> Iterator[Requirement]:
    """No worse than the baseline in what it has of the main figures.

    Sizes and operations are exact, and 2 % is what nobody notices. δ is measured with some 3 %, so
    that 10 % is what two audits of the same pair can tell apart. On the same samples, accuracy is
    as exact as a count.
    """
    for text in _regressions(baseline):
        yield parse_requirement(text)


def _regressions(baseline: Comparison) -> Iterator[str]:
    compressed, accuracy = baseline.compressed, baseline.accuracy
    if compressed.file_bytes is not None:
        yield "compressed.file_bytes <= baseline + max(2 %, 10 kB)"
    elif compressed.weight_bytes is not None:
        yield "compressed.weight_bytes <= baseline + max(2 %, 10 kB)"
    if compressed.macs is not None and compressed.macs.total is not None:
        yield "compressed.macs.total <= baseline + 2 %"
    if baseline.delta is not None and baseline.delta.low is not None:
        yield "delta >= baseline - 10 %"
    if accuracy is not None:
        if accuracy.perplexity is not None:
            yield "accuracy.perplexity.compressed.value <= baseline + 2 %"
        elif accuracy.top1 is not None:
            yield "accuracy.top1.compressed.value >= baseline - 0.5 pp"
        for name in ("mse", "mae"):
            if getattr(accuracy, name) is not None:
                yield f"accuracy.{name}.compressed.value <= baseline + 2 %"
    elif baseline.divergence is not None:
        embeddings = baseline.divergence.embeddings
        if embeddings is not None and embeddings.cosine is not None:
            yield "divergence.embeddings.cosine.value >= baseline - 0.01"
        elif baseline.divergence.kl is not None:
            yield "divergence.kl.mean.value <= baseline + max(10 %, 0.001)"


# ---------------------------------------------------------------------------------- circumstances


def _is_timed(path: tuple[str, ...]) -> bool:
    """Whether a figure depends on the machine and on what else ran."""
    if path[0] in ("original", "compressed"):
        return path[1:2] != () and path[1] in _MEASURED_OF_A_PROCESS
    return path[0] in ("delta", "profile")


def _task(report: Comparison) -> str | None:
    return report.accuracy.task if report.accuracy is not None else None


def _other_machine(report: Comparison, baseline: Comparison) -> Iterator[str]:
    for what, ours, theirs in zip(
        ("processor", "usable cores", "physical cores", "CPU quota", "instruction sets"),
        _machine(report.environment),
        _machine(baseline.environment),
        strict=True,
    ):
        if ours != theirs:
            yield _change(what, theirs, ours)
    formats = {report.original.format, report.compressed.format}
    for name in _RUNTIMES:
        ran = formats != {"onnx"} if name == "torch" else "onnx" in formats
        if not ran:
            continue
        ours, theirs = (one.environment.packages.get(name) for one in (report, baseline))
        if ours != theirs:
            yield _change(name, theirs, ours)


def _machine(environment: Environment) -> tuple[object, ...]:
    return (
        environment.cpu,
        environment.usable_cores,
        environment.physical_cores,
        environment.cpu_quota,
        ", ".join(sorted(environment.instruction_sets)),
    )


def _other_run(report: Comparison, baseline: Comparison) -> Iterator[str]:
    """Settings that differ, each once where both models have it so."""
    changes: dict[str, list[str]] = {}
    for which in ("original", "compressed"):
        ours, theirs = (_run(getattr(one, which).latency) for one in (report, baseline))
        for what, value in ours.items():
            if what in theirs and theirs[what] != value:
                changes.setdefault(_change(what, theirs[what], value), []).append(which)
    for change, models in changes.items():
        yield change if len(models) == 2 else f"{change} ({models[0]})"


def _run(latency: Latency | None) -> dict[str, object]:
    if latency is None:
        return {}
    return {
        "threads": latency.threads,
        "batch size": latency.batch_size,
        "device": latency.device,
        "providers": ", ".join(latency.providers),
        **latency.settings,
    }


def _change(what: str, theirs: object, ours: object) -> str:
    return f"{what} {theirs if theirs not in (None, '') else 'none'} → {ours or 'none'}"


def _confidence(path: tuple[str, ...], report: Comparison) -> float:
    if _is_timed(path) and report.delta is not None:
        return report.delta.confidence
    recorded = report.config.get("confidence", 0.95)
    return recorded if isinstance(recorded, float) else 0.95


def _name(model: ModelResult) -> str:
    """The file's name, or the factory as typed."""
    return model.path if ":" in model.path else PurePath(model.path).name or model.path
