"""The wording of the gate's outcome: one line, before everything else."""

from __future__ import annotations

from compaudit.report.rows.base import Note, counted
from compaudit.results import Check, Gate

__all__ = ["outcome_note"]


def outcome_note(gate: Gate) -> Note | None:
    """Whether the requirements are met, and how many are not; None where there are none."""
    deciding = [check for check in gate.checks if check.severity == "fail"]
    warnings = [check for check in gate.checks if check.severity == "warn"]
    broken = [check for check in warnings if check.status != "passed"]
    required, further = counted(len(deciding), "requirement"), ""
    if broken:
        one = len(broken) == 1
        further = f"; {counted(len(broken), 'requirement')} that only "
        further += "warns is not met" if one else "warn are not met"
    match gate.status:
        case "none":
            return None
        case "passed":
            return Note("PASSED", _all_met(len(deciding)) + further, mood="good")
        case "failed":
            failed, undecided = _of(deciding, "failed"), _of(deciding, "inconclusive")
            text = f"{failed} of {required} {_is(failed)} not met"
            if undecided:
                text += f", and {undecided} {_is(undecided)} undecided"
            return Note("FAILED", text + further, mood="bad")
        case "inconclusive":
            undecided = _of(deciding, "inconclusive")
            text = f"{undecided} of {required} {_is(undecided)} undecided"
            return Note("INCONCLUSIVE", f"{text}, none failed{further}", mood="warning")


def _all_met(count: int) -> str:
    if not count:
        return "no requirement decides"
    if count == 1:
        return "the requirement is met"
    return "both requirements are met" if count == 2 else f"all {count:,} requirements are met"


def _of(checks: list[Check], status: str) -> int:
    return sum(check.status == status for check in checks)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
