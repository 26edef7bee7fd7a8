"""Every result compaudit can give, as frozen types that are also the JSON report (schema 1.0).

Snake case, SI base units, full precision. What was not measured is None, and `skipped` says why.
No field has a default: every key is in every document, and the published schema says ``required``.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

__all__ = [
    "Accuracy",
    "Cause",
    "Check",
    "Checkup",
    "ClassAccuracy",
    "Comparison",
    "Data",
    "Delta",
    "Distribution",
    "Divergence",
    "EntropyPair",
    "Environment",
    "ErrorReport",
    "Estimate",
    "Failure",
    "Finding",
    "Flips",
    "Gate",
    "Inspection",
    "Latency",
    "Layer",
    "LayerSide",
    "Macs",
    "ModelProfile",
    "ModelResult",
    "Noise",
    "OutputError",
    "PairedDelta",
    "PairedMetric",
    "Profile",
    "ProfiledLayer",
    "ProfiledOperator",
    "Rates",
    "RatesWithLimit",
    "RawBlock",
    "RawSamples",
    "Report",
    "Skipped",
    "Sparsity",
    "TensorResult",
    "Tool",
    "decode_report",
    "encode_report",
    "json_schema",
]

SCHEMA_VERSION = "1.0"

Severity = Literal["info", "warning", "error"]
Verdict = Literal["faster", "slower", "no_measurable_change", "inconclusive", "invalid"]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its interval (95 % unless said); `low` and `high` are None without one."""

    value: float
    low: float | None
    high: float | None


# --------------------------------------------------------------------------------- one model


class Macs(msgspec.Struct, frozen=True, kw_only=True):
    """Multiply-accumulate operations of one inference at batch 1; 1 MAC = 2 FLOPs."""

    total: int | None
    nonzero: int | None
    coverage: float | None
    uncounted_ops: list[str]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Time of one inference, in seconds. `p90_s` needs 64 calls and `p99_s` 662."""

    median_s: Estimate | None
    mean_s: Estimate | None
    p90_s: float | None
    p99_s: float | None
    device_s: Estimate | None
    throughput_per_s: float | None
    calls: int
    batch_size: int
    threads: int
    device: str
    providers: list[str]


class ModelResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted and measured of one model.

    `precision` counts parameters by the element type they are stored in, `computed_precision` by
    the one that the graph computes with them in (``unknown`` where no graph tells), `schemes` by
    how they are quantised: per_tensor, per_channel, blocked, or none.
    """

    path: str
    format: str
    sha256: str | None
    parameters: int | None
    nonzero_parameters: int | None
    sparsity: float | None
    weight_bytes: int | None
    file_bytes: int | None
    graph_bytes: int | None
    entropy_bytes: int | None
    entropy_bits_per_weight: float | None
    bits_per_weight: float | None
    elements_by_role: dict[str, int]
    precision: dict[str, int]
    computed_precision: dict[str, int]
    schemes: dict[str, int]
    macs: Macs | None
    load_s: float | None
    first_inference_s: float | None
    peak_memory_bytes: int | None
    peak_device_memory_bytes: int | None
    latency: Latency | None


class Sparsity(msgspec.Struct, frozen=True, kw_only=True):
    """How the zeros of one weight tensor lie.

    `structure` is the coarsest that explains almost all of them: ``channel`` (whole output or input
    channels), ``n_m`` (at most `n` of every `m` neighbours are not zero), ``block`` (whole blocks
    of `block` rows and columns, the tensor seen as a matrix), ``unstructured``, or ``dense`` where
    there are too few to have one. `n` and `m` are given wherever they hold, also for a tensor that
    is so sparse that chance explains it. `usable` says what an execution could make of it.
    """

    zeros: int
    structure: Literal["dense", "unstructured", "n_m", "channel", "block"]
    n: int | None
    m: int | None
    zero_output_channels: int
    zero_input_channels: int
    block: list[int] | None
    usable: str


class TensorResult(msgspec.Struct, frozen=True, kw_only=True):
    """One stored tensor of the ledger.

    `layer` and `op` say what it belongs to and which operator computes with it. `scheme` says how
    far a scale reaches (over the tensor, a channel, or blocks of the sizes `block`), and is null
    for what is not quantised; `symmetric` whether zero stands in the middle of the codes.
    `sparsity_structure` is null for what is no weight or cannot be read. `duplicate_of` names the
    first tensor with the same type, shape and bytes, stored apart from this one.
    """

    name: str
    role: str
    dtype: str
    shape: list[int]
    logical_elements: int
    stored_elements: int
    bits: int
    bytes: int
    nonzeros: int | None
    entropy_bits: float | None
    layer: str | None
    op: str | None
    computed_dtype: str | None
    scheme: Literal["per_tensor", "per_channel", "blocked"] | None
    block: list[int] | None
    symmetric: bool | None
    sparsity_structure: Sparsity | None
    tied_to: str | None
    duplicate_of: str | None
    location: str
    note: str


class LayerSide(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of one model: the stored tensors that one operation computes with.

    `weight_bytes` and `parameters` of all layers add up to the model's. `precision` counts the
    parameters by stored element type.
    """

    name: str
    op: str
    parameters: int
    nonzero_parameters: int | None
    weight_bytes: int
    bits_per_weight: float | None
    macs: int | None
    precision: dict[str, int]
    tensors: list[str]


class InspectedModel(ModelResult, frozen=True, kw_only=True):
    """A model's figures with its ledger."""

    tensors: list[TensorResult]
    layers: list[LayerSide]


# --------------------------------------------------------------------------------- two models


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """One rate (β or the space saving) for every basis that α has."""

    parameters: float | None
    nonzero_parameters: float | None
    weight_bytes: float | None
    file_bytes: float | None
    entropy_bytes: float | None
    macs: float | None


class RatesWithLimit(Rates, frozen=True, kw_only=True):
    """α for every basis. `coding_limit` is weight_bytes(M) / entropy_bytes(M*)."""

    coding_limit: float | None


class Delta(Estimate, frozen=True, kw_only=True):
    """The speed-up rate δ = s / s*, with what was decided from it."""

    confidence: float
    verdict: Verdict
    epochs: int
    minimal_detectable_effect: float | None
    noise_floor: float | None
    cpu_time_ratio: Estimate | None


class PairedDelta(Estimate, frozen=True, kw_only=True):
    """Compressed minus original on the same samples, and the p-value of "no difference"."""

    p_value: float | None


class PairedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of both models on the same samples."""

    original: Estimate
    compressed: Estimate
    delta: PairedDelta


class Flips(msgspec.Struct, frozen=True, kw_only=True):
    """Samples whose correctness changed: `broken` was right and is wrong, `fixed` the reverse."""

    broken: int
    fixed: int


class ClassAccuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Accuracy within one class."""

    label: int
    samples: int
    original: float
    compressed: float
    delta: float


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """How well both models do the labelled task."""

    task: str
    samples: int
    skipped_samples: int
    top1: PairedMetric | None
    top5: PairedMetric | None
    cross_entropy: PairedMetric | None
    calibration_error: PairedMetric | None
    mse: PairedMetric | None
    mae: PairedMetric | None
    r2: PairedMetric | None
    perplexity: PairedMetric | None
    custom: dict[str, PairedMetric]
    flips: Flips | None
    per_class: list[ClassAccuracy]


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """A divergence over the samples, in nats."""

    mean: Estimate
    p50: float
    p90: float
    p99: float
    p999: float
    max: float
    noise_floor: float | None


class EntropyPair(msgspec.Struct, frozen=True, kw_only=True):
    """Mean entropy of the two output distributions, in nats."""

    original: float
    compressed: float


class OutputError(msgspec.Struct, frozen=True, kw_only=True):
    """Numerical difference of one output, compressed against original."""

    max_abs_error: float | None
    mean_abs_error: float | None
    sqnr_db: float | None
    cosine: float | None
    nonfinite_original: int
    nonfinite_compressed: int


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """How far the outputs of the two models are apart on the same inputs."""

    samples: int
    source: Literal["data", "synthetic"]
    output: str | None
    kl: Distribution | None
    kl_reverse: Distribution | None
    js: Distribution | None
    cross_entropy: Estimate | None
    entropy: EntropyPair | None
    top1_agreement: Estimate | None
    top5_agreement: Estimate | None
    floored: int
    outputs: dict[str, OutputError]


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """One layer of the original beside what became of it.

    `change` says how: ``matched`` one to one, ``factorized`` into several, ``folded`` into the
    layer before it (a normalisation), ``removed``, or ``added``; `note` in words. `matched_by` says
    what the match rests on. `compressed` of a factorised layer sums up its factors.
    `weight_sqnr_db` is null where the weights cannot be compared and where they are equal, and
    `weights_equal` tells the two apart.
    """

    name: str
    op: str
    original: LayerSide | None
    compressed: LayerSide | None
    change: Literal["matched", "factorized", "folded", "removed", "added"]
    matched_by: Literal["name", "structure"] | None
    weight_sqnr_db: float | None
    weights_equal: bool | None
    note: str


class ProfiledOperator(msgspec.Struct, frozen=True, kw_only=True):
    """All executed nodes of one operator on one provider; seconds per inference."""

    op: str
    provider: str
    nodes: int
    seconds: float
    share: float


class ModelProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Where one model's inference spends its time, from the profiler of its runtime.

    Shares are of `total_s`, one inference while it was profiled: those of `operators` and
    `overhead_share`, the time between operators, add up to one. `unattributed_share` is spent in
    operators of which it is not known what in the model they stand for.
    """

    runs: int
    total_s: float
    overhead_share: float
    unattributed_share: float
    operators: list[ProfiledOperator]


class ProfiledLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of the original beside what became of it, in seconds per inference.

    Null where a model executes nothing for it. Names in parentheses gather what is no layer; all
    rows of a model add up to its `total_s`.
    """

    name: str
    original_s: float | None
    compressed_s: float | None
    delta_s: float


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why the compressed model takes the time it takes.

    `seconds` is what it spends so per inference, in `nodes` executed nodes; `extra_s` how much
    more than the original spends on the same, null where that has no counterpart.
    """

    kind: Literal[
        "quantize_nodes",
        "cast_nodes",
        "layout_nodes",
        "transfers",
        "other_provider",
        "float_fallback",
        "integer_operators_no_faster",
        "slower_float_operators",
        "factorized_layers",
        "added_nodes",
        "no_int8_instructions",
    ]
    detail: str
    seconds: float
    extra_s: float | None
    nodes: int


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of both models goes; `causes` the costliest first."""

    original: ModelProfile
    compressed: ModelProfile
    layers: list[ProfiledLayer]
    causes: list[Cause]


class RawBlock(msgspec.Struct, frozen=True, kw_only=True):
    """One timed block: `times_s` holds every call after the first, which is discarded."""

    epoch: int
    quad: int
    position: int
    model: Literal["original", "compressed"]
    calls: int
    elapsed_s: float
    cpu_s: float
    times_s: list[float]


class RawSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Every timed block, so that the verdict can be computed again."""

    blocks: list[RawBlock]
    sentinel: list[RawBlock]


# ------------------------------------------------------------------------- judging and context


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction, or something a reviewer must know. `code` is stable."""

    code: str
    severity: Severity
    title: str
    detail: str
    hint: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement and how it was judged."""

    requirement: str
    metric: str
    observed: float | None
    low: float | None
    high: float | None
    status: Literal["passed", "failed", "inconclusive"]
    severity: Literal["fail", "warn"]
    message: str


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """All requirements together; ``none`` when none was set."""

    status: Literal["passed", "failed", "inconclusive", "none"]
    checks: list[Check]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A value that is null, and why."""

    metric: str
    reason: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What the models were fed."""

    uri: str | None
    digest: str
    samples: int
    seed: int


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the software the figures come from.

    `instruction_sets` are those that decide how fast narrow numbers are multiplied, such as
    ``avx512_vnni``; empty where the system does not tell.
    """

    os: str
    python: str
    packages: dict[str, str]
    cpu: str
    instruction_sets: list[str]
    physical_cores: int | None
    usable_cores: int
    cpu_quota: float | None
    governor: str | None
    load_average: list[float]
    steal_percent: float | None
    memory_bytes: int
    devices: list[str]
    providers: list[str]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Which compaudit wrote the report."""

    name: str
    version: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What died, or why nothing could be measured."""

    code: str
    exit: int
    message: str
    hint: str
    model: str | None
    stage: str | None


# ------------------------------------------------------------------------------ the documents


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
    trace: list[dict[str, Any]]
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


Report = Comparison | Inspection | Checkup | ErrorReport


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
