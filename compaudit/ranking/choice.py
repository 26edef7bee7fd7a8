"""Which candidate to ship: the best by one figure, among those that fulfil every requirement."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from compaudit import gate
from compaudit.config import Inconclusive
from compaudit.errors import ExitCode, RequestError
from compaudit.results import Best, Between, Candidate, Comparison, Estimate, Gate

__all__ = ["Wish", "choose", "parse_wish"]

_WISH = re.compile(r"\s*(max|min)\s+(\S.*?)\s*")


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``--best`` asks for.

    Attributes:
        text: as it was typed.
        path: the steps to a value of a comparison.
        largest: the largest is the best, or the smallest.
    """

    text: str
    path: tuple[str, ...]
    largest: bool


def parse_wish(text: str) -> Wish:
    """``max delta``, ``min compressed.file_bytes``. Raises RequestError for anything else."""
    match = _WISH.fullmatch(text)
    if match is None:
        raise RequestError(
            f"--best {text!r} is neither max nor min of a value",
            hint='for example --best "max delta", or --best "min compressed.file_bytes"',
            code="bad-option",
        )
    # A requirement on that value would be a valid one: it exists, and is a number.
    path = gate.parse_requirement(f"{match[2]} >= 0").path
    return Wish(text.strip(), path, match[1] == "max")


def choose(
    wish: Wish,
    candidates: Sequence[Candidate],
    audits: Mapping[str, Comparison],
    between: Sequence[Between],
    inconclusive: Inconclusive,
) -> Best:
    """The best of the candidates that qualify, and whether it is surely better than the next.

    A candidate qualifies whose requirements all passed; with ``--inconclusive warn`` or ``pass``
    also one of which some are undecided. One that failed itself never does.

    Args:
        wish: what is asked for.
        candidates: all of them.
        audits: their comparisons, by label.
        between: every two candidates' speeds.
        inconclusive: what an undecided requirement means.
    """
    sound = [one for one in candidates if one.error is None and one.label in audits]
    passing = [one for one in sound if _passes(one.gate, inconclusive)]
    found = [
        (one, estimate)
        for one in passing
        if (estimate := _value(audits[one.label], wish.path)) is not None
    ]
    if not found:
        return _nobody(wish, candidates, passing)
    found.sort(key=lambda pair: -pair[1].value if wish.largest else pair[1].value)
    (first, value), *rest = found
    second, its_value = rest[0] if rest else (None, None)
    return Best(
        wanted=wish.text,
        status="found",
        label=first.label,
        path=first.path,
        value=value,
        second=None if second is None else second.label,
        second_value=its_value,
        surely_better=(
            None
            if second is None or its_value is None
            else _surely(wish, (first.label, value), (second.label, its_value), between)
        ),
        reason="",
    )


def _passes(found: Gate, inconclusive: Inconclusive) -> bool:
    return gate.exit_code_of(found, inconclusive) == ExitCode.DONE


def _nobody(wish: Wish, candidates: Sequence[Candidate], passing: Sequence[Candidate]) -> Best:
    status: Literal["undecided", "none"] = "undecided"
    if passing:
        reason = f"{wish.path[0]} was measured of no candidate that qualifies"
    elif all(one.gate.status == "failed" for one in candidates):
        status, reason = "none", "every candidate fails a requirement"
    else:
        open_ = [one.label for one in candidates if one.gate.status != "failed"]
        reason = f"no candidate surely fulfils every requirement; undecided: {', '.join(open_)}"
    return Best(
        wanted=wish.text,
        status=status,
        label=None,
        path=None,
        value=None,
        second=None,
        second_value=None,
        surely_better=None,
        reason=reason,
    )


def _surely(
    wish: Wish,
    first: tuple[str, Estimate],
    second: tuple[str, Estimate],
    between: Sequence[Between],
) -> bool:
    """Whether the first is better for sure.

    Speeds that were measured in the same rounds are compared directly, all pairs at once; of
    other figures the two intervals must not meet.
    """
    if wish.path == ("delta",):
        for pair in between:
            if {pair.first, pair.second} == {first[0], second[0]}:
                # Time of the first over that of the second: below 1, the first is faster.
                low, high = pair.simultaneous.low, pair.simultaneous.high
                if low is None or high is None:
                    return False
                faster = high < 1 if pair.first == first[0] else low > 1
                slower = low > 1 if pair.first == first[0] else high < 1
                return faster if wish.largest else slower
    better, worse = (first[1], second[1]) if wish.largest else (second[1], first[1])
    return better.low is not None and worse.high is not None and better.low > worse.high


def _value(report: Comparison, path: tuple[str, ...]) -> Estimate | None:
    """The figure with its interval; of an exact one, both ends are itself."""
    found = msgspec.to_builtins(report)
    for step in path:
        if not isinstance(found, dict):
            return None
        found = found.get(step)
    if isinstance(found, dict):
        value, low, high = found.get("value"), found.get("low"), found.get("high")
        return None if value is None else Estimate(value=value, low=low, high=high)
    if isinstance(found, int | float):
        return Estimate(value=float(found), low=float(found), high=float(found))
    return None
