"""One of the two models that are traced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from compaudit.data.base import Feed
from compaudit.engines.inputs import fixed_batch
from compaudit.measure.layers.grouping import layers_of, places_of
from compaudit.measure.layers.matching import Profile, profiles_of
from compaudit.measure.macs.count import MacCount
from compaudit.models import open as models
from compaudit.models.base import Graph, Model, RunSettings, Source
from compaudit.results import TensorResult

__all__ = ["Subject"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One of the two models.

    Attributes:
        source, settings, feeds: how it is loaded and fed.
        model: with its graph; None where only running code can read it.
        tensors: its ledger.
        macs: its operations, where they were counted.
    """

    source: Source
    settings: RunSettings
    feeds: tuple[Feed, ...]
    model: Model | None
    tensors: Sequence[TensorResult]
    macs: MacCount | None = None

    def profiles(self) -> list[Profile]:
        """Its layers, ready to be matched."""
        places = places_of(self.model)
        return profiles_of(layers_of(self.tensors, self.macs, places), self.tensors)

    @property
    def fixed(self) -> int | None:
        """The number of samples that it insists on."""
        return fixed_batch(self.feeds)

    @property
    def graph(self) -> Graph | None:
        """Its graph, as it was read."""
        return None if self.model is None else self.model.graph

    @property
    def is_torch(self) -> bool:
        """Whether PyTorch runs it."""
        return models.runtime_of(self.source) == "torch"

    def taps(self, names: Sequence[str]) -> tuple[str, ...]:
        """What has to be tapped to see these values: its own outputs are seen anyway."""
        own = {value.name for value in self.graph.outputs} if self.graph is not None else set()
        return tuple(name for name in dict.fromkeys(names) if name not in own)

    def tapped(self, names: Sequence[str]) -> RunSettings:
        """How it is run with some values seen; no module is left of a compiled model."""
        return msgspec.structs.replace(self.settings, taps=self.taps(names), compiled=False)
