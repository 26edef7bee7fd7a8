"""The story of judging again: a saved report, its own raw blocks, other requirements. Nothing runs.

What is not asked for otherwise is as it was in the audit. Requirements of one's own come with an
``--inconclusive`` of one's own, so that no report decides how leniently they are judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from compaudit import gate
from compaudit.config import Config
from compaudit.errors import ExitCode, RequestError, most_serious
from compaudit.results import Check, Comparison
from compaudit.saved import judged_by
from compaudit.terms import parsed, require_baseline, with_regressions

__all__ = ["exit_code_of", "judge_again"]

Inconclusive = Literal["fail", "warn", "pass"]


def judge_again(
    report: Comparison,
    *,
    requirements: Iterable[str] | None = None,
    inconclusive: Inconclusive | None = None,
    confidence: float | None = None,
    resolution: float | None = None,
    baseline: Comparison | None = None,
    first_baseline: bool = False,
) -> Comparison:
    """The report with another verdict, and with the δ that another confidence takes.

    Args:
        report: of an audit, as `saved.read_comparison` gives it.
        requirements: instead of the recorded ones; None judges by those again.
        inconclusive: None takes the recorded one with recorded requirements, else ``fail``.
        confidence: of δ and the latencies; None leaves it.
        resolution: of δ's verdict; None leaves it.
        baseline: an earlier report of the same original; where no requirement names it, that
            nothing got worse is required too.
        first_baseline: the report is to become the first baseline, so that what is required of one
            is left out.

    Returns:
        The report with a new `gate`, the settings of this verdict in `config`, and, where
        confidence or resolution differ, new times. Accuracy and divergence keep the intervals that
        they have, at the confidence in `config`; that of δ is in `delta`.

    Raises:
        RequestError: a requirement that names no value, one that names the baseline where there is
            none, a baseline of other models or of another task, a confidence that the report
            cannot be judged at, or a report whose times do not follow from its own raw blocks.
    """
    recorded = judged_by(report)
    settled = _settled(recorded, requirements, inconclusive, confidence, resolution)
    wanted = parsed(settled.requirements)
    if first_baseline:
        wanted = tuple(one for one in wanted if not one.needs_baseline)
    elif requirements is not None and baseline is None:
        require_baseline(wanted)
    report = _timed_by(settled, report, recorded)
    if baseline is not None:
        task = report.accuracy.task if report.accuracy is not None else None
        gate.require_comparable(baseline, report.original, task)
        if baseline.samples is not None:
            baseline = _timed_by(settled, baseline, judged_by(baseline))
    wanted = with_regressions(wanted, baseline)
    measured = float(report.config.get("confidence", settled.confidence))
    judged = gate.judge(wanted, report, baseline).checks
    checks = [
        _undecided(check, measured) if _is_narrower(one, check, measured, settled) else check
        for one, check in zip(wanted, judged, strict=True)
    ]
    settings = {
        "requirements": list(settled.requirements),
        "inconclusive": settled.inconclusive,
        "resolution": settled.resolution,
    }
    return msgspec.structs.replace(
        report, config={**report.config, **settings}, gate=gate.gate_of(checks)
    )


def exit_code_of(report: Comparison) -> ExitCode:
    """The exit code of an audit, just finished or saved: what died, and what the gate says."""
    codes = [gate.exit_code_of(report.gate, judged_by(report).inconclusive)]
    if report.error is not None:
        codes.append(ExitCode(report.error.exit))
    return most_serious(codes)


def _settled(
    recorded: Config,
    requirements: Iterable[str] | None,
    inconclusive: Inconclusive | None,
    confidence: float | None,
    resolution: float | None,
) -> Config:
    """What is judged by. Raises RequestError for a confidence or resolution that there is not."""
    own = requirements is not None
    return msgspec.structs.replace(
        recorded,
        requirements=recorded.requirements if requirements is None else tuple(requirements),
        inconclusive=inconclusive or ("fail" if own else recorded.inconclusive),
        confidence=recorded.confidence if confidence is None else confidence,
        resolution=recorded.resolution if resolution is None else resolution,
    )


def _timed_by(settled: Config, report: Comparison, recorded: Config) -> Comparison:
    """The report with its times at the confidence that was asked for, if they can be had."""
    others = settled.confidence != recorded.confidence or settled.resolution != recorded.resolution
    if report.samples is not None:
        from compaudit.measure.latency import recorded as blocks

        blocks.require_unaltered(report, recorded.confidence, recorded.resolution)
        if others and report.delta is not None:
            return blocks.timed_again(report, settled.confidence, settled.resolution)
    if not others:
        return report
    if report.delta is None:
        reasons = {skipped.metric: skipped.reason for skipped in report.skipped}
        raise RequestError(
            f"there is no δ to compute again: {reasons.get('delta', 'it was not measured')}",
            hint="leave --confidence and --resolution as they were in the audit",
            code="no-raw-blocks",
        )
    raise RequestError(
        f"the report keeps no raw blocks, so δ is known at {_percent(recorded.confidence)} "
        f"confidence and {_percent(recorded.resolution)} resolution only",
        hint="keep them in the next audit: compaudit compare … --raw -o REPORT.json",
        code="no-raw-blocks",
    )


def _is_narrower(
    requirement: gate.Requirement, check: Check, measured: float, settled: Config
) -> bool:
    """Whether a check rests on an interval that is too narrow for the confidence asked for."""
    if settled.confidence <= measured or check.observed is None:
        return False
    bounded = requirement.path[-1] in ("low", "high", "worst_case")
    if (check.low is not None or bounded) and not _is_timed(requirement.path):
        return True
    limit, reference = requirement.limit, check.reference
    if isinstance(limit, float) or reference is None or reference.low is None:
        return False
    return not _is_timed(limit.path)


def _is_timed(path: tuple[str, ...]) -> bool:
    return path[0] == "delta" or path[1:2] == ("latency",)


def _undecided(check: Check, measured: float) -> Check:
    return msgspec.structs.replace(
        check,
        status="inconclusive",
        reason=f"its interval is one of {_percent(measured)} confidence, and cannot be computed "
        "again from the report; .value names the point alone",
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"
