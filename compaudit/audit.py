"""The story of an audit: open → measure → compare → find → judge. Read this file first.

Orchestration only. A path becomes a `Model`, a `Model` becomes measurements, two measurements
become a `Comparison`, a `Comparison` becomes findings, a verdict and a report. A model that dies
takes its own figures with it and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import msgspec

from compaudit import document, findings, gate, machine
from compaudit.config import Config
from compaudit.data.base import DataRequest, Feed
from compaudit.data.open import open_data
from compaudit.document import Side
from compaudit.engines.local import LocalEngine
from compaudit.errors import (
    CompauditError,
    ExitCode,
    InternalError,
    MeasurementError,
    RequestError,
    most_serious,
)
from compaudit.measure import memory
from compaudit.measure.compression import compare_sizes
from compaudit.measure.evaluation import Evaluated, Evaluation
from compaudit.measure.latency.arms import Subject, open_arms_of
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.experiment import Experiment, ModelName, Trace, run_experiment
from compaudit.measure.ledger import Ledger, read_in_worker, take
from compaudit.measure.macs.counting import count_from_graph, count_from_run
from compaudit.measure.signature import (
    Samples,
    choose_samples,
    common_batch,
    feeds_of,
    require_inputs,
    require_labels,
    sizes_of_one_sample,
)
from compaudit.models import open as models
from compaudit.models.base import Model, RunSettings, Source
from compaudit.progress import Progress, Silent
from compaudit.results import Comparison, Inspection
from compaudit.units import format_seconds
from compaudit.workers.limits import Limits
from compaudit.workers.worker import Worker

__all__ = ["compare", "exit_code_of", "inspect"]


def compare(config: Config, progress: Progress | None = None, command: str = "") -> Comparison:
    """Audit a compressed model against its original.

    Args:
        config: what was asked for.
        progress: told what is going on; silent by default.
        command: the command line, for the report.

    Raises:
        RequestError: nothing could be measured: a model or data that cannot be opened, a
            requirement that names no value. What goes wrong later is recorded in the report's
            `error`.
    """
    requirements = [gate.parse_requirement(text) for text in config.requirements]
    if config.data is not None:
        # What cannot be opened is said before minutes are spent on the models.
        open_data(DataRequest(uri=config.data, limit=config.limit, seed=config.seed))
    audit = _Audit(config, progress or Silent())
    audit.count()
    if config.wants("macs"):
        audit.count_operations()
    if config.wants("latency", "memory", "divergence", "accuracy"):
        audit.run()
    report = audit.report(command)
    return document.with_gate(report, gate.judge(requirements, report))


def inspect(
    specs: list[str],
    *,
    trust_model_code: bool = False,
    limits: Limits | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Inspection:
    """The ledgers of models. Nothing is executed but the user's own factory, and trusted code.

    Raises:
        RequestError: a model cannot be opened or read.
        MeasurementError: the code of a factory died.
    """
    tell = progress or Silent()
    sides = []
    for spec in specs:
        source = models.recognise(spec)
        tell.stage(f"reading {source.label}")
        ledger, model = _read(source, trust_model_code, limits or Limits())
        side = Side("original", source, model, ledger)
        if model is not None:
            side.macs = count_from_graph(model, ledger, {}, limits or Limits())
        sides.append(side)
    return document.inspection(sides, machine.describe(), command)


def exit_code_of(report: Comparison, inconclusive: Literal["fail", "warn", "pass"]) -> ExitCode:
    """The exit code of a finished audit: what died, and what the gate says."""
    codes = [gate.exit_code_of(report.gate, inconclusive)]
    if report.error is not None:
        codes.append(ExitCode(report.error.exit))
    return most_serious(codes)


def _read(source: Source, trust_model_code: bool, limits: Limits) -> tuple[Ledger, Model | None]:
    """A model's ledger; taken in a worker where reading runs code, and then without a `Model`."""
    if not models.executes_on_read(source):
        model = models.read(source, trust_model_code=trust_model_code)
        return take(model), model
    models.require_trust(source, trust_model_code)
    with Worker(source.spec, limits) as worker:
        return worker.call("read", read_in_worker, source, trust_model_code), None


class _Audit:
    """The state of one comparison; each method is a chapter of it."""

    def __init__(self, config: Config, progress: Progress) -> None:
        self._config = config
        self._progress = progress
        self._limits = Limits(config.timeout_s, config.memory_limit_bytes)
        self._threads = config.threads or machine.default_threads()
        self._settings = RunSettings(
            device=config.device,
            threads=self._threads,
            trust_model_code=config.trust_model_code,
            provider_options=config.provider_options,
            session_options=config.session_options,
            custom_op_libraries=config.custom_op_libraries,
        )
        self._sides = (
            Side("original", models.recognise(config.original)),
            Side("compressed", models.recognise(config.compressed)),
        )
        self._samples: Samples | None = None
        self._comparable = False
        self._input_sizes = sizes_of_one_sample(config)
        self._evaluated = Evaluated(None, None, [])
        self._trace: Trace | None = None
        self._errors: list[CompauditError] = []

    def count(self) -> None:
        """Count what each model is made of. Raises RequestError for one that cannot be read."""
        for side in self._sides:
            self._progress.stage(f"reading {side.source.label}")
            try:
                side.ledger, side.model = _read(
                    side.source, self._config.trust_model_code, self._limits
                )
            except MeasurementError as error:
                self._record(side, error)

    def count_operations(self) -> None:
        """Count multiply-accumulates from the graphs; nothing is executed."""
        for side in self._alive():
            self._progress.stage(f"counting the operations of {side.source.label}")
            if side.model is not None and side.ledger is not None:
                side.macs = count_from_graph(
                    side.model, side.ledger, self._input_sizes, self._limits
                )

    def run(self) -> None:
        """Load, evaluate and time both models, each in a process of its own."""
        with ExitStack() as stack:
            workers = {
                side.name: stack.enter_context(Worker(side.source.spec, self._limits))
                for side in self._alive()
            }
            for side in self._alive():
                with self._surviving(side):
                    self._load(workers[side.name], side)
            with self._surviving(None):
                self._choose_samples()
            self._match_inputs()
            for side in self._alive():
                with self._surviving(side):
                    self._run_first(workers[side.name], side)
                    self._count_in_run(workers[side.name], side)
            if self._config.wants("divergence", "accuracy"):
                with self._surviving(None):
                    self._evaluate(workers)
        if self._config.wants("latency"):
            self._time()

    def _load(self, worker: Worker, side: Side) -> None:
        self._progress.stage(f"loading {side.source.label}")
        side.loaded, side.baseline_bytes = memory.load(worker, side.source, self._settings)

    def _choose_samples(self) -> None:
        """Open the data, or make inputs up, once for every model that loaded."""
        signatures = [
            (side.source.spec, side.loaded, side.model)
            for side in self._alive()
            if side.loaded is not None
        ]
        if signatures:
            self._samples = choose_samples(self._config, signatures)
            require_labels(self._config, self._samples)
            if len(signatures) == len(self._sides):
                require_inputs(self._config, [loaded for _, loaded, _ in signatures])

    def _match_inputs(self) -> None:
        """Decide what feeds which input, and how many samples one timed inference takes."""
        for side in self._alive():
            with self._surviving(side):
                if self._samples is not None and side.loaded is not None:
                    side.feeds = feeds_of(
                        self._config, side.source.spec, side.loaded, self._samples
                    )
        with self._surviving(None):
            batch = common_batch(
                self._config,
                [(side.source.spec, side.feeds) for side in self._alive() if side.feeds],
            )
            for side in self._sides:
                side.batch_size = batch
            self._comparable = True

    def _run_first(self, worker: Worker, side: Side) -> None:
        if self._samples is None or side.feeds is None or not self._comparable:
            return
        self._progress.stage(f"first inference of {side.source.label}")
        side.first_run = memory.run_first(
            worker,
            self._samples.request,
            side.feeds,
            side.batch_size,
            side.baseline_bytes,
        )

    def _count_in_run(self, worker: Worker, side: Side) -> None:
        """The MACs that no graph tells: of a module, or behind sizes that were not inferred."""
        if self._samples is None or side.feeds is None or side.ledger is None:
            return
        if self._config.wants("macs"):
            side.macs = count_from_run(
                worker,
                side.source,
                side.model,
                side.ledger,
                side.macs,
                self._settings,
                self._samples.request,
                side.feeds,
                self._input_sizes,
                self._limits,
            )

    def _evaluate(self, workers: dict[ModelName, Worker]) -> None:
        """Both models over the same samples, once, for divergence and accuracy together."""
        original, compressed = self._sides
        samples = self._samples
        if samples is None or original.feeds is None or compressed.feeds is None:
            return
        if original.loaded is None or compressed.loaded is None or len(self._alive()) < 2:
            return
        total = samples.dataset.samples
        evaluation = Evaluation(
            self._config,
            samples,
            named=original.loaded.named_outputs and compressed.loaded.named_outputs,
            on_progress=lambda done: self._progress.stage(
                f"comparing outputs, {done} of {total} samples", done / total
            ),
        )
        engine = LocalEngine(workers["original"], workers["compressed"])
        evaluation.run(engine, original.feeds, compressed.feeds)
        if evaluation.wants_floor:
            self._find_floor(evaluation, workers["original"], original, original.feeds)
        self._evaluated = evaluation.result()

    def _find_floor(
        self, evaluation: Evaluation, worker: Worker, side: Side, feeds: tuple[Feed, ...]
    ) -> None:
        """The original without optimisations beside itself; without it the figures still stand."""
        self._progress.stage("comparing the original with itself")
        settings = msgspec.structs.replace(self._settings, optimized=False)
        try:
            with Worker(side.source.spec, self._limits) as twin:
                memory.load(twin, side.source, settings)
                evaluation.run_floor(LocalEngine(worker, twin), feeds)
        except (RequestError, MeasurementError) as error:
            self._progress.note(f"no noise floor of the outputs: {error.message}")

    def _time(self) -> None:
        """Time every model that still lives: both for δ, one alone for its own latency."""
        config, samples = self._config, self._samples
        subjects: dict[ModelName, Subject] = {
            side.name: Subject(
                side.source,
                self._settings,
                samples.request,
                side.feeds,
                side.batch_size,
                self._limits,
            )
            for side in self._alive()
            if samples is not None and side.feeds is not None and self._comparable
        }
        if not subjects:
            return
        experiment = Experiment(
            models=tuple(subjects),
            time_budget_s=config.time_budget_s,
            resolution=config.resolution,
            confidence=config.confidence,
            seed=config.seed,
        )
        try:
            self._trace = run_experiment(
                experiment,
                open_arms_of(subjects),
                time.monotonic,
                lambda what, share: self._progress.stage(f"timing, {what}", share),
                self._announce_budget,
            )
        except InternalError:
            raise
        except CompauditError as error:
            dead = self._side_named(error.model)
            self._record(dead, error)
            if dead is not None and len(subjects) == 2:
                self._time()

    def report(self, command: str) -> Comparison:
        """Everything that was measured, with what it means."""
        config = self._config
        delta = None
        if self._trace is not None and len(self._alive()) == 2:
            delta = estimate_delta(
                self._trace, config.confidence, config.resolution, cpu_time=self._threads == 1
            )
        original, compressed = (
            document.model_result(side, self._trace, config, self._threads) for side in self._sides
        )
        alpha, beta, space_saving, undefined = compare_sizes(
            original,
            compressed,
            macs_complete=all(
                side.macs is not None and not side.macs.uncounted_contractions
                for side in self._sides
            ),
        )
        evidence = findings.Evidence(
            original=original,
            compressed=compressed,
            original_model=self._sides[0].model,
            compressed_model=self._sides[1].model,
            runtimes=(
                models.runtime_of(self._sides[0].source),
                models.runtime_of(self._sides[1].source),
            ),
            alpha=alpha,
            delta=delta,
            accuracy=self._evaluated.accuracy,
            divergence=self._evaluated.divergence,
            never_steady=self._trace.never_steady if self._trace is not None else (),
        )
        return document.comparison(
            sides=self._sides,
            models=(original, compressed),
            rates=(alpha, beta, space_saving),
            delta=delta,
            divergence=self._evaluated.divergence,
            accuracy=self._evaluated.accuracy,
            trace=self._trace,
            samples=self._samples,
            findings=findings.find(evidence),
            skipped=[*self._evaluated.skipped, *undefined],
            errors=self._errors,
            config=config,
            environment=machine.describe(),
            command=command,
        )

    # ------------------------------------------------------------------------------ faults

    def _alive(self) -> list[Side]:
        return [side for side in self._sides if side.alive]

    @contextmanager
    def _surviving(self, side: Side | None) -> Iterator[None]:
        """Record an error instead of raising it: the audit goes on with what still lives."""
        try:
            yield
        except InternalError:
            raise
        except CompauditError as error:
            self._record(side or self._side_named(error.model), error)

    def _record(self, side: Side | None, error: CompauditError) -> None:
        self._errors.append(error)
        if side is not None:
            side.alive = False

    def _side_named(self, spec: str | None) -> Side | None:
        return next((side for side in self._sides if side.source.spec == spec), None)

    def _announce_budget(self, seconds: float) -> None:
        self._progress.note(f"these models are slow: timing them takes {format_seconds(seconds)}")
