"""What a profiled run of a model tells, whatever framework ran it."""

from __future__ import annotations

import msgspec

__all__ = ["ExecutedNode", "ProfiledRun"]


class ExecutedNode(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as the runtime executed it, which need not be one of the file.

    Attributes:
        name: what the runtime calls it.
        op: the operator that was executed: ``FusedConv``, ``aten::linear``.
        provider: what executed it.
        seconds: per inference, without what ran inside it (the body of a loop).
        calls: per inference; a loop's body is executed more than once.
        types: element types of its inputs, where the runtime tells.
        nodes: the nodes of the file that it stands for, by name; empty where that is unknown.
        module: the module that called it, for models that have modules.
        inserted: the runtime added it, and no node of the file is behind it.
    """

    name: str
    op: str
    provider: str
    seconds: float
    calls: float
    types: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    module: str = ""
    inserted: bool = False

    @property
    def attributed(self) -> bool:
        """Whether it is known what it stands for."""
        return bool(self.nodes or self.module or self.inserted)


class ProfiledRun(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of one model's inference goes.

    Attributes:
        runs: inferences that the figures are means of.
        total_s: one inference, as the runtime measured it while it was profiled.
        nodes: everything that was executed. Their seconds add up to no more than `total_s`; the
            rest is what the runtime spends between them.
    """

    runs: int
    total_s: float
    nodes: tuple[ExecutedNode, ...]
