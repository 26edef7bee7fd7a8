"""Progress on stderr: what is being done, how much of it, for how long, and for how much longer."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import Progress as Bar
from rich.progress import ProgressColumn, SpinnerColumn, Task
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from compaudit.units import format_clock, without_controls

__all__ = ["Terminal"]

_SPINNER, _GAP, _BAR_WIDTH = 2, 2, 20
_ROOM_FOR_A_BAR = 66
"""Columns that a line has at least where it holds a bar."""


class Terminal:
    """A line that moves on a terminal; on a pipe, only notes.

    Args:
        quiet: show nothing at all.
        moving: show the line that moves.
    """

    def __init__(self, *, quiet: bool, moving: bool) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._quiet = quiet
        self._bar: Bar | None = None
        if moving and not quiet and self._console.is_terminal:
            # Twice a second: what draws this line shares the machine with what is being timed.
            self._bar = Bar(
                SpinnerColumn(),
                _Line(self._console.width - _SPINNER),
                console=self._console,
                transient=True,
                refresh_per_second=2,
            )
            self._task = self._bar.add_task("starting", total=None, share=None, ends=None)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, what: str, share: float | None = None, left_s: float | None = None) -> None:
        """Show what is being done."""
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=without_controls(what),
                share=share,
                ends=None if left_s is None else time.monotonic() + left_s,
            )

    def note(self, text: str) -> None:
        """Say something once, unless quiet."""
        if not self._quiet:
            self._console.print(f"note: {without_controls(text)}", style="dim")


class _Line(ProgressColumn):
    """What is being done, a bar where it is known how much of it, and the clock.

    The words give way where a terminal is narrow, then the bar; the clock stays.

    Args:
        width: columns of the terminal that the line may take.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def render(self, task: Task) -> Table:
        """The line of one moment."""
        clock = _clock(task)
        share: float | None = task.fields["share"]
        has_bar = share is not None and self._width >= _ROOM_FOR_A_BAR
        taken = len(clock) + _GAP + (_BAR_WIDTH + _GAP if has_bar else 0)
        room = max(1, min(cell_len(task.description), self._width - taken))
        line = Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        line.add_column(width=room, no_wrap=True, overflow="ellipsis")
        cells: list[RenderableType] = [Text(task.description)]
        if has_bar:
            line.add_column(width=_BAR_WIDTH)
            cells.append(ProgressBar(total=1.0, completed=share or 0.0, width=_BAR_WIDTH))
        line.add_column(no_wrap=True)
        line.add_row(*cells, Text(clock))
        return line


def _clock(task: Task) -> str:
    """``0:12, at most 0:18 left``: all of it so far, and what a budget leaves of this stage."""
    spent = format_clock(task.elapsed or 0.0)
    ends: float | None = task.fields["ends"]
    left = 0.0 if ends is None else ends - time.monotonic()
    # The processes that a budget has no part in come on top: from its end on nobody knows.
    return spent if left < 1 else f"{spent}, at most {format_clock(left)} left"
