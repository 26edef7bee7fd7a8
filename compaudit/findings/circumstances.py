"""CA3xx: how the two models were run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compaudit.findings.evidence import Evidence, Rule, Run
from compaudit.results import Estimate, Finding
from compaudit.results.placement import Fallback
from compaudit.units import format_interval, format_part, format_rate

__all__ = ["RULES"]


def different_runtimes(evidence: Evidence) -> Finding | None:
    """CA301: the two models are executed by different frameworks."""
    original, compressed = evidence.runtimes
    if original is None or compressed is None or original == compressed:
        return None
    return Finding(
        code="CA301",
        severity="info",
        title="different runtimes",
        detail=f"the original runs in {original} and the compressed model in {compressed}: δ "
        "compares the runtimes as much as the models",
        hint="export both to one format to see what the compression alone gives",
    )


def synthetic_inputs(evidence: Evidence) -> Finding | None:
    """CA302: the outputs were compared on made-up inputs."""
    divergence = evidence.divergence
    if divergence is None or divergence.source != "synthetic":
        return None
    return Finding(
        code="CA302",
        severity="info",
        title="synthetic inputs",
        detail=f"divergence was measured on {divergence.samples} made-up inputs, which say little "
        f"about real ones; {_accuracy_on_them(evidence)}",
        hint="give real samples with --data",
    )


def _accuracy_on_them(evidence: Evidence) -> str:
    if evidence.accuracy is None:
        return "accuracy was not measured"
    return "the figures of --metric rest on them too, and no requirement passes on those"


def different_settings(evidence: Evidence) -> Finding | None:
    """CA303: the two models were run with different settings."""
    original, compressed = evidence.runs
    if original is None or compressed is None:
        return None
    differences = list(_differences(original, compressed))
    if not differences:
        return None
    return Finding(
        code="CA303",
        severity="info",
        title="different settings",
        detail="the original was run with other settings than the compressed model: "
        + "; ".join(differences),
        hint="what differs between the two is then not the compression alone; run both alike to "
        "see that",
    )


def partly_elsewhere(evidence: Evidence) -> Finding | None:
    """CA304: nodes of a model run on another execution provider than the one asked for."""
    if not evidence.fallbacks:
        return None
    return Finding(
        code="CA304",
        severity="warning",
        title="part of the model fell back",
        detail="; ".join(
            f"of the {name} model {_fallback_text(fallback)}"
            for name, fallback in evidence.fallbacks.items()
        ),
        hint="replace or convert these operators, update onnxruntime, or accept it: what little "
        "computes sizes is meant to run on the CPU",
    )


def _fallback_text(fallback: Fallback) -> str:
    share = format_part(fallback.nodes / fallback.total_nodes)
    text = (
        f"{fallback.nodes} of {fallback.total_nodes} nodes ({share}) run on "
        f"{', '.join(fallback.providers)} instead of {fallback.wanted}"
    )
    if fallback.time_share is not None:
        text += f" and take {format_part(fallback.time_share)} of its time"
    else:
        text += "; what share of its time they take is not known"
    return f"{text}: {fallback.operators}" if fallback.operators else text


def contended(evidence: Evidence) -> Finding | None:
    """CA305: the clock and the processor time disagree about δ (MEASURING §1, rule 10)."""
    delta = evidence.delta
    processor = delta.cpu_time_ratio if delta is not None else None
    if delta is None or processor is None:
        return None
    if delta.low is None or delta.high is None or processor.low is None or processor.high is None:
        return None
    if delta.low <= processor.high and processor.low <= delta.high:
        return None
    waited = "original" if delta.value > processor.value else "compressed"
    return Finding(
        code="CA305",
        severity="warning",
        title="contended",
        detail=f"δ is {_rate_text(delta)} by the clock and {_rate_text(processor)} by processor "
        f"time: the {waited} model waited, be it for other work on this machine, for files, "
        "or in a sleep of its own",
        hint="time it again on a quieter machine; see its load with: compaudit doctor --noise",
    )


def _rate_text(estimate: Estimate) -> str:
    bounds = format_interval(
        None if estimate.low is None else format_rate(estimate.low),
        None if estimate.high is None else format_rate(estimate.high),
    )
    return f"{format_rate(estimate.value)} {bounds}".strip()


def more_threads_than_cores(evidence: Evidence) -> Finding | None:
    """CA306: each model was given more threads than there are cores to run them."""
    threads = max((run.settings.threads for run in evidence.runs if run is not None), default=0)
    cores = evidence.usable_cores
    if cores is None or threads <= cores:
        return None
    usable = "1 core is" if cores == 1 else f"{cores} cores are"
    return Finding(
        code="CA306",
        severity="warning",
        title="more threads than cores",
        detail=f"each model was run with {threads} threads, and {usable} usable here: the threads "
        "wait for one another, and times are longer and less steady than they need be",
        hint=f"give --threads {cores} or less, or leave it out",
    )


def _differences(original: Run, compressed: Run) -> Iterator[str]:
    """What was set apart, as "name: the original's against the compressed model's"."""
    if original.batch_size != compressed.batch_size:
        yield f"samples at once: {original.batch_size} against {compressed.batch_size}"
    ours, theirs = original.settings, compressed.settings
    if ours.compiled != theirs.compiled:
        yield "torch.compile: " + " against ".join(
            "yes" if settings.compiled else "no" for settings in (ours, theirs)
        )
    yield from _apart("provider option", ours.provider_options, theirs.provider_options)
    yield from _apart("session option", ours.session_options, theirs.session_options)
    for library in sorted({*ours.custom_op_libraries} ^ {*theirs.custom_op_libraries}):
        which = "original" if library in ours.custom_op_libraries else "compressed model"
        yield f"custom operators: {library} for the {which} only"


def _apart(kind: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            values = (settings.get(key, "not set") for settings in (ours, theirs))
            yield f"{kind} {key}: " + " against ".join(values)


RULES: tuple[Rule, ...] = (
    different_runtimes,
    synthetic_inputs,
    different_settings,
    partly_elsewhere,
    contended,
    more_threads_than_cores,
)
