"""What reports are judged by: requirements, and perhaps an earlier report to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compaudit import gate, saved
from compaudit.config import Config
from compaudit.errors import RequestError
from compaudit.results import Comparison, Gate, ModelResult

__all__ = [
    "Terms",
    "parsed",
    "read_baseline",
    "require_baseline",
    "terms_of",
    "with_regressions",
]


@dataclass(frozen=True, slots=True)
class Terms:
    """Requirements that can hold together, and the report that some of them compare with.

    Attributes:
        requirements: what was asked for; with a baseline that none of them names, also that
            nothing got worse than in it.
        baseline: None where there is none.
    """

    requirements: tuple[gate.Requirement, ...]
    baseline: Comparison | None

    def require_same(self, original: ModelResult, task: str | None = None) -> None:
        """Refuse a baseline of another original or task. Raises RequestError."""
        if self.baseline is not None:
            gate.require_comparable(self.baseline, original, task)

    def misfit(self, report: Comparison) -> RequestError | None:
        """Why the baseline says nothing of a report that is there now; None where it does."""
        task = report.accuracy.task if report.accuracy is not None else None
        try:
            self.require_same(report.original, task)
        except RequestError as error:
            return error
        return None

    def judge(self, report: Comparison) -> Gate:
        """How the report comes out."""
        return gate.judge(self.requirements, report, self.baseline)


def terms_of(config: Config) -> Terms:
    """What an audit with these settings is judged by, checked before anything is measured.

    Raises:
        RequestError: a requirement that is none, two that contradict each other, a baseline that is
            no report, or none where a requirement names it.
    """
    wanted = parsed(config.requirements)
    baseline = None if config.baseline is None else read_baseline(config.baseline)
    if baseline is None:
        require_baseline(wanted)
    return Terms(with_regressions(wanted, baseline), baseline)


def parsed(texts: Sequence[str]) -> tuple[gate.Requirement, ...]:
    """Requirements that can hold together. Raises RequestError."""
    wanted = tuple(gate.parse_requirement(text) for text in texts)
    gate.require_consistent(wanted)
    return wanted


def read_baseline(path: str) -> Comparison:
    """The report to compare with. Raises RequestError, which says how to make a first one."""
    try:
        return saved.read_comparison(path)
    except RequestError as error:
        if error.code != "missing-report":
            raise
        raise RequestError(
            f"the baseline {path} does not exist",
            hint="make the first one: compaudit compare … -o REPORT.json without a baseline, then "
            f"compaudit gate REPORT.json --baseline {path} --accept",
            code=error.code,
        ) from error


def require_baseline(wanted: Sequence[gate.Requirement]) -> None:
    """Refuse requirements that name a baseline where there is none. Raises RequestError."""
    needy = next((one for one in wanted if one.needs_baseline), None)
    if needy is not None:
        raise RequestError(
            f"{needy.text!r} needs a baseline, and none was given",
            hint="give the report of an earlier audit: --baseline REPORT.json",
            code="no-baseline",
        )


def with_regressions(
    wanted: tuple[gate.Requirement, ...], baseline: Comparison | None
) -> tuple[gate.Requirement, ...]:
    """What a baseline asks for where nobody says what it is for: no worse than it."""
    if baseline is None or any(one.needs_baseline for one in wanted):
        return wanted
    return (*wanted, *gate.regressions(baseline))
