"""Parts of a long text that has to fit in a limited room: what is folded gives way first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Block", "fitted"]

Standing = Literal["verdict", "shown", "folded"]
_GIVING_WAY: tuple[Standing, ...] = ("folded", "shown", "verdict")
_BETWEEN = "\n\n"
_MOST_WORDS = 100
"""Characters that it takes to say that something was left out."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the text, of which lines may be left out.

    Attributes:
        standing: blocks that are ``folded`` are cut first, the ``verdict`` last.
        before: what comes before the lines.
        lines: the part that may be cut, from its end.
        after: what comes after them.
        cut: how many of the lines were left out.
    """

    standing: Standing
    before: str
    lines: tuple[str, ...]
    after: str
    cut: int = 0

    @property
    def text(self) -> str:
        """The block as it is written."""
        said = f"\n\n… {self.cut:,} more in the JSON report." if self.cut else ""
        return f"{self.before}{chr(10).join(self.lines)}{said}{self.after}"

    def within(self, room: int) -> Block:
        """The block in at most so many characters, or without any line where that is too few."""
        if len(self.text) <= room:
            return self
        left = room - len(self.before) - len(self.after) - _MOST_WORDS
        kept = 0
        for line in self.lines:
            left -= len(line) + 1
            if left < 0:
                break
            kept += 1
        return dataclasses.replace(self, lines=self.lines[:kept], cut=len(self.lines) - kept)


def fitted(blocks: Sequence[Block], longest: int) -> str:
    """The blocks as one text of at most `longest` characters, the longest of them cut."""
    kept = list(blocks)
    for standing in _GIVING_WAY:
        if (excess := _length(kept) - longest) <= 0:
            break
        sizes = [len(block.text) for block in kept if block.standing == standing]
        ceiling = _ceiling(sizes, sum(sizes) - excess)
        kept = [block.within(ceiling) if block.standing == standing else block for block in kept]
    dropped = 0
    while _length(kept) + (_MOST_WORDS if dropped else 0) > longest and len(kept) > 1:
        dropped += 1
        kept.pop()
    said = [f"… {dropped:,} more tables in the JSON report."] if dropped else []
    return _BETWEEN.join([*(block.text for block in kept), *said]) + "\n"


def _length(blocks: Sequence[Block]) -> int:
    return sum(len(block.text) + len(_BETWEEN) for block in blocks)


def _ceiling(sizes: Sequence[int], room: int) -> int:
    """The largest size to which all may grow so that together they fit in the room."""
    left = room
    for place, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)
