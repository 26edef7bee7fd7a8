"""How an audit tells what it is doing. The engine tells; the command line shows."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Told what is going on."""

    def stage(self, what: str, share: float | None = None, left_s: float | None = None) -> None:
        """A stage has begun or moved on.

        Args:
            what: is being done, and to which model.
            share: of it that is done; None when nobody knows.
            left_s: seconds that it takes at most, where it has a budget; never a guess.
        """
        ...

    def note(self, text: str) -> None:
        """Something the user should read once, such as a longer time budget."""
        ...


class Silent:
    """Shows nothing; the default of the Python API."""

    def stage(self, what: str, share: float | None = None, left_s: float | None = None) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""
