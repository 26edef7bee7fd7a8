"""The story of an audit: open → measure → compare → find → judge. Read this file first.

Orchestration only. A path becomes a `Model`, a `Model` becomes measurements, two measurements
become a `Comparison`, a `Comparison` becomes findings, a verdict and a report. A model that dies
takes its own figures with it and nothing else.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from compaudit import document, findings, interruption, machine
from compaudit.config import Config
from compaudit.engines.ray import engine as ray_engine
from compaudit.engines.ray.cluster import Cluster
from compaudit.errors import MeasurementError
from compaudit.execution import Execution
from compaudit.execution.keeping import Keeper
from compaudit.execution.tracing import Inside, look_inside
from compaudit.feeding import open_given, run_of
from compaudit.figures import model_result
from compaudit.measure.compression import compare_sizes
from compaudit.measure.degenerate import degenerate_scales
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.growth import memory_growth_by_model
from compaudit.measure.latency.recompilation import recompiled_blocks
from compaudit.measure.latency.settling import unsteady_models
from compaudit.measure.latency.trace import Trace
from compaudit.measure.layers.comparison import Subject, compare_layers
from compaudit.measure.layers.grouping import places_of
from compaudit.measure.layers.spool import epsilons_of
from compaudit.measure.macs.counting import count_from_graph
from compaudit.measure.profile import comparison as profiles
from compaudit.measure.signature import Samples, sizes_of_one_sample
from compaudit.measure.trace.first_break import first_break
from compaudit.models import open as models
from compaudit.pair import Side, open_pair
from compaudit.progress import Progress, Silent
from compaudit.reading import read
from compaudit.results import Comparison, Data, Layer, Profile, Skipped
from compaudit.results.behaviour import Degenerate, OutputChange
from compaudit.terms import Terms, terms_of
from compaudit.workers.limits import Limits

__all__ = [
    "Audit",
    "Shared",
    "compare",
    "count",
    "count_operations",
    "ray_cluster",
    "warn_of_threads",
]


def compare(config: Config, progress: Progress | None = None, command: str = "") -> Comparison:
    """Audit a compressed model against its original.

    Args:
        config: what was asked for.
        progress: told what is going on; silent by default.
        command: the command line, for the report.

    Raises:
        RequestError: nothing could be measured: a model or data that cannot be opened, a
            requirement that names no value, a baseline of other models. What goes wrong later is
            recorded in the report's `error`.
    """
    terms = terms_of(config)
    with interruption.temporary_folder("compaudit-") as folder:
        audit = Audit(config, progress or Silent(), str(folder))
        audit.count()
        audit.require_comparable(terms)
        if config.wants("macs"):
            audit.count_operations()
        needs_run = config.wants("latency", "memory", "divergence", "accuracy")
        if config.profile or config.trace or needs_run:
            audit.run()
        report = audit.report(command)
    return document.judged(report, terms.judge(report), terms.misfit(report))


def count(side: Side, config: Config, limits: Limits, folder: str, progress: Progress) -> None:
    """Count what a model is made of.

    Args:
        side: which one; filled here.
        config: what was asked for.
        limits: of the worker that reads it, where reading runs code.
        folder: for its weights.
        progress: told what is going on.

    Raises:
        RequestError: it cannot be read.
        MeasurementError: reading killed the worker.
    """
    progress.stage(f"reading {side.source.label}")
    spool = None
    if config.wants("layers"):
        spool = f"{folder}/{side.name}"
        Path(spool).mkdir()
    read(side, config.trust_model_code, limits, spool)


def count_operations(
    side: Side, config: Config, given: Samples | None, limits: Limits, progress: Progress
) -> None:
    """Count a model's multiply-accumulates from its graph, of one sample of what is given."""
    progress.stage(f"counting the operations of {side.source.label}")
    if side.model is not None and side.ledger is not None:
        sizes = sizes_of_one_sample(config, side.name, given)
        side.macs = count_from_graph(side.model, side.ledger, sizes, limits)


@dataclass(frozen=True, slots=True)
class Shared:
    """What several audits of one original have in common.

    Attributes:
        original: with all that is known of it; each audit adds what it finds out.
        given: the data, opened once.
        keeper: of the original's outputs.
        cluster: where outputs are compared, as of `ray_cluster`.
    """

    original: Side
    given: Samples | None
    keeper: Keeper
    cluster: Cluster | None


def ray_cluster(config: Config, folder: str) -> Cluster | None:
    """The cluster that was asked for; it was looked at, and has been left again.

    Args:
        config: what was asked for.
        folder: for one that is started here; somebody else removes it.

    Raises:
        RequestError: there is none.
    """
    if config.engine != "ray" or not config.wants("divergence", "accuracy"):
        return None
    cluster = Cluster(config.ray_address, folder)
    ray_engine.check(cluster)
    return cluster


def warn_of_threads(threads: int, progress: Progress) -> None:
    """Say that more threads than cores wait for one another."""
    cores = machine.usable_cores()
    if threads > cores:
        usable = "1 usable core" if cores == 1 else f"{cores} usable cores"
        progress.note(f"{threads} threads on {usable} wait for one another")


class Audit:
    """The state of one comparison; each method is a chapter of it.

    Args:
        config: what was asked for.
        progress: told what is going on.
        folder: for what is left on the way; somebody else removes it.
        shared: what other audits of the same original have found out already.

    Attributes:
        pair: both models, with what went wrong.
        execution: everything that runs them.
    """

    def __init__(
        self, config: Config, progress: Progress, folder: str, shared: Shared | None = None
    ) -> None:
        self._config = config
        self._folder = folder
        self._progress = progress
        self._limits = Limits(config.timeout_s, config.memory_limit_bytes, folder)
        # What cannot be opened is said before minutes are spent on the models.
        self._cluster = ray_cluster(config, folder) if shared is None else shared.cluster
        self._given = (
            open_given(config, self._limits, folder, self._progress)
            if shared is None
            else shared.given
        )
        self.pair = open_pair(config, None if shared is None else shared.original)
        keeper = None if shared is None else shared.keeper
        self.execution = Execution(config, self.pair, self._limits, progress, keeper, self._cluster)
        self._inside = Inside(None, "")
        self._lined_up: list[Layer] | None = None

    def count(self) -> None:
        """Count what each model is made of. Raises RequestError for one that cannot be read."""
        for side in self.pair:
            if side.ledger is not None or not side.alive:
                continue
            try:
                count(side, self._config, self._limits, self._folder, self._progress)
            except MeasurementError as error:
                self.pair.record(error, side)

    def require_comparable(self, terms: Terms) -> None:
        """Refuse a baseline of other models before minutes are spent. Raises RequestError."""
        task = None if self._config.task == "auto" else self._config.task
        if self.pair.original.ledger is not None:
            terms.require_same(model_result(self.pair.original, None, self._config), task)

    def count_operations(self) -> None:
        """Count multiply-accumulates from the graphs; nothing is executed."""
        for side in self.pair.alive:
            if side.macs is None:
                count_operations(side, self._config, self._given, self._limits, self._progress)

    def run(self) -> None:
        """Load, evaluate and time both models."""
        warn_of_threads(self.pair.original.settings.threads, self._progress)
        with self._cluster or nullcontext():
            self.run_untimed()
        if self.execution.is_timed:
            self.execution.time()
        self._look_inside()

    def run_untimed(self) -> None:
        """Load and evaluate both."""
        self.execution.samples = self._given
        self.execution.run_untimed()

    def line_up(self) -> list[Layer]:
        """Both models layer by layer, once; what was left in the folder is needed no longer."""
        if self._lined_up is None:
            self._progress.stage("comparing layer by layer")
            self._lined_up = self._layers() if self._config.wants("layers") else []
        return self._lined_up

    def _look_inside(self) -> None:
        if self._config.trace:
            samples = self.execution.samples
            self._inside = look_inside(self.pair, samples, self._limits, self._progress)

    def report(self, command: str, timed: Trace | None = None) -> Comparison:
        """Everything that was measured, with what it means.

        Args:
            command: the command line.
            timed: blocks of both from an experiment that was not this audit's; also of one that
                died in it.
        """
        config, evaluated = self._config, self.execution.evaluated
        trace = timed or self.execution.trace
        data = self._data()
        accuracy = document.accuracy_of(evaluated.accuracy, data)
        delta = None
        if trace is not None and (timed is not None or len(self.pair.alive) == 2):
            delta = estimate_delta(
                trace,
                config.confidence,
                config.resolution,
                cpu_time=self.pair.compares_cpu_time,
            )
        original, compressed = (model_result(side, trace, config) for side in self.pair)
        alpha, beta, space_saving, undefined = compare_sizes(
            original,
            compressed,
            macs_complete=all(
                side.macs is not None and not side.macs.uncounted_contractions for side in self.pair
            ),
        )
        layers = self.line_up()
        profile = self._profile(layers)
        if config.profile and profile is None:
            reason = self.execution.unprofiled or "the models were not run"
            undefined.append(Skipped(metric="profile", reason=reason))
        inside = self._inside.traced.outputs if self._inside.traced is not None else []
        if self._inside.why_not:
            undefined.append(Skipped(metric="trace", reason=self._inside.why_not))
        counted = self.pair.compressed.ledger
        evidence = findings.Evidence(
            original=original,
            compressed=compressed,
            original_model=self.pair.original.model,
            compressed_model=self.pair.compressed.model,
            compressed_tensors=counted.tensors if counted is not None else (),
            layers=layers,
            runtimes=(
                models.runtime_of(self.pair.original.source),
                models.runtime_of(self.pair.compressed.source),
            ),
            alpha=alpha,
            delta=delta,
            accuracy=accuracy,
            divergence=evaluated.divergence,
            never_steady=unsteady_models(trace) if trace is not None else (),
            profile=profile,
            output_changes=self._output_changes(),
            memory_growth=memory_growth_by_model(trace.blocks if trace is not None else ()),
            recompiled=recompiled_blocks(trace) if trace is not None else {},
            fallbacks=self.execution.fallbacks,
            runs=(
                run_of(config, self.pair.original),
                run_of(config, self.pair.compressed),
            ),
            usable_cores=machine.usable_cores(),
            reasons={one.metric: one.reason for one in evaluated.skipped},
            data=data,
            trace=inside,
            first_break=first_break(inside),
            degenerate=self._degenerate(),
            extremes=evaluated.extremes,
            instruction_sets=self._instruction_sets(),
        )
        return document.comparison(
            pair=self.pair,
            models=(original, compressed),
            rates=(alpha, beta, space_saving),
            delta=delta,
            divergence=evaluated.divergence,
            accuracy=accuracy,
            layers=layers,
            worst=evaluated.worst,
            inside=inside,
            profile=profile,
            trace=trace,
            data=data,
            samples=self.execution.samples,
            findings=findings.find(evidence),
            skipped=[*evaluated.skipped, *undefined],
            config=config,
            environment=machine.describe(),
            command=command,
        )

    def _data(self) -> Data | None:
        """What both models were fed; None where nothing could be."""
        samples = self.execution.samples
        if samples is None:
            return None
        broken = self.execution.evaluated.broken
        return document.data_of(samples, self.pair, broken, self._config)

    def _output_changes(self) -> dict[str, OutputChange]:
        """What each model gave differently when its first inference was repeated."""
        return {
            side.name: side.first_run.output_change
            for side in self.pair
            if side.first_run is not None and side.first_run.output_change is not None
        }

    def _degenerate(self) -> list[Degenerate]:
        """Scales of the compressed model that make nothing of its codes."""
        model = self.pair.compressed.model
        return [] if model is None else degenerate_scales(model)

    def _instruction_sets(self) -> frozenset[str]:
        """The processor's, where the compressed model was loaded to compute on it."""
        on_cpu = self._config.device in ("cpu", "CPUExecutionProvider")
        ran = self.pair.compressed.loaded is not None
        return machine.instruction_sets() if on_cpu and ran else frozenset()

    def _layers(self) -> list[Layer]:
        """Both models layer by layer; empty where one could not be read."""
        subjects = [
            Subject(
                side.ledger.tensors,
                side.macs,
                side.weights,
                {} if side.model is None else epsilons_of(side.model),
                places_of(side.model),
            )
            for side in self.pair
            if side.ledger is not None
        ]
        return compare_layers(*subjects) if len(subjects) == 2 else []

    def _profile(self, layers: list[Layer]) -> Profile | None:
        """Where the time of both goes; None where they were not profiled."""
        runs = self.execution.profiled
        if not runs:
            return None
        original, compressed = (
            profiles.Subject(
                runs[side.name], side.ledger.tensors if side.ledger else (), side.model
            )
            for side in self.pair
        )
        ran = self.pair.compressed.loaded
        runtimes = {models.runtime_of(side.source) for side in self.pair}
        return profiles.compare_profiles(
            original,
            compressed,
            layers,
            profiles.Circumstances(
                same_runtime=len(runtimes) == 1,
                provider=ran.providers[0] if ran is not None else "",
                instruction_sets=self._instruction_sets(),
            ),
        )
