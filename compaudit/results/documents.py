"""The documents that compaudit writes, as JSON and back."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from compaudit.results.benchmark import Crossover, SettingResult
from compaudit.results.comparison import (
    Delta,
    Layer,
    Rates,
    RatesWithLimit,
    RawSamples,
)
from compaudit.results.context import Data, Environment, Failure, Finding, Gate, Skipped, Tool
from compaudit.results.model import InspectedModel, ModelResult
from compaudit.results.profile import Profile
from compaudit.results.published import Published
from compaudit.results.quality import (
    Accuracy,
    Divergence,
    TracedOutput,
    WorstSample,
)
from compaudit.results.ranking import Best, Between, Candidate, Front, LeftOut, RankedSamples

__all__ = [
    "SCHEMA_VERSION",
    "Benchmark",
    "Checkup",
    "Comparison",
    "Document",
    "ErrorReport",
    "Inspection",
    "Noise",
    "Ranking",
    "Report",
    "decode_report",
    "encode_report",
    "json_schema",
]

SCHEMA_VERSION = "1.0"


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: str
    tool: Tool
    created_at: str
    command: str
    error: Failure | None


class Comparison(_Document, frozen=True, kw_only=True, tag_field="kind", tag="comparison"):
    """The audit of a compressed model against its original."""

    original: ModelResult
    compressed: ModelResult
    alpha: RatesWithLimit
    beta: Rates
    space_saving: Rates
    delta: Delta | None
    accuracy: Accuracy | None
    divergence: Divergence | None
    layers: list[Layer]
    worst: list[WorstSample]
    trace: list[TracedOutput]
    profile: Profile | None
    samples: RawSamples | None
    findings: list[Finding]
    gate: Gate
    skipped: list[Skipped]
    data: Data | None
    environment: Environment
    config: dict[str, Any]


class Inspection(_Document, frozen=True, kw_only=True, tag_field="kind", tag="inspection"):
    """The ledgers of one or several models."""

    models: list[InspectedModel]
    skipped: list[Skipped]
    environment: Environment


class Benchmark(_Document, frozen=True, kw_only=True, tag_field="kind", tag="benchmark"):
    """Models at several devices, numbers of threads and batch sizes.

    `models` are those that were asked for, as they were counted; what they take at a setting is in
    `settings`, where they stand in the same order.
    """

    models: list[ModelResult]
    settings: list[SettingResult]
    crossovers: list[Crossover]
    skipped: list[Skipped]
    data: Data | None
    environment: Environment
    config: dict[str, Any]


class Ranking(_Document, frozen=True, kw_only=True, tag_field="kind", tag="ranking"):
    """Many compressed models against one original, in one experiment.

    `error` is what the original died of, or the gravest of the candidates' where all failed.
    `candidates` are in the order in which they were given; `left_out` names those that were given
    twice. `accuracy` of the original stands in every candidate's. `front` is null where no two
    models have figures to be compared by, `best` without ``--best``. `published` are rows of
    papers, which were not measured here.
    """

    original: ModelResult
    candidates: list[Candidate]
    left_out: list[LeftOut]
    published: list[Published]
    between: list[Between]
    front: Front | None
    best: Best | None
    samples: list[RankedSamples]
    skipped: list[Skipped]
    data: Data | None
    environment: Environment
    config: dict[str, Any]


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """A built-in model timed against itself: whatever difference shows is this machine's noise.

    `delta` is the δ of identical models, with the verdict that it would get. `epoch_spread` is the
    standard deviation between epochs, as a share of the time of a call. `resolvable` is the
    smallest change of speed that an audit of 30 s of such a model would find four times in five.
    """

    model: str
    call_s: float
    threads: int
    time_budget_s: float
    used_s: float
    delta: Delta
    epoch_spread: float | None
    resolvable: float | None
    steady: bool


class Checkup(_Document, frozen=True, kw_only=True, tag_field="kind", tag="doctor"):
    """What a machine offers for audits.

    `threads` is what compaudit gives each model by default, `framework_threads` what the frameworks
    would take, `thread_settings` the variables of the environment that change the latter.
    `memory_limit_bytes` is what a worker may take by default. `busy_percent` and
    `steal_percent_now` are of all processors while doctor looked, `throttled_s` since the control
    group began, `thermal_throttles` since boot. `timing_lock` is null where no file can be locked.
    `noise` is null without --noise.
    """

    environment: Environment
    threads: int
    framework_threads: dict[str, int]
    thread_settings: dict[str, str]
    hyperthreads: bool | None
    memory_limit_bytes: int
    busy_percent: float
    steal_percent_now: float | None
    throttled_s: float | None
    thermal_throttles: int | None
    on_battery: bool | None
    clock_resolution_s: float
    clock_source: str | None
    timing_lock: str | None
    noise: Noise | None
    advice: list[str]


class ErrorReport(_Document, frozen=True, kw_only=True, tag_field="kind", tag="error"):
    """A request that failed before anything was measured."""


Document = Comparison | Inspection | Benchmark | Ranking | Checkup
"""What something was measured for."""

Report = Document | ErrorReport


# --------------------------------------------------------------------------------------- JSON


def encode_report(report: Report) -> bytes:
    """The report as indented JSON with a final newline.

    Raises:
        ValueError: a figure is NaN or infinite. Those are to become None, with a reason in
            `skipped`, where they arise; msgspec would turn them into null without a word.
    """
    _refuse_nonfinite(msgspec.to_builtins(report), "report")
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def decode_report(text: bytes) -> Report:
    """A report from its JSON; unknown keys are accepted. Raises msgspec.DecodeError."""
    report: Report = msgspec.json.decode(text, type=Report)
    return report


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every document compaudit writes."""
    schema = msgspec.json.schema(Report)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"compaudit report {SCHEMA_VERSION}",
        **schema,
    }


def _refuse_nonfinite(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}, which JSON cannot hold")
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_nonfinite(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _refuse_nonfinite(inner, f"{where}[{index}]")
