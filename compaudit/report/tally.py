"""How many requirements hold, in a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from compaudit.report.rows.base import Mood, Note

__all__ = ["gravest", "tally"]

_GRAVITY: tuple[Mood, ...] = ("bad", "warning", "plain", "good")


def tally(checks: Sequence[Note]) -> tuple[Note, ...]:
    """One note for all requirements: ``1 failed, 2 passed``, the gravest first; none for none."""
    if not checks:
        return ()
    by_mood = sorted(checks, key=lambda note: _GRAVITY.index(note.mood))
    counted = Counter(note.label for note in by_mood)
    told = ", ".join(f"{count:,} {label}" for label, count in counted.items())
    return (Note("requirements", told, mood=by_mood[0].mood),)


def gravest(notes: Sequence[Note]) -> tuple[Note, ...]:
    """The same notes, what is bad before what is good."""
    return tuple(sorted(notes, key=lambda note: _GRAVITY.index(note.mood)))
