"""The story of an audit: open → measure → compare → find → judge. Read this file first.

Orchestration only. A path becomes a `Model`, a `Model` becomes measurements, two measurements
become a `Comparison`, a `Comparison` becomes findings, a verdict and a report. A model that dies
takes its own figures with it and nothing else.
"""

from __future__ import annotations

from pathlib import Path

from compaudit import document, findings, interruption, machine
from compaudit.config import Config
from compaudit.engines.ray import engine as ray_engine
from compaudit.errors import MeasurementError
from compaudit.execution import Execution
from compaudit.execution.tracing import Inside, look_inside
from compaudit.feeding import open_given, run_of
from compaudit.figures import model_result
from compaudit.measure.compression import compare_sizes
from compaudit.measure.degenerate import degenerate_scales
from compaudit.measure.latency.estimate import estimate_delta
from compaudit.measure.latency.growth import memory_growth_by_model
from compaudit.measure.latency.recompilation import recompiled_blocks
from compaudit.measure.latency.settling import unsteady_models
from compaudit.measure.layers.comparison import Subject, compare_layers
from compaudit.measure.layers.grouping import places_of
from compaudit.measure.layers.spool import epsilons_of
from compaudit.measure.macs.counting import count_from_graph
from compaudit.measure.profile import comparison as profiles
from compaudit.measure.signature import sizes_of_one_sample
from compaudit.measure.trace.first_break import first_break
from compaudit.models import open as models
from compaudit.pair import open_pair
from compaudit.progress import Progress, Silent
from compaudit.reading import read
from compaudit.results import Comparison, Data, Layer, Profile, Skipped
from compaudit.results.behaviour import Degenerate, OutputChange
from compaudit.terms import Terms, terms_of
from compaudit.workers.limits import Limits

__all__ = ["compare"]


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
        audit = _Audit(config, progress or Silent(), str(folder))
        audit.count()
        audit.require_comparable(terms)
        if config.wants("macs"):
            audit.count_operations()
        needs_run = config.wants("latency", "memory", "divergence", "accuracy")
        if config.profile or config.trace or needs_run:
            audit.run()
        report = audit.report(command)
    return document.judged(report, terms.judge(report), terms.misfit(report))


class _Audit:
    """The state of one comparison; each method is a chapter of it."""

    def __init__(self, config: Config, progress: Progress, folder: str) -> None:
        self._config = config
        self._folder = folder
        self._progress = progress
        self._limits = Limits(config.timeout_s, config.memory_limit_bytes, folder)
        # What cannot be opened is said before minutes are spent on the models.
        if config.engine == "ray" and config.wants("divergence", "accuracy"):
            ray_engine.check(config.ray_address)
        self._given = open_given(config, self._limits, folder, self._progress)
        self._pair = open_pair(config)
        self._execution = Execution(config, self._pair, self._limits, progress)
        self._inside = Inside(None, "")

    def count(self) -> None:
        """Count what each model is made of. Raises RequestError for one that cannot be read."""
        for side in self._pair:
            self._progress.stage(f"reading {side.source.label}")
            folder = None
            if self._config.wants("layers"):
                folder = f"{self._folder}/{side.name}"
                Path(folder).mkdir()
            try:
                read(side, self._config.trust_model_code, self._limits, folder)
            except MeasurementError as error:
                self._pair.record(error, side)

    def require_comparable(self, terms: Terms) -> None:
        """Refuse a baseline of other models before minutes are spent. Raises RequestError."""
        task = None if self._config.task == "auto" else self._config.task
        if self._pair.original.ledger is not None:
            terms.require_same(model_result(self._pair.original, None, self._config), task)

    def count_operations(self) -> None:
        """Count multiply-accumulates from the graphs; nothing is executed."""
        for side in self._pair.alive:
            self._progress.stage(f"counting the operations of {side.source.label}")
            if side.model is not None and side.ledger is not None:
                sizes = sizes_of_one_sample(self._config, side.name, self._given)
                side.macs = count_from_graph(side.model, side.ledger, sizes, self._limits)

    def run(self) -> None:
        """Load, evaluate and time both models."""
        threads, cores = self._pair.original.settings.threads, machine.usable_cores()
        if threads > cores:
            usable = "1 usable core" if cores == 1 else f"{cores} usable cores"
            self._progress.note(f"{threads} threads on {usable} wait for one another")
        self._execution.samples = self._given
        self._execution.run()
        if self._config.trace:
            samples = self._execution.samples
            self._inside = look_inside(self._pair, samples, self._limits, self._progress)

    def report(self, command: str) -> Comparison:
        """Everything that was measured, with what it means."""
        config, trace, evaluated = self._config, self._execution.trace, self._execution.evaluated
        data = self._data()
        accuracy = document.accuracy_of(evaluated.accuracy, data)
        delta = None
        if trace is not None and len(self._pair.alive) == 2:
            delta = estimate_delta(
                trace,
                config.confidence,
                config.resolution,
                cpu_time=self._pair.compares_cpu_time,
            )
        original, compressed = (model_result(side, trace, config) for side in self._pair)
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
        profile = self._profile(layers)
        if config.profile and profile is None:
            reason = self._execution.unprofiled or "the models were not run"
            undefined.append(Skipped(metric="profile", reason=reason))
        inside = self._inside.traced.outputs if self._inside.traced is not None else []
        if self._inside.why_not:
            undefined.append(Skipped(metric="trace", reason=self._inside.why_not))
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
            accuracy=accuracy,
            divergence=evaluated.divergence,
            never_steady=unsteady_models(trace) if trace is not None else (),
            profile=profile,
            output_changes=self._output_changes(),
            memory_growth=memory_growth_by_model(trace.blocks if trace is not None else ()),
            recompiled=recompiled_blocks(trace) if trace is not None else {},
            fallbacks=self._execution.fallbacks,
            runs=(
                run_of(config, self._pair.original),
                run_of(config, self._pair.compressed),
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
            pair=self._pair,
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
            samples=self._execution.samples,
            findings=findings.find(evidence),
            skipped=[*evaluated.skipped, *undefined],
            config=config,
            environment=machine.describe(),
            command=command,
        )

    def _data(self) -> Data | None:
        """What both models were fed; None where nothing could be."""
        samples = self._execution.samples
        if samples is None:
            return None
        broken = self._execution.evaluated.broken
        return document.data_of(samples, self._pair, broken, self._config)

    def _output_changes(self) -> dict[str, OutputChange]:
        """What each model gave differently when its first inference was repeated."""
        return {
            side.name: side.first_run.output_change
            for side in self._pair
            if side.first_run is not None and side.first_run.output_change is not None
        }

    def _degenerate(self) -> list[Degenerate]:
        """Scales of the compressed model that make nothing of its codes."""
        model = self._pair.compressed.model
        return [] if model is None else degenerate_scales(model)

    def _instruction_sets(self) -> frozenset[str]:
        """The processor's, where the compressed model was loaded to compute on it."""
        on_cpu = self._config.device in ("cpu", "CPUExecutionProvider")
        ran = self._pair.compressed.loaded is not None
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
            for side in self._pair
            if side.ledger is not None
        ]
        return compare_layers(*subjects) if len(subjects) == 2 else []

    def _profile(self, layers: list[Layer]) -> Profile | None:
        """Where the time of both goes; None where they were not profiled."""
        runs = self._execution.profiled
        if not runs:
            return None
        original, compressed = (
            profiles.Subject(
                runs[side.name], side.ledger.tensors if side.ledger else (), side.model
            )
            for side in self._pair
        )
        ran = self._pair.compressed.loaded
        runtimes = {models.runtime_of(side.source) for side in self._pair}
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
