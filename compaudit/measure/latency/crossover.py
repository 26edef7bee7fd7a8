"""From which batch size, or number of threads, on is one faster than the other? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from compaudit.results import Crossover, SettingResult, TimedModel

__all__ = ["Turn", "crossovers", "turn_of"]

Axis = Literal["batch_size", "threads"]
Direction = Literal["faster", "slower"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Where an order of verdicts turns for good.

    Attributes:
        place: of the first of the verdicts that are all alike from there on.
        direction: what they say.
        undecided: places right before it of which nobody knows.
    """

    place: int
    direction: Direction
    undecided: tuple[int, ...]


def turn_of(verdicts: Sequence[str | None]) -> Turn | None:
    """Where the verdicts turn to the last one, and stay; None where they do not.

    An order that never says anything else, but for places that are undecided, does not turn: that
    the other one would be faster there, nothing shows.

    Args:
        verdicts: of δ, ascending along the axis; None where it was not measured.
    """
    if not verdicts or verdicts[-1] not in ("faster", "slower"):
        return None
    direction: Direction = "faster" if verdicts[-1] == "faster" else "slower"
    place = len(verdicts)
    while place and verdicts[place - 1] == direction:
        place -= 1
    before = place
    while before and verdicts[before - 1] in (None, "inconclusive", "invalid"):
        before -= 1
    if before == 0:
        return None
    return Turn(place, direction, tuple(range(before, place)))


def crossovers(settings: Sequence[SettingResult]) -> list[Crossover]:
    """Every place where a model overtakes the first one, or a device the first one.

    Args:
        settings: all that were timed, ascending in threads and batch size.
    """
    return [
        *_of_models(settings, "batch_size", ("device", "threads")),
        *_of_models(settings, "threads", ("device", "batch_size")),
        *_of_devices(settings),
    ]


def _of_models(
    settings: Sequence[SettingResult], axis: Axis, same: Sequence[str]
) -> Iterator[Crossover]:
    for line in _lines(settings, same):
        first, *others = line[0].models
        for place, other in enumerate(others, 1):
            deltas = [one.models[place].delta for one in line]
            turn = turn_of([delta.verdict if delta else None for delta in deltas])
            if turn is not None:
                values = [getattr(one, axis) for one in line]
                yield Crossover(
                    what="models",
                    subject=other.model,
                    reference=first.model,
                    model=None,
                    direction=turn.direction,
                    axis=axis,
                    start=values[turn.place],
                    undecided=[values[place] for place in turn.undecided],
                    device=line[0].device,
                    threads=None if axis == "threads" else line[0].threads,
                    batch_size=None if axis == "batch_size" else line[0].batch_size,
                )


def _of_devices(settings: Sequence[SettingResult]) -> Iterator[Crossover]:
    """Along the batch size alone: threads mean nothing to most devices."""
    for line in _lines(settings, ("threads",)):
        reference, *others = _lines(line, ("device",))
        for other in others:
            sizes = [one.batch_size for one in other]
            for place, model in enumerate(other[0].models):
                turn = turn_of(
                    [
                        _apart(one.models[place], another.models[place])
                        for one, another in zip(reference, other, strict=True)
                    ]
                )
                if turn is not None:
                    yield Crossover(
                        what="devices",
                        subject=other[0].device,
                        reference=reference[0].device,
                        model=model.model,
                        direction=turn.direction,
                        axis="batch_size",
                        start=sizes[turn.place],
                        undecided=[sizes[place] for place in turn.undecided],
                        device=None,
                        threads=line[0].threads,
                        batch_size=None,
                    )


def _lines(settings: Sequence[SettingResult], same: Sequence[str]) -> list[list[SettingResult]]:
    """The settings in groups that are alike in these respects, in the order they have."""
    lines: dict[tuple[object, ...], list[SettingResult]] = {}
    for one in settings:
        lines.setdefault(tuple(getattr(one, name) for name in same), []).append(one)
    return list(lines.values())


def _apart(reference: TimedModel, subject: TimedModel) -> str | None:
    """The verdict on two times of one model that were measured one after the other."""
    before, after = _bounds(reference), _bounds(subject)
    if before is None or after is None:
        return None
    if after[1] < before[0]:
        return "faster"
    return "slower" if after[0] > before[1] else "inconclusive"


def _bounds(timed: TimedModel) -> tuple[float, float] | None:
    """The interval of its mean time; None without one."""
    mean = timed.latency.mean_s if timed.latency else None
    if mean is None or mean.low is None or mean.high is None:
        return None
    return mean.low, mean.high
