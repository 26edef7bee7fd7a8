"""What the tools of `clock` said: a line of JSON each, and the tables of docs/clock.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from compaudit.units import format_seconds, format_share

__all__ = ["OURS", "Answer", "Overhead", "append", "fill", "measured", "overheads", "read"]

OURS = "compaudit"
THRESHOLD = 1.02
"""Of tools without a verdict: above it, or below its inverse, they are taken to say "different"."""
_MARGIN = 1.05
_BEGIN = "<!-- measured: written by benchmarks/clock.py --write -->"
_END = "<!-- end of measured -->"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict of one tool.

    Attributes:
        threads: None where the tool was left to choose.
        deltas: δ by each statistic that the tool reports; empty where it failed.
        verdict: its own; None where it has none.
        seconds: all that it took, starting up included.
    """

    date: str
    machine: str
    versions: dict[str, str]
    method: str
    pair: str
    truth: float
    load: str
    budget_s: float
    seed: int
    seconds: float
    deltas: dict[str, float] = {}
    threads: int | None = 1
    verdict: str | None = None
    low: float | None = None
    high: float | None = None
    error: str | None = None

    def said(self, statistic: str) -> str:
        """Its verdict; of a tool without one, what a reader would take its δ for."""
        if self.verdict is not None:
            return self.verdict
        delta = self.deltas[statistic]
        if 1 / THRESHOLD <= delta <= THRESHOLD:
            return "no_measurable_change"
        return "faster" if delta > 1 else "slower"

    def is_wrong(self, statistic: str) -> bool:
        """Equal models called different; others the wrong way round, or equal beyond 5 %."""
        said = self.said(statistic)
        if said in ("faster", "slower"):
            return self.truth == 1 or (said == "faster") != (self.truth > 1)
        return said == "no_measurable_change" and self.truth > _MARGIN


class Overhead(msgspec.Struct, frozen=True, kw_only=True):
    """Time of a call in the harness over its time in a bare loop; both are {value, low, high}.

    Attributes:
        bound: against a bare loop of the same bound call.
        own: against a loop of the framework's own call.
    """

    date: str
    machine: str
    framework: str
    goal: float
    call_s: float
    rounds: int
    bound: dict[str, float]
    own: dict[str, float]


def read(path: Path) -> tuple[list[Answer], list[Overhead]]:
    """All lines of a file; none where there is no file yet."""
    answers: list[Answer] = []
    costs: list[Overhead] = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        if b'"framework"' in line:
            costs.append(msgspec.json.decode(line, type=Overhead))
        elif line.strip():
            answers.append(msgspec.json.decode(line, type=Answer))
    return answers, costs


def append(path: Path, line: Answer | Overhead) -> None:
    """Add a line, which nothing that happens later can take away."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


# ---------------------------------------------------------------------------------- the tools


def measured(answers: Sequence[Answer]) -> str:
    """A table for each budget and load, and how our error compares with the best peer's."""
    parts = []
    for condition in sorted({_condition(one) for one in answers}, key=_quiet_first):
        mine = [one for one in answers if _condition(one) == condition]
        rows, errors = [], {}
        for method in dict.fromkeys(sorted((one.method for one in mine), key=_ours_first)):
            said = [one for one in mine if one.method == method]
            for statistic in dict.fromkeys(name for one in said for name in one.deltas):
                row, error = _row(method, statistic, said)
                rows.append(row)
                errors[method, statistic] = error
            failures = [one.error for one in said if one.error is not None]
            if failures:
                rows.append([method, f"failed {len(failures)} times: {failures[-1]}"[:120]])
        head = ["tool", "figure", "verdicts", "error, median", "90th percentile"]
        head += ["equal: wrong", "unequal: wrong", "undecided", "time"]
        table = _markdown(head, [row + [""] * (len(head) - len(row)) for row in rows])
        budget_s, threads, load = condition
        title = f"{budget_s:g} s, {threads}, {load}"
        parts.append(f"### {title}\n\n{table}\n{_against_the_best(errors)}")
    return "\n".join(parts)


def _condition(one: Answer) -> tuple[float, str, str]:
    threads = "default threads" if one.threads is None else "one thread"
    return one.budget_s, threads, one.load


def _quiet_first(condition: tuple[float, str, str]) -> tuple[float, bool, bool]:
    budget_s, threads, load = condition
    return budget_s, threads != "one thread", load != "quiet"


def _ours_first(method: str) -> tuple[bool, str]:
    return method != OURS, method


def _row(
    method: str, statistic: str, said: Sequence[Answer]
) -> tuple[list[str], tuple[float, float]]:
    known = [one for one in said if statistic in one.deltas]
    errors = [abs(one.deltas[statistic] / one.truth - 1) for one in known]
    error = (statistics.median(errors), float(np.percentile(errors, 90)))
    equal = [one for one in known if one.truth == 1]
    unequal = [one for one in known if one.truth != 1]
    undecided = [one for one in known if one.said(statistic) in ("inconclusive", "invalid")]
    return [
        method,
        statistic,
        f"{len(known)}",
        *(format_share(value, 1) for value in error),
        *(_share(group, lambda one: one.is_wrong(statistic)) for group in (equal, unequal)),
        f"{len(undecided)} of {len(known)}",
        format_seconds(statistics.median(one.seconds for one in known)),
    ], error


def _share(some: Sequence[Answer], test: Callable[[Answer], bool]) -> str:
    return f"{sum(map(test, some))} of {len(some)}" if some else "none"


def _against_the_best(errors: dict[tuple[str, str], tuple[float, float]]) -> str:
    """Ours over the best peer's figure, whichever peer and figure that is."""
    ours = next((error for (method, _), error in errors.items() if method == OURS), None)
    theirs = {key: error for key, error in errors.items() if key[0] != OURS}
    if ours is None or not theirs:
        return ""
    sentences = []
    for place, name in enumerate(("median", "90th percentile")):
        best = min(theirs, key=lambda key, place=place: theirs[key][place])
        ratio = ours[place] / theirs[best][place] if theirs[best][place] else float("inf")
        met = "met" if ratio <= 1 / 3 else "missed"
        which = f"{best[0]}, {best[1]}; goal 0.33: {met}"
        sentences.append(f"{name} {ratio:.2f} times that of the best other ({which})")
    return f"compaudit's error: {'; '.join(sentences)}.\n"


# -------------------------------------------------------------------------------- the harness


def overheads(costs: Sequence[Overhead]) -> str:
    """The last measurement of each framework and length of a call."""
    latest = {(one.framework, one.goal): one for one in costs}
    rows = []
    for one in latest.values():
        met = one.own["value"] <= 1 + one.goal
        sure = one.own["high"] <= 1 + one.goal or one.own["low"] > 1 + one.goal
        rows.append(
            [
                one.framework,
                format_seconds(one.call_s),
                _interval(one.bound),
                _interval(one.own),
                f"{one.goal:.0%}",
                ("yes" if met else "**no**") if sure else "not sure",
            ]
        )
    head = [
        "framework",
        "one call",
        "over a bare loop of the same call",
        "over the framework's own call",
    ]
    return _markdown([*head, "goal", "met"], rows)


def _interval(estimate: dict[str, float]) -> str:
    value, low, high = ((estimate[key] - 1) * 100 for key in ("value", "low", "high"))
    return f"{value:+.1f} % [{low:+.1f}, {high:+.1f}]"


# ------------------------------------------------------------------------------------ the page


def fill(page: Path, answers: Sequence[Answer], costs: Sequence[Overhead]) -> None:
    """Put the tables of the machine that was used last between the marks of docs/clock.md."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"{page} lacks the marks {_BEGIN} … {_END}")
    last = max([*answers, *costs], key=lambda one: one.date)
    answers = [one for one in answers if one.machine == last.machine]
    costs = [one for one in costs if one.machine == last.machine]
    versions = {key: text for one in answers for key, text in one.versions.items()}
    dates = sorted({one.date[:10] for one in [*answers, *costs]})
    head = f"{last.machine}; {dates[0]} to {dates[-1]}; " + ", ".join(
        f"{name} {version}" for name, version in sorted(versions.items())
    )
    block = f"{begin}\n\n{head}.\n\n{measured(answers)}"
    if costs:
        block += f"\n### The harness's own time\n\n{overheads(costs)}"
    page.write_text(f"{before}{block}\n{end}{after}", encoding="utf-8")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
