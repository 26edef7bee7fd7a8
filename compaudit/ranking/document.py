"""From many comparisons to one document: a row for every candidate, whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from compaudit import gate
from compaudit.config import Config
from compaudit.envelope import envelope, gravest
from compaudit.errors import CompauditError, ExitCode, most_serious
from compaudit.gate import Requirement, format_path
from compaudit.measure.latency.trace import Trace, raw
from compaudit.results import (
    Candidate,
    Check,
    Comparison,
    Data,
    Failure,
    Gate,
    RankedSamples,
    Ranking,
    Skipped,
    Standing,
)

__all__ = ["as_failure", "candidate_of", "data_of", "exit_code_of", "ranked_samples", "shared_gaps"]

_SHARED = frozenset({"delta", "accuracy", "divergence", "macs"})


def candidate_of(
    label: str,
    path: str,
    audit: Comparison | None,
    errors: Sequence[CompauditError],
    standing: Standing | None,
    requirements: Sequence[Requirement],
) -> Candidate:
    """One row.

    Args:
        label: what it is called.
        path: as it was named.
        audit: its comparison with the original, judged; None where it could not be read.
        errors: what went wrong with it.
        standing: its place on the front.
        requirements: none of which one that could not be read fulfils.
    """
    error = gravest(errors)
    failure = as_failure(error)
    if audit is None:
        assert failure is not None, "it could not be read"
        return Candidate(
            label=label,
            path=path,
            compressed=None,
            alpha=None,
            beta=None,
            space_saving=None,
            delta=None,
            accuracy=None,
            divergence=None,
            findings=[],
            gate=_undecided(requirements, failure),
            on_front=None,
            standing=None,
            error=failure,
            skipped=[Skipped(metric="compressed", reason=failure.message)],
        )
    return Candidate(
        label=label,
        path=path,
        compressed=audit.compressed,
        alpha=audit.alpha,
        beta=audit.beta,
        space_saving=audit.space_saving,
        delta=audit.delta,
        accuracy=audit.accuracy,
        divergence=audit.divergence,
        findings=audit.findings,
        gate=audit.gate,
        on_front=None if standing is None else standing.on_front,
        standing=standing,
        error=failure,
        skipped=audit.skipped,
    )


def as_failure(error: CompauditError | None) -> Failure | None:
    """An error as it stands in a document."""
    found: Failure | None = envelope("", error)["error"]
    return found


def data_of(audits: Sequence[Comparison]) -> Data | None:
    """What the models were fed, with what was done to it for any of them."""
    found = [audit.data for audit in audits if audit.data is not None]
    if not found:
        return None
    notes = dict.fromkeys(note for data in found for note in data.notes)
    most = max(found, key=lambda data: data.skipped_samples)
    return msgspec.structs.replace(most, notes=list(notes))


def shared_gaps(audits: Sequence[Comparison]) -> list[Skipped]:
    """What no candidate has, for one reason."""
    told = [
        {(one.metric, one.reason) for one in audit.skipped if one.metric in _SHARED}
        for audit in audits
    ]
    if not told:
        return []
    return [
        Skipped(metric=metric, reason=reason) for metric, reason in sorted(set.intersection(*told))
    ]


def ranked_samples(traces: Sequence[Trace]) -> list[RankedSamples]:
    """Every timed block of every experiment."""
    return [
        RankedSamples(
            blocks=list(trace.blocks),
            sentinel=raw(trace.sentinel),
            device=list(trace.device),
            two_looks=trace.two_looks,
        )
        for trace in traces
    ]


def settings_of(config: Config, candidates: Sequence[str], best: str | None) -> dict[str, Any]:
    """What was asked for, as the report keeps it."""
    settings = config.as_json()
    settings.pop("compressed")
    return {**settings, "candidates": list(candidates), "best": best}


def exit_code_of(report: Ranking) -> ExitCode:
    """The exit code of a ranking.

    A candidate that failed is a row; only where all did, or the original, is the ranking's error
    set, and decides. With ``--best`` it is whether one was found: requirements are there to choose
    by. Without, every candidate is held to them.
    """
    codes = [] if report.error is None else [ExitCode(report.error.exit)]
    if report.best is not None:
        codes.append(
            {
                "found": ExitCode.DONE,
                "undecided": ExitCode.UNDECIDED,
                "none": ExitCode.REQUIREMENT_FAILED,
            }[report.best.status]
        )
    else:
        inconclusive = report.config.get("inconclusive", "fail")
        codes += [gate.exit_code_of(one.gate, inconclusive) for one in report.candidates]
    return most_serious(codes)


def _undecided(requirements: Sequence[Requirement], failure: Failure) -> Gate:
    """No evidence is never a pass, and no failure either."""
    return gate.gate_of(
        [
            Check(
                requirement=one.text,
                metric=format_path(one.path),
                observed=None,
                low=None,
                high=None,
                limit=None,
                reference=None,
                status="not_measured",
                severity=one.severity,
                message=one.message,
                reason=failure.message,
            )
            for one in requirements
        ]
    )
