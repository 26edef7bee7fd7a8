"""Many models timed beside one original: in one experiment, or several where memory is short.

In each experiment the original takes part, so that every candidate has its δ. Candidates of one
experiment were timed in the same rounds, and compare with one another as directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compaudit import interruption
from compaudit.config import Config
from compaudit.errors import CompauditError, InternalError
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.experiment import Experiment, run_experiment
from compaudit.measure.latency.plan import default_budget_s
from compaudit.measure.latency.trace import Trace
from compaudit.progress import Progress
from compaudit.timing.pair import turn
from compaudit.units import format_about, format_bytes, format_seconds
from compaudit.workers.limits import Limits

__all__ = [
    "ORIGINAL",
    "Entrant",
    "Groups",
    "expected_s",
    "grouped",
    "time_several",
    "time_together",
]

ORIGINAL = "original"
"""What the original is called in every experiment; a candidate goes by its label."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate to be timed, and the original as it is fed beside it.

    Attributes:
        original: what it is compared with; of equal inputs and batches in a group.
        subject: the candidate.
        needed_bytes: memory that its process takes.
    """

    original: Subject
    subject: Subject
    needed_bytes: int


Groups = Sequence[Mapping[str, Entrant]]
"""The candidates of each experiment by their labels."""


def grouped(
    entrants: Mapping[str, Entrant], original_bytes: int, limits: Limits, progress: Progress
) -> Groups:
    """Which candidates are timed together: those that fit into memory, fed the same.

    Args:
        entrants: by label, in their order.
        original_bytes: memory that the original's process takes.
        limits: its memory limit is also what all processes together may take.
        progress: told where they do not fit.
    """
    groups: list[dict[str, Entrant]] = []
    held: list[int] = []
    short_of_memory = False
    for label, entrant in entrants.items():
        for place, group in enumerate(groups):
            if not _alike(entrant.original, next(iter(group.values())).original):
                continue
            if held[place] + entrant.needed_bytes <= limits.memory:
                group[label] = entrant
                held[place] += entrant.needed_bytes
                break
            short_of_memory = True
        else:
            groups.append({label: entrant})
            held.append(original_bytes + entrant.needed_bytes)
    if short_of_memory:
        progress.note(
            f"{len(entrants) + 1} models do not fit into {format_bytes(limits.memory)} together: "
            f"they are timed in {len(groups)} groups, the original in each"
        )
    return groups


def expected_s(config: Config, candidates: int) -> float:
    """Seconds that timing so many takes, as long as they are not slow and fit into memory."""
    if config.time_budget_s is not None:
        return config.time_budget_s
    return default_budget_s(candidates + 1)


def time_several(
    config: Config,
    groups: Groups,
    progress: Progress,
    on_death: Callable[[str, CompauditError], None],
) -> list[Trace]:
    """Time all groups, one after the other.

    Args:
        config: what was asked for; a time budget is for all groups together.
        groups: as `grouped` gives them.
        progress: told what is timed, and how long it will still take.
        on_death: told by its label of a model that died; the others go on.

    Returns:
        What each group left: also of one in which every model died, if it finished an epoch.
    """
    total = sum(len(group) + 1 for group in groups)
    traces = []
    for group in groups:
        share = (len(group) + 1) / total
        trace = _time_group(config, group, share, progress, on_death)
        if trace is not None:
            traces.append(trace)
    return traces


def _time_group(
    config: Config,
    group: Mapping[str, Entrant],
    share: float,
    progress: Progress,
    on_death: Callable[[str, CompauditError], None],
) -> Trace | None:
    first = next(iter(group.values()))
    subjects = {
        ORIGINAL: first.original,
        **{label: entrant.subject for label, entrant in group.items()},
    }
    budget_s = config.time_budget_s
    began = time.monotonic()

    def start() -> None:
        nonlocal began
        began = time.monotonic()

    def show(what: str, done: float) -> None:
        left = ""
        if done > 0:
            seconds = (time.monotonic() - began) * (1 / done - 1)
            left = f", about {format_about(seconds)} s left" if done < 1 else ""
        progress.stage(f"timing {len(subjects)} models in turns, {what}{left}", done)

    return time_together(
        config,
        subjects,
        None if budget_s is None else budget_s * share,
        progress,
        show,
        on_death,
        start,
    )


def time_together(
    config: Config,
    subjects: Mapping[str, Subject],
    budget_s: float | None,
    progress: Progress,
    show: Callable[[str, float], None],
    on_death: Callable[[str, CompauditError], None],
    on_start: Callable[[], None] = lambda: None,
) -> Trace | None:
    """Time models in turns, in one experiment, when it is this audit's turn.

    Args:
        config: resolution, confidence, seed, and whether other audits are waited for.
        subjects: by the names that the blocks get; the others are compared with the first.
        budget_s: None for the default.
        progress: told where it waits, and where the models are slow.
        show: told what is timed, and the share of the time that is over.
        on_death: told of a model that died; the others go on.
        on_start: called when it is this audit's turn.

    Returns:
        What there is, also where every model died; None where no epoch was finished.
    """
    experiment = Experiment(
        models=tuple(subjects),
        time_budget_s=budget_s,
        resolution=config.resolution,
        confidence=config.confidence,
        seed=config.seed,
    )
    kept: list[Trace] = []
    try:
        with turn(config, progress):
            on_start()
            return run_experiment(
                experiment,
                open_arms_of(subjects),
                time.monotonic,
                show,
                lambda seconds: progress.note(
                    f"these models are slow: timing them takes {format_seconds(seconds)}"
                ),
                kept.append,
                on_death,
            )
    except InternalError:
        raise
    except CompauditError:
        interruption.raise_pending()
        # The last of all died too, which `on_death` was told.
        return kept[-1] if kept else None


def _alike(one: Subject, other: Subject) -> bool:
    """Whether the original is fed the same in both."""
    return (one.data, one.feeds, one.batch_size) == (other.data, other.feeds, other.batch_size)
