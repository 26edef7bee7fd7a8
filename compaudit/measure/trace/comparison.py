"""Both models on the same samples, and what they give inside, side by side.

Each model lives in a worker of its own, apart from those that are evaluated and timed: an output
that is looked at cannot be fused away. What is not looked at runs as it always does, integer
kernels too; so that a figure depends a little on what else is looked at in the same run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from compaudit.data.base import DataRequest
from compaudit.data.open import open_data
from compaudit.measure.layers.matching import line_up
from compaudit.measure.trace.graph import TracedGraph
from compaudit.measure.trace.listener import Inside, Listener
from compaudit.measure.trace.matching import Match, Rows, match_graphs
from compaudit.measure.trace.modules import match_modules, match_modules_with_graph
from compaudit.measure.trace.plan import GROUP_BYTES, Plan, batches, plan
from compaudit.measure.trace.subject import Subject
from compaudit.measure.trace.sums import OTHER_SHAPE, Sums
from compaudit.results.quality import TracedOutput
from compaudit.workers.limits import Limits

__all__ = ["Subject", "Traced", "trace_models"]

Progress = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Traced:
    """What became of the intermediate outputs.

    Attributes:
        outputs: those that were compared, in the original's order of execution.
        unmatched: how many more the original has.
        notes: how many of those are not compared for which reason; for a reader.
    """

    outputs: list[TracedOutput]
    unmatched: int
    notes: list[str]

    @property
    def matched(self) -> int:
        """How many were compared."""
        return len(self.outputs)


def trace_models(
    original: Subject,
    compressed: Subject,
    data: DataRequest,
    limits: Limits,
    on_progress: Progress = lambda share: None,
    group_bytes: int = GROUP_BYTES,
) -> Traced:
    """Compare what both models give inside, on at most `plan.SAMPLES` samples.

    Args:
        original: the one.
        compressed: the other.
        data: where the samples come from.
        limits: of each worker.
        on_progress: told the share that is done.
        group_bytes: what a model may show in one run.

    Raises:
        RequestError: a model cannot be looked into (TorchScript), or the models insist on
            different numbers of samples.
        MeasurementError: a model died.
    """
    with (
        Listener(original, data, limits) as first,
        Listener(compressed, data, limits) as second,
    ):
        ours, theirs = first.inside(), second.inside()
        matches, total = _matched((original, compressed), ours, theirs)
        sizes = first.sizes(ours), second.sizes(theirs)
        planned = plan(matches, *sizes, (original.fixed, compressed.fixed), group_bytes)
        sums = Sums()
        for number, group in enumerate(planned.groups):
            first.listen([match.original.name for match in group])
            second.listen([match.compressed.name for match in group])
            runs = batches(open_data(data), planned)
            for run, (start, stop) in enumerate(runs):
                waiting = first.begin(start, stop), second.begin(start, stop)
                shown = waiting[0](), waiting[1]()
                for match in group:
                    sums.add(match, *shown)
                on_progress((number + (run + 1) / len(runs)) / len(planned.groups))
    results = (sums.result(match) for match in matches)
    outputs = [result for result in results if result is not None]
    return Traced(outputs, total - len(outputs), _notes(total - len(matches), planned, sums))


def _matched(
    subjects: tuple[Subject, Subject], ours: Inside, theirs: Inside
) -> tuple[list[Match], int]:
    """What is compared with what, and how many outputs the original has."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return match_modules(ours, theirs), len(ours)
    original, compressed = subjects
    rows = Rows(line_up(original.profiles(), compressed.profiles()))
    if isinstance(ours, list):
        assert isinstance(theirs, TracedGraph), "one of them has a graph"
        return match_modules_with_graph(ours, theirs, rows, modules_first=True), len(ours)
    if isinstance(theirs, list):
        found = match_modules_with_graph(theirs, ours, rows, modules_first=False)
        return found, len(ours.values())
    return match_graphs(ours, theirs, rows), len(ours.values())


def _notes(unmatched: int, planned: Plan, sums: Sums) -> list[str]:
    counts = Counter({"no counterpart": unmatched, "too large to be looked at": planned.oversized})
    counts[OTHER_SHAPE] += planned.misfits
    counts.update(sums.lost.values())
    return [
        f"{count} output{'' if count == 1 else 's'}: {reason}"
        for reason, count in counts.items()
        if count > 0
    ]
