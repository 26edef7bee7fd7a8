"""Pages as annotations of a GitHub workflow: commands to its runner, one on a line.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from compaudit.report.rows.base import Mood, Note, Page
from compaudit.units import without_controls

__all__ = ["render_github"]

_Kind = Literal["error", "warning", "notice"]
_KINDS: dict[Mood, _Kind] = {"bad": "error", "warning": "warning", "plain": "notice"}
_MOST = 10
"""GitHub shows so many annotations of a kind of each step, and says nothing of others."""
_LONGEST = 4_000


def render_github(page: Page, *, broken: bool = False) -> str:
    """What failed, is undecided or was found, and one notice of what was concluded.

    Args:
        page: what to tell of.
        broken: the first sentence of its verdict says what went wrong.
    """
    broke = page.verdict[:1] if broken else ()
    checks = (note for note in page.checks if note.mood != "good")
    urgent = (note for note in page.footnotes if note.mood in ("bad", "warning"))
    told = [note for note in (*broke, *checks, *page.findings, *urgent) if note.mood in _KINDS]
    lines: list[str] = []
    for kind in ("error", "warning", "notice"):
        notes = [note for note in told if _KINDS[note.mood] == kind]
        if kind == "notice":
            notes.insert(0, _conclusion(page))
        lines += _commands(kind, notes)
    return "".join(f"{line}\n" for line in lines)


def _conclusion(page: Page) -> Note:
    counted = [f"{note.label}: {note.text}" for note in (*page.verdict, *page.checks)]
    return Note(page.title, "\n".join([page.subtitle, *counted]).strip() or page.title)


def _commands(kind: str, notes: Sequence[Note]) -> Iterator[str]:
    shown = notes if len(notes) <= _MOST else notes[: _MOST - 1]
    for note in shown:
        text = f"{note.text}\n→ {note.hint}" if note.hint else note.text
        yield _command(kind, note.label, text)
    if rest := notes[len(shown) :]:
        labels = ", ".join(dict.fromkeys(note.label for note in rest))
        yield _command(kind, f"{len(rest):,} more", labels)


def _command(kind: str, title: str, text: str) -> str:
    written = "%0A".join(_data(line) for line in text[:_LONGEST].split("\n"))
    return f"::{kind} title={_property(title[:200])}::{written}"


def _data(text: str) -> str:
    """Text of a message: what the runner decodes is encoded, and no other line can begin."""
    return without_controls(text).replace("%", "%25").replace("##", "# #")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
