"""A candidate in the race, and which of them are no candidates after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compaudit.audit import Audit
from compaudit.errors import CompauditError, RequestError
from compaudit.pair import Side
from compaudit.results import LeftOut

__all__ = ["Contender", "without_copies"]


@dataclass(slots=True)
class Contender:
    """A candidate, its audit, and what went wrong with it before it had one."""

    label: str
    path: str
    folder: Path
    audit: Audit | None = None
    refused: CompauditError | None = None
    of_original: tuple[CompauditError, ...] = field(default=())

    @property
    def errors(self) -> list[CompauditError]:
        """Everything that went wrong with it, but for what the original is to blame for."""
        own = [] if self.audit is None else self.audit.pair.errors
        found = [error for error in own if error not in self.of_original]
        return found if self.refused is None else [self.refused, *found]

    @property
    def sha256(self) -> str | None:
        """Of its files; None of what is in none, and where it could not be read."""
        ledger = None if self.audit is None else self.audit.pair.compressed.ledger
        return None if ledger is None else ledger.sha256

    @property
    def runs(self) -> bool:
        """Whether it has been read and nothing has happened to it yet."""
        return self.refused is None and self.audit is not None and self.audit.pair.compressed.alive


def without_copies(
    contenders: Sequence[Contender], original: Side
) -> tuple[list[Contender], list[LeftOut]]:
    """Those of a content of their own, and the others: the original, and copies of one another.

    Args:
        contenders: all of them, which have been read.
        original: likewise.

    Raises:
        RequestError: no candidate is left.
    """
    known: dict[str, str] = {}
    if original.ledger is not None and original.ledger.sha256 is not None:
        known[original.ledger.sha256] = original.source.spec
    kept, left_out = [], []
    for one in contenders:
        sha256 = one.sha256
        if sha256 is None or sha256 not in known:
            kept.append(one)
            if sha256 is not None:
                known[sha256] = one.path
            continue
        same_as = known[sha256]
        is_original = same_as == original.source.spec
        reason = "it is the original itself" if is_original else f"it is a copy of {same_as}"
        left_out.append(LeftOut(path=one.path, same_as=same_as, reason=reason))
    if not kept:
        raise RequestError(
            "no candidate is left: each is the original, or a copy of another",
            hint="give compressed models beside the original",
            code="no-candidates",
        )
    return kept, left_out
