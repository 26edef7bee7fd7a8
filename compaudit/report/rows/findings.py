"""The wording of findings: how grave each is, what it says, and what to do."""

from __future__ import annotations

from typing import Literal

from compaudit.report.rows.base import Mood, Note
from compaudit.results import Finding

__all__ = ["finding_note", "finding_notes", "severity_of"]

Severity = Literal["error", "warning", "info"]
_MOODS: dict[Severity, Mood] = {"error": "bad", "warning": "warning", "info": "plain"}
_SEVERITIES = {mood: severity for severity, mood in _MOODS.items()}


def finding_notes(findings: list[Finding]) -> tuple[Note, ...]:
    """Each with its code, and what it is in a few words before what was seen."""
    return tuple(finding_note(found, f": {found.detail}") for found in findings)


def finding_note(found: Finding, further: str) -> Note:
    """One of them; `further` follows its title."""
    return Note(
        found.code,
        f"{found.title}{further}",
        found.hint,
        _MOODS[found.severity],
        lead=found.title,
    )


def severity_of(note: Note) -> Severity:
    """How grave a finding is, in a word: colour is never the only thing that says it."""
    return _SEVERITIES[note.mood]
