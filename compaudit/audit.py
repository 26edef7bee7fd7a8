"""The story of an audit: open → measure → compare → find → judge. Read this file first.

Orchestration only. A path becomes a `Model`, a `Model` becomes measurements, two measurements
become a `Comparison`, a `Comparison` becomes findings, a verdict and a report. A model that dies
takes its own figures with it and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from compaudit import document, findings, gate, interruption, machine
from compaudit.config import Config
from compaudit.data.base import DataRequest
from compaudit.data.open import open_data
from compaudit.errors import (
    CompauditError,
    ExitCode,
    InternalError,
    MeasurementError,
    most_serious,
)
from compaudit.execution import Execution
from compaudit.measure.compression import compare_sizes
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.layers.comparison import Subject, compare_layers
from compaudit.measure.layers.grouping import places_of
from compaudit.measure.layers.spool import epsilons_of, mapped, weights_in
from compaudit.measure.ledger import read_in_worker, take
from compaudit.measure.macs.counting import count_from_graph
from compaudit.measure.signature import (
    sizes_of_one_sample,
)
from compaudit.models import open as models
from compaudit.models.base import RunSettings
from compaudit.pair import Pair, Side
from compaudit.progress import Progress, Silent
from compaudit.results import Comparison, Inspection, Layer
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
    with TemporaryDirectory(prefix="compaudit-") as folder:
        audit = _Audit(config, progress or Silent(), folder)
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

    A model that cannot be read is named in the document's `error`, and the others are still there.

    Raises:
        RequestError: no model can be opened and read.
        MeasurementError: nor this one, because the code of its factory died.
    """
    tell = progress or Silent()
    sides: list[Side] = []
    unread: list[CompauditError] = []
    for spec in specs:
        try:
            sides.append(_inspected(spec, trust_model_code, limits or Limits(), tell))
        except InternalError:
            raise
        except CompauditError as error:
            interruption.raise_pending()
            error.model = spec
            unread.append(error)
    if not sides:
        raise unread[0]
    return document.inspection(sides, unread, machine.describe(), command)


def _inspected(spec: str, trust_model_code: bool, limits: Limits, tell: Progress) -> Side:
    """One model with its ledger and, where its graph is known, its operations."""
    source = models.recognise(spec)
    tell.stage(f"reading {source.label}")
    side = Side("original", source)
    _read(side, trust_model_code, limits)
    if side.model is not None and side.ledger is not None:
        side.macs = count_from_graph(side.model, side.ledger, {}, limits)
    return side


def exit_code_of(report: Comparison, inconclusive: Literal["fail", "warn", "pass"]) -> ExitCode:
    """The exit code of a finished audit: what died, and what the gate says."""
    codes = [gate.exit_code_of(report.gate, inconclusive)]
    if report.error is not None:
        codes.append(ExitCode(report.error.exit))
    return most_serious(codes)


def _read(side: Side, trust_model_code: bool, limits: Limits, folder: str | None = None) -> None:
    """Take a model's ledger; in a worker where reading runs code, and then without a `Model`.

    Args:
        side: which one; filled here.
        trust_model_code: whether the user trusts the code in it.
        limits: of the worker.
        folder: where a worker may leave the weights, to be compared layer by layer.
    """
    source = side.source
    if not models.executes_on_read(source):
        side.model = models.read(source, trust_model_code=trust_model_code)
        side.ledger = take(side.model)
        side.weights = weights_in(side.model)
        return
    models.require_trust(source, trust_model_code)
    with Worker(source.spec, limits) as worker:
        side.ledger, spooled = worker.call("read", read_in_worker, source, trust_model_code, folder)
    side.weights = mapped(spooled)


class _Audit:
    """The state of one comparison; each method is a chapter of it."""

    def __init__(self, config: Config, progress: Progress, folder: str) -> None:
        self._config = config
        self._folder = folder
        self._progress = progress
        self._limits = Limits(config.timeout_s, config.memory_limit_bytes)
        self._settings = RunSettings(
            device=config.device,
            threads=config.threads or machine.default_threads(),
            trust_model_code=config.trust_model_code,
            provider_options=config.provider_options,
            session_options=config.session_options,
            custom_op_libraries=config.custom_op_libraries,
        )
        self._pair = Pair(
            Side("original", models.recognise(config.original)),
            Side("compressed", models.recognise(config.compressed)),
        )
        self._execution = Execution(config, self._pair, self._settings, self._limits, progress)

    def count(self) -> None:
        """Count what each model is made of. Raises RequestError for one that cannot be read."""
        for side in self._pair:
            self._progress.stage(f"reading {side.source.label}")
            folder = None
            if self._config.wants("layers"):
                folder = f"{self._folder}/{side.name}"
                Path(folder).mkdir()
            try:
                _read(side, self._config.trust_model_code, self._limits, folder)
            except MeasurementError as error:
                self._pair.record(error, side)

    def count_operations(self) -> None:
        """Count multiply-accumulates from the graphs; nothing is executed."""
        sizes = sizes_of_one_sample(self._config)
        for side in self._pair.alive:
            self._progress.stage(f"counting the operations of {side.source.label}")
            if side.model is not None and side.ledger is not None:
                side.macs = count_from_graph(side.model, side.ledger, sizes, self._limits)

    def run(self) -> None:
        """Load, evaluate and time both models."""
        self._execution.run()

    def report(self, command: str) -> Comparison:
        """Everything that was measured, with what it means."""
        config, trace, evaluated = self._config, self._execution.trace, self._execution.evaluated
        threads = self._settings.threads
        delta = None
        if trace is not None and len(self._pair.alive) == 2:
            delta = estimate_delta(
                trace, config.confidence, config.resolution, cpu_time=threads == 1
            )
        original, compressed = (
            document.model_result(side, trace, config, threads) for side in self._pair
        )
        alpha, beta, space_saving, undefined = compare_sizes(
            original,
            compressed,
            macs_complete=all(
                side.macs is not None and not side.macs.uncounted_contractions
                for side in self._pair
            ),
        )
        layers: list[Layer] = []
        if config.wants("layers"):
            self._progress.stage("comparing layer by layer")
            layers = self._layers()
        counted = self._pair.compressed.ledger
        evidence = findings.Evidence(
            original=original,
            compressed=compressed,
            original_model=self._pair.original.model,
            compressed_model=self._pair.compressed.model,
            compressed_tensors=counted.tensors if counted is not None else (),
            layers=layers,
            runtimes=(
                models.runtime_of(self._pair.original.source),
                models.runtime_of(self._pair.compressed.source),
            ),
            alpha=alpha,
            delta=delta,
            accuracy=evaluated.accuracy,
            divergence=evaluated.divergence,
            never_steady=trace.never_steady if trace is not None else (),
        )
        return document.comparison(
            pair=self._pair,
            models=(original, compressed),
            rates=(alpha, beta, space_saving),
            delta=delta,
            divergence=evaluated.divergence,
            accuracy=evaluated.accuracy,
            layers=layers,
            trace=trace,
            samples=self._execution.samples,
            findings=findings.find(evidence),
            skipped=[*evaluated.skipped, *undefined],
            config=config,
            environment=machine.describe(),
            command=command,
        )

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
            for side in self._pair
            if side.ledger is not None
        ]
        return compare_layers(*subjects) if len(subjects) == 2 else []
