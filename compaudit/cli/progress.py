"""Progress on stderr: what is being done, how far it is, and how long it has taken."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from compaudit.units import without_controls

__all__ = ["Terminal"]


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
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
                refresh_per_second=2,
            )
            self._task = self._bar.add_task("starting", total=None)

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

    def stage(self, what: str, share: float | None = None) -> None:
        """Show what is being done."""
        if self._bar is not None:
            total = None if share is None else 1.0
            self._bar.update(
                self._task, description=without_controls(what), total=total, completed=share or 0.0
            )

    def note(self, text: str) -> None:
        """Say something once, unless quiet."""
        if not self._quiet:
            self._console.print(f"note: {without_controls(text)}", style="dim")
