"""What the audits of `calibrate` said: a line of JSON each, and docs/calibration.md from all lines.

Lines are only ever added, so that several sessions make one table. A table is of one kind of
machine: a processor, so many cores.
"""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from scipy.stats import binomtest

from compaudit.units import format_rate, format_seconds, format_share

__all__ = ["Audit", "append", "page", "read", "table"]

GATE = 0.02
_SURE = 0.95


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """One audit of models of known ratio.

    Attributes:
        machine: its kind; lines of one kind share a table.
        environment: operating system and versions, for the record.
        truth: what δ is.
        load: what went on beside, a key of `neighbour.LOADS`.
        seconds: what the audit took.
        value: δ; None, and `error` says why, where the audit failed.
    """

    date: str
    scenario: str
    machine: str
    environment: str
    version: str
    seed: int
    truth: float
    load: str
    threads: int
    budget_s: float
    seconds: float
    load_average: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str | None = None
    noise_floor: float | None = None
    minimal_detectable_effect: float | None = None
    epochs: int = 0
    error: str | None = None

    @property
    def is_equal(self) -> bool:
        """Whether the two models are the same."""
        return self.truth == 1

    @property
    def covers(self) -> bool | None:
        """Whether the interval holds the truth; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.truth <= self.high

    @property
    def is_wrong(self) -> bool:
        """An equal pair called different, or an unequal one the wrong way round."""
        if self.verdict not in ("faster", "slower"):
            return False
        return self.is_equal or (self.verdict == "faster") != (self.truth > 1)

    @property
    def fails_gate(self) -> bool | None:
        """Whether the whole interval lies beyond 2 % from the truth: a gate there fails surely."""
        if self.low is None or self.high is None:
            return None
        return self.low > self.truth * (1 + GATE) or self.high < self.truth * (1 - GATE)

    @property
    def is_undecided(self) -> bool:
        """No answer: inconclusive, invalid, or the audit failed."""
        return self.verdict in (None, "inconclusive", "invalid")


def read(path: Path) -> list[Audit]:
    """All lines; none where there is no file yet."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Audit) for line in lines if line.strip()]


def append(path: Path, audit: Audit) -> None:
    """Add a line, which nothing that happens later can take away."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(audit) + b"\n")


# ----------------------------------------------------------------------------------- the table

COLUMNS = (
    *("scenario", "audits", "δ, median", "error, median", "half-width", "interval covers truth"),
    *("wrong verdict", "wrong at a 2 % gate", "undecided", "time"),
)


def table(audits: Sequence[Audit], order: Sequence[str]) -> str:
    """One row a scenario, in the order of `order`; Markdown."""
    names = [name for name in order if any(audit.scenario == name for audit in audits)]
    names += sorted({audit.scenario for audit in audits} - set(names))
    rows = [_row(name, [one for one in audits if one.scenario == name]) for name in names]
    return _markdown(COLUMNS, rows)


def _row(name: str, audits: Sequence[Audit]) -> list[str]:
    values = [audit.value for audit in audits if audit.value is not None]
    errors = [abs(audit.value / audit.truth - 1) for audit in audits if audit.value is not None]
    widths = [
        (audit.high - audit.low) / 2 / audit.value
        for audit in audits
        if audit.low is not None and audit.high is not None and audit.value is not None
    ]
    return [
        name,
        f"{len(audits)}",
        format_rate(statistics.median(values)) if values else "",
        format_share(statistics.median(errors), 1) if errors else "",
        f"± {format_share(statistics.median(widths), 1)}" if widths else "",
        _share([audit.covers for audit in audits]),
        _share([audit.is_wrong for audit in audits]),
        _share([audit.fails_gate for audit in audits]),
        _share([audit.is_undecided for audit in audits]),
        format_seconds(statistics.median(audit.seconds for audit in audits)),
    ]


def _share(answers: Sequence[bool | None]) -> str:
    known = [answer for answer in answers if answer is not None]
    return f"{sum(known)} of {len(known)}" if known else "none"


# ----------------------------------------------------------------------------------- the goals


@dataclass(frozen=True, slots=True)
class Goal:
    """A share of audits that may be at most, or shall be at least, so large."""

    name: str
    limit: float
    at_most: bool
    answer: Callable[[Audit], bool | None]
    concerns: Callable[[Audit], bool]


_LOADED = ("busy core", "load from halfway")
"""Not a load on one arm only: nobody could answer rightly, it is no property of the models."""

_covers = operator.attrgetter("covers")
_gate = operator.attrgetter("fails_gate")
_is_undecided = operator.attrgetter("is_undecided")
_is_wrong = operator.attrgetter("is_wrong")


def _doubles(*loads: str) -> Callable[[Audit], bool]:
    return lambda audit: audit.truth == 2 and audit.load in loads


def _equals(*loads: str) -> Callable[[Audit], bool]:
    return lambda audit: audit.is_equal and audit.load in loads


def _full(*loads: str) -> Callable[[Audit], bool]:
    return lambda audit: audit.load in loads and not _short(audit)


def _short(audit: Audit) -> bool:
    return audit.budget_s <= 5


GOALS = (
    *(
        goal
        for name, loads in (("quiet", ("quiet",)), ("loaded", _LOADED))
        for goal in (
            Goal(f"equal models called different, {name}", 0.05, True, _is_wrong, _equals(*loads)),
            Goal(f"equal models wrong at a 2 % gate, {name}", 0.01, True, _gate, _equals(*loads)),
            Goal(f"a known 2× covered, {name}", 0.94, False, _covers, _doubles(*loads)),
        )
    ),
    Goal("covered after 5 s, all pairs", 0.94, False, _covers, _short),
    Goal("undecided, quiet", 0.05, True, _is_undecided, _full("quiet")),
    Goal("undecided, loaded", 0.30, True, _is_undecided, _full(*_LOADED)),
)


def _goals(audits: Sequence[Audit]) -> str:
    rows = []
    for goal in GOALS:
        answers = [goal.answer(audit) for audit in audits if goal.concerns(audit)]
        known = [answer for answer in answers if answer is not None]
        if not known:
            continue
        rows.append(_judged(goal, sum(known), len(known)))
    return _markdown(("goal", "limit", "seen", "with 95 % confidence", "met"), rows)


def _judged(goal: Goal, count: int, total: int) -> list[str]:
    """Met only when the exact binomial bound says so; "so far" when only the share seen does."""
    share = count / total
    test = binomtest(count, total, alternative="less" if goal.at_most else "greater")
    bounds = test.proportion_ci(confidence_level=_SURE, method="exact")
    bound = float(bounds.high if goal.at_most else bounds.low)
    holds = share <= goal.limit if goal.at_most else share >= goal.limit
    surely = bound <= goal.limit if goal.at_most else bound >= goal.limit
    sign, word = ("≤", "at most") if goal.at_most else ("≥", "at least")
    return [
        goal.name,
        f"{sign} {format_share(goal.limit, 0)}",
        f"{count} of {total}",
        f"{word} {format_share(bound, 0)}",
        "yes" if surely else "so far" if holds else "**no**",
    ]


# ------------------------------------------------------------------------------------ the page


def page(audits: Sequence[Audit], order: Sequence[str]) -> str:
    """docs/calibration.md from all lines, one part a kind of machine."""
    parts = [_HEAD]
    for machine in sorted({audit.machine for audit in audits}):
        mine = [audit for audit in audits if audit.machine == machine]
        dates = sorted({audit.date[:10] for audit in mine})
        versions = sorted({audit.version for audit in mine})
        environments = sorted({audit.environment for audit in mine})
        parts.append(
            f"\n## {machine}\n\n"
            f"{len(mine)} audits, {dates[0]} to {dates[-1]}, compaudit {', '.join(versions)}; "
            f"{'; '.join(environments)}.\n\n{table(mine, order)}\n{_goals(mine)}"
        )
        failed = [audit for audit in mine if audit.error is not None]
        if failed:
            parts.append(f"\n{len(failed)} audits failed: {failed[-1].error}\n")
    return "".join(parts)


_HEAD = """# Calibration of δ

Written by `make calibrate` on real machines, never by hand; where it falls short, too. Every audit
is a line of `calibration.jsonl`, and several sessions add up.

Each scenario audits two models that call one body so many times, so that the true δ is exact:
PyTorch modules (`benchmarks/known_ratio.py`) or ONNX models with a Loop
(`benchmarks/known_ratio_onnx.py`, where what an inference takes once moves a 2× by about −0.2 %).
One thread and a time budget of 30 s unless the name says otherwise.

- *Busy core*: a process beside the audit burns another core in bursts. *Load from halfway*: the
  same, from the middle of the audit on.
- *Load on one arm*: from the middle on, and only while the second of two equal models is being
  timed. No measurement can tell that from a slower model; it is here to show what it does, and no
  goal speaks of it.
- *Wrong verdict*: an equal pair called faster or slower, or an unequal one the wrong way round.
  *Wrong at a 2 % gate*: the whole interval lies more than 2 % from the truth. *Undecided*:
  inconclusive, invalid, or the audit failed.
- A goal is met ("yes") when the exact binomial bound holds it with 95 % confidence, and met "so
  far" when only the share that was seen does.
"""


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
