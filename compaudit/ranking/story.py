"""Many candidates against one original: open → count → evaluate → time → place → choose.

Each candidate has an audit of its own (`compaudit.audit`), which shares what is known of the
original; only the timing is one experiment of all. What goes wrong with a candidate becomes its
row's error, and the others go on.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import msgspec

from compaudit import document, interruption, machine
from compaudit.audit import (
    Audit,
    Shared,
    count,
    count_operations,
    ray_cluster,
    warn_of_threads,
)
from compaudit.config import Config
from compaudit.envelope import envelope, gravest
from compaudit.errors import CompauditError, MeasurementError, RequestError
from compaudit.execution.keeping import Keeper
from compaudit.feeding import open_given
from compaudit.figures import model_result
from compaudit.measure.latency.plan import LEAST_EPOCHS
from compaudit.measure.latency.trace import Trace
from compaudit.pair import open_side
from compaudit.progress import Progress, Silent
from compaudit.ranking.candidates import Listed, find_candidates
from compaudit.ranking.choice import choose, parse_wish
from compaudit.ranking.contender import Contender, without_copies
from compaudit.ranking.document import (
    candidate_of,
    data_of,
    ranked_samples,
    settings_of,
    shared_gaps,
)
from compaudit.ranking.journey import Journey
from compaudit.ranking.placing import place
from compaudit.results import (
    Comparison,
    Environment,
    LeftOut,
    ModelResult,
    Published,
    Ranking,
)
from compaudit.terms import Terms, terms_of
from compaudit.timing.pair import subject_of
from compaudit.timing.several import ORIGINAL, Entrant, expected_s, grouped, time_several
from compaudit.workers.limits import Limits

__all__ = ["rank"]

_MOST_READERS = 8


def rank(
    config: Config,
    candidates: Sequence[str],
    best: str | None = None,
    progress: Progress | None = None,
    command: str = "",
    published: Sequence[Published] = (),
) -> Ranking:
    """Audit many compressed models against one original, and say which is best.

    Args:
        config: what was asked for; its `compressed` is not looked at, and `compressed_only` is for
            every candidate.
        candidates: paths, patterns, folders, or lists; see `find_candidates`.
        best: ``max delta`` and the like: the candidate to choose.
        progress: told what is going on; silent by default.
        command: the command line, for the report.
        published: rows of papers that are to stand beside.

    Raises:
        RequestError: nothing could be measured: an original or data that cannot be opened, no
            candidate, a requirement that names no value. What goes wrong later is recorded.
    """
    terms = terms_of(config)
    wish = None if best is None else parse_wish(best)
    listed = find_candidates(candidates, config.original)
    with interruption.temporary_folder("compaudit-") as folder:
        story = _Story(config, listed, progress or Silent(), folder)
        story.count()
        if config.wants("latency", "memory", "divergence", "accuracy"):
            story.evaluate()
            story.time()
        audits = story.audits(terms)
        sound = {one.label: audits[one.label] for one in story.contenders if not one.errors}
        placed = place(sound, story.traces, config.confidence, config.resolution)
        rows = [
            candidate_of(
                one.label,
                one.path,
                audits.get(one.label),
                one.errors,
                placed.standings.get(one.label),
                terms.requirements,
            )
            for one in story.contenders
        ]
        return Ranking(
            **envelope(command, story.error()),
            original=story.original_result(),
            candidates=rows,
            left_out=story.left_out,
            published=list(published),
            between=placed.between,
            front=placed.front,
            best=(
                None
                if wish is None
                else choose(wish, rows, audits, placed.between, config.inconclusive)
            ),
            samples=ranked_samples(story.traces) if config.raw else [],
            skipped=shared_gaps(list(audits.values())),
            data=data_of(list(audits.values())),
            environment=story.environment(list(audits.values())),
            config=settings_of(config, candidates, best),
        )


class _Story:
    """The state of a ranking; each method is a chapter of it."""

    def __init__(
        self, config: Config, listed: Sequence[Listed], progress: Progress, folder: Path
    ) -> None:
        self._config = config
        self._progress = Journey(progress)
        self._folder = folder
        self._limits = Limits(config.timeout_s, config.memory_limit_bytes, str(folder))
        self._given = open_given(config, self._limits, str(folder), self._progress)
        self._original = open_side(config, "original")
        keeper = Keeper.of_user(config.cache, self._progress, folder / "outputs")
        cluster = ray_cluster(config, str(folder))
        self._shared = Shared(self._original, self._given, keeper, cluster)
        self._died: list[CompauditError] = []
        self._entrants: dict[str, Entrant] = {}
        self.left_out: list[LeftOut] = []
        self.traces: list[Trace] = []
        self.contenders = [
            self._open(one, folder / f"candidate-{place}") for place, one in enumerate(listed)
        ]

    def _open(self, listed: Listed, folder: Path) -> Contender:
        """A candidate with its audit; one that is no model is a row with that as its reason."""
        contender = Contender(listed.label, listed.path, folder)
        folder.mkdir()
        try:
            config = msgspec.structs.replace(
                self._config,
                compressed=listed.path,
                compressed_only=listed.options.over(self._config.compressed_only),
                profile=False,
                trace=False,
            )
            contender.audit = Audit(config, self._progress, str(folder), self._shared)
        except RequestError as error:
            contender.refused = error
        return contender

    # -------------------------------------------------------------------------- counting

    def count(self) -> None:
        """Count what every model is made of, the candidates' side by side."""
        config, original = self._config, self._original
        folder = self._folder / "original"
        folder.mkdir()
        try:
            count(original, config, self._limits, str(folder), self._progress)
            if config.wants("macs"):
                count_operations(original, config, self._given, self._limits, self._progress)
        except MeasurementError as error:
            self._lose_original(error)
        readers = min(_MOST_READERS, machine.usable_cores(), len(self.contenders))
        with ThreadPoolExecutor(max(1, readers)) as pool:
            # As a list: what one of them raises is raised here.
            list(pool.map(self._count, self.contenders))
        self.contenders, self.left_out = without_copies(self.contenders, original)
        for copy in self.left_out:
            self._progress.note(f"{copy.path} is left out: {copy.reason}")

    def _count(self, contender: Contender) -> None:
        audit = contender.audit
        if audit is None:
            return
        try:
            audit.count()
            if self._config.wants("macs"):
                audit.count_operations()
        except RequestError as error:
            contender.refused = error

    # -------------------------------------------------------------------------- running

    def evaluate(self) -> None:
        """Load and evaluate the candidates one by one, the original once for all of them."""
        warn_of_threads(self._original.settings.threads, self._progress)
        running = [one for one in self.contenders if one.runs]
        timing_s = self._expected_timing_s(len(running))
        # Nothing of a cluster is there any more when models are timed.
        with self._shared.cluster or nullcontext():
            self._evaluate(running, timing_s)
        self._progress.evaluated()

    def _evaluate(self, running: Sequence[Contender], timing_s: float) -> None:
        for place_, one in enumerate(running):
            assert one.audit is not None
            self._progress.evaluate(place_, len(running), one.label, timing_s)
            alive = self._original.alive
            one.audit.run_untimed()
            if alive and not self._original.alive:
                # It died in this one's turn, and is to blame for that.
                theirs = [
                    error
                    for error in one.audit.pair.errors
                    if error.model == self._original.source.spec
                ]
                one.of_original = tuple(theirs)
                self._died += theirs
            self._enter(one, one.audit)
            one.audit.line_up()
            one.audit.pair.compressed.weights = {}
            shutil.rmtree(one.folder, ignore_errors=True)

    def _enter(self, one: Contender, audit: Audit) -> None:
        """Note what is timed, and what the original is fed beside it."""
        samples, original, compressed = audit.execution.samples, *audit.pair
        fed = original.feeds is not None and compressed.feeds is not None
        if audit.execution.is_timed and fed and samples is not None and compressed.alive:
            self._entrants[one.label] = Entrant(
                subject_of(original, samples, self._limits),
                subject_of(compressed, samples, self._limits),
                compressed.needed_bytes,
            )

    def _expected_timing_s(self, candidates: int) -> float:
        if not self._config.wants("latency"):
            return 0.0
        return expected_s(self._config, candidates)

    def time(self) -> None:
        """Time all that live in one experiment, or in as few as memory allows."""
        if not self._entrants or not self._original.alive:
            return
        groups = grouped(self._entrants, self._original.needed_bytes, self._limits, self._progress)
        by_label = {one.label: one for one in self.contenders}

        def bury(label: str, error: CompauditError) -> None:
            if label == ORIGINAL:
                self._lose_original(error)
                return
            audit = by_label[label].audit
            assert audit is not None
            audit.pair.record(error, audit.pair.compressed)
            self._progress.note(f"{label} died while it was timed: {error.message}")

        self.traces = time_several(self._config, groups, self._progress, bury)

    def _lose_original(self, error: CompauditError) -> None:
        self._original.alive = False
        self._died.append(error)

    # -------------------------------------------------------------------------- reporting

    def audits(self, terms: Terms) -> dict[str, Comparison]:
        """Every candidate's comparison with the original, judged, by its label."""
        found = {}
        for one in self.contenders:
            if one.audit is None or one.refused is not None:
                continue
            self._progress.stage(f"concluding on {one.label}")
            report = one.audit.report("", self._timed(one))
            found[one.label] = document.judged(report, terms.judge(report))
        return found

    def _timed(self, one: Contender) -> Trace | None:
        """Its blocks beside the original's; of one that died, if they are enough."""
        for trace in self.traces:
            if any(block.model == one.label for block in trace.blocks):
                found = trace.between(ORIGINAL, one.label)
                least = 1 if one.runs and self._original.alive else LEAST_EPOCHS
                return found if found.epochs >= least else None
        return None

    def original_result(self) -> ModelResult:
        """What was counted and measured of the original."""
        trace = self.traces[0] if self.traces else None
        return model_result(self._original, trace, self._config)

    def error(self) -> CompauditError | None:
        """What the original died of; or the gravest of the candidates', where all failed."""
        if self._died:
            return gravest(self._died)
        failures = [one.errors for one in self.contenders]
        if all(failures):
            return gravest([error for errors in failures for error in errors])
        return None

    def environment(self, audits: Sequence[Comparison]) -> Environment:
        """The machine, and what ran any of the models."""
        providers = dict.fromkeys(
            provider for audit in audits for provider in audit.environment.providers
        )
        return msgspec.structs.replace(
            machine.describe(), devices=[self._config.device], providers=list(providers)
        )
