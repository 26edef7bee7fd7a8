"""The models of a sweep, each with what is known of it on every device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from compaudit.config import Config
from compaudit.data.base import Feed
from compaudit.errors import CompauditError
from compaudit.measure.batches import Fed
from compaudit.models import open as models
from compaudit.models.base import RunSettings
from compaudit.pair import Side

__all__ = ["Subject", "recognised"]


@dataclass(slots=True)
class Subject:
    """A model of the sweep.

    Attributes:
        name: its own in the report.
        side: what is known of it, whatever the setting.
        on: the side as a device runs it.
        broken: why a device does not.
        feeds: what feeds its inputs; None where that is not known.
    """

    name: str
    side: Side
    on: dict[str, Side] = field(default_factory=dict)
    broken: dict[str, CompauditError] = field(default_factory=dict)
    feeds: tuple[Feed, ...] | None = None

    def why_not(self, device: str, batch_size: int) -> str:
        """Why it cannot be timed so; empty where it can."""
        broken = self.broken.get(device)
        if broken is not None:
            return broken.message
        fixed = Fed("original", self.side.source.spec, self.feeds or ()).fixed
        if fixed not in (None, batch_size):
            return f"it takes {fixed} {'sample' if fixed == 1 else 'samples'} at once and no more"
        return ""

    def settings(self, common: Config, device: str, threads: int) -> RunSettings:
        """How it is loaded and run on a device."""
        options = common.of("original")
        return RunSettings(
            device=device,
            threads=threads,
            compiled=common.compile and models.runtime_of(self.side.source) == "torch",
            trust_model_code=common.trust_model_code,
            provider_options=options.provider_options,
            session_options=options.session_options,
            custom_op_libraries=options.custom_op_libraries,
        )


def recognised(specs: Iterable[str]) -> list[Subject]:
    """The models that were named, each with a name of its own. Raises RequestError."""
    sides = [Side("original", models.recognise(spec)) for spec in specs]
    names = _names(side.source.label for side in sides)
    return [Subject(name, side) for name, side in zip(names, sides, strict=True)]


def _names(labels: Iterable[str]) -> list[str]:
    """A name of its own for each: a label that comes again is counted."""
    names: list[str] = []
    for label in labels:
        name, number = label, 1
        while name in names:
            number += 1
            name = f"{label} ({number})"
        names.append(name)
    return names
