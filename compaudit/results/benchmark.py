"""What several models are at several settings: latencies, speed-ups, and where one overtakes."""

from __future__ import annotations

from typing import Literal

import msgspec

from compaudit.results.comparison import Delta
from compaudit.results.model import Latency

__all__ = ["Crossover", "SettingResult", "TimedModel"]


class TimedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one setting.

    `model` is its name in the report, `delta` how much faster than the first model it is, null for
    the first itself. `reason` says why `latency` is null, and is empty where it is not.
    """

    model: str
    latency: Latency | None
    delta: Delta | None
    reason: str


class SettingResult(msgspec.Struct, frozen=True, kw_only=True):
    """All models at one setting, timed in turns in one experiment.

    `used_s` is what that took; 0 where nothing could be timed.
    """

    device: str
    threads: int
    batch_size: int
    models: list[TimedModel]
    used_s: float


class Crossover(msgspec.Struct, frozen=True, kw_only=True):
    """From where on a model, or a device, is faster (or slower) than another.

    It is so at `start` and at every larger value of `axis` that was measured, and was not before;
    at the values in `undecided`, right before it, nobody can say. `subject` and `reference` are
    models, timed in turns; or devices that ran the model `model`, timed one after the other, and
    told apart where their intervals do not meet. Of the settings the one that `axis` is, and for
    devices that as well, is null.
    """

    what: Literal["models", "devices"]
    subject: str
    reference: str
    model: str | None
    direction: Literal["faster", "slower"]
    axis: Literal["batch_size", "threads"]
    start: int
    undecided: list[int]
    device: str | None
    threads: int | None
    batch_size: int | None
