"""The engine of an audit: it decides for each model of a pass where its outputs come from.

A model runs in its worker, or in several at once. Or it does not run: its outputs were kept by an
earlier audit, or stored by this one while it had the memory for itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from compaudit.engines.alone import run_alone
from compaudit.engines.base import Pass, Seen, Tally
from compaudit.engines.local import LocalEngine
from compaudit.engines.records import Reader, Writer
from compaudit.engines.sources import Live, OutputSource, Recorded, Stored, Which
from compaudit.errors import MeasurementError
from compaudit.execution.crew import Crew, Subject
from compaudit.execution.keeping import Keeper
from compaudit.progress import Progress

__all__ = ["AuditEngine", "KeptOutputs", "LiveOutputs"]

T = TypeVar("T", bound=Tally)


class LiveOutputs:
    """A model whose outputs are computed for this audit alone.

    Args:
        subject: the model.
        crew: holds it.
    """

    def __init__(self, subject: Subject, crew: Crew) -> None:
        self._subject = subject
        self._crew = crew

    def sources(
        self, evaluation: Pass, which: Which, count: int, owned: ExitStack
    ) -> list[OutputSource]:
        """So many sources of it for a pass.

        Args:
            evaluation: the pass.
            which: the side of it that the model is.
            count: how many are wanted.
            owned: ends what was started for this pass.

        Raises:
            RequestError: the model cannot be loaded.
            MeasurementError: loading or running it killed its worker.
        """
        first = Live(self._crew.worker(self._subject))
        return [first, *self._crew.more(self._subject, count - 1, owned)]


class KeptOutputs(LiveOutputs):
    """A model whose outputs are worth keeping: for the next audit of it, or for a later pass.

    Where only one model fits into memory, it runs alone, before the other.

    Args:
        subject: the model.
        crew: holds it.
        keeper: finds and keeps outputs.
        whole: keep those of a pass that ends with this sample; None to keep those of any pass.
        scratch: the folder for what only this audit needs; somebody else removes it.
        digest: gives that of the data.
        progress: told how far it is where it runs alone.
    """

    def __init__(
        self,
        subject: Subject,
        crew: Crew,
        keeper: Keeper,
        whole: int | None,
        scratch: str | None,
        digest: Callable[[], str],
        progress: Progress,
    ) -> None:
        super().__init__(subject, crew)
        self._keeper = keeper
        self._whole = whole
        self._scratch = scratch
        self._digest = digest
        self._progress = progress
        self._label = subject.side.source.label
        self._stored: tuple[Reader, tuple[str, ...]] | None = None

    def sources(
        self, evaluation: Pass, which: Which, count: int, owned: ExitStack
    ) -> list[OutputSource]:
        """So many sources of it for a pass; as in `LiveOutputs`, or of what is stored."""
        key = self._keeper.key(self._subject, evaluation, which, self._digest)
        stored = self._find(key, evaluation)
        # A pass over the first samples alone, to find out what they mean, is not worth an entry.
        kept_as = key if self._whole in (None, evaluation.stop) else None
        if stored is None and self._crew.apart and which == "original":
            stored = self._run_alone(kept_as, evaluation, which)
        if stored is not None:
            self._stored = stored, evaluation.metrics
            return [Stored(stored)] * count
        live = super().sources(evaluation, which, count, owned)
        writer = owned.enter_context(self._keeper.recording(kept_as, evaluation, self._label))
        return live if writer is None else [Recorded(source, writer) for source in live]

    def _find(self, key: str | None, evaluation: Pass) -> Reader | None:
        """What is stored already: by an earlier pass of this audit, or by another audit."""
        if self._stored is not None:
            reader, metrics = self._stored
            if {*evaluation.metrics} <= {*metrics} and reader.covers(
                evaluation.start, evaluation.stop
            ):
                return reader
        return self._keeper.find(key, evaluation, self._label)

    def _run_alone(self, key: str | None, evaluation: Pass, which: Which) -> Reader:
        """Run it before the other is loaded, and store what it gives."""
        folder = Path(tempfile.mkdtemp(prefix="outputs-", dir=self._scratch))
        samples = evaluation.stop - evaluation.start
        spool = Writer(folder, samples)
        with self._keeper.recording(key, evaluation, self._label) as kept:
            source: OutputSource = Recorded(Live(self._crew.worker(self._subject)), spool)
            run_alone(
                source if kept is None else Recorded(source, kept),
                evaluation,
                which,
                lambda done: self._progress.stage(
                    f"running {self._label} alone, {done} of {samples} samples", done / samples
                ),
            )
        spool.close()
        if spool.problem:
            raise MeasurementError(
                f"the outputs of {self._label} cannot be stored in a temporary file: "
                f"{spool.problem}",
                hint="point TMPDIR to a larger disk, take fewer samples with --limit, or raise "
                "--memory-limit so that both models run together",
                code="outputs-not-stored",
                stage="evaluate",
            )
        return Reader(folder)


class AuditEngine:
    """Runs the passes of two models.

    Args:
        original: where the outputs of the first come from.
        compressed: where those of the second do.
        pairs: how many pairs of workers are at it, where there are batches for them.
    """

    def __init__(self, original: LiveOutputs, compressed: LiveOutputs, pairs: int = 1) -> None:
        self._original = original
        self._compressed = compressed
        self._pairs = pairs

    def evaluate(
        self, evaluation: Pass, make: Callable[[], T], on_progress: Callable[[int], None]
    ) -> Seen[T]:
        """Show every sample to a tally once. Raises RequestError or MeasurementError."""
        batches = -(-(evaluation.stop - evaluation.start) // max(evaluation.batch_sizes))
        count = min(self._pairs, batches)
        with ExitStack() as owned:
            # In this order: an original that is to run alone has run when the other is loaded.
            originals = self._original.sources(evaluation, "original", count, owned)
            compressed = self._compressed.sources(evaluation, "compressed", count, owned)
            pairs = zip(originals, compressed, strict=True)
            return LocalEngine(*pairs).evaluate(evaluation, make, on_progress)
