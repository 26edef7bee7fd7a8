"""What one inference tells of the modules inside of a model."""

from __future__ import annotations

import msgspec

__all__ = ["CalledModule"]


class CalledModule(msgspec.Struct, frozen=True):
    """A module as one inference called it.

    Attributes:
        name: its path.
        op: its class.
        shape: of the first tensor of its last output.
        leaf: it has no modules inside.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    leaf: bool
