"""What the user asked for, as one validated, frozen object."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import msgspec

from compaudit.config.checks import (
    LARGEST,
    check_between,
    check_data,
    check_device,
    check_engine,
    check_metrics,
    check_one_of,
    check_preprocess,
    check_trust,
    check_whole,
)
from compaudit.config.one_model import ModelOptions

__all__ = [
    "DEFAULT_TIME_BUDGET_S",
    "MEASUREMENTS",
    "MOST_THREADS",
    "SLOW_MODEL_TIME_BUDGET_S",
    "Config",
    "EngineName",
    "Inconclusive",
    "Measurement",
    "Task",
    "Which",
]

Measurement = Literal["size", "macs", "layers", "latency", "memory", "divergence", "accuracy"]
Task = Literal["auto", "classification", "regression", "embedding", "causal-lm"]
Inconclusive = Literal["fail", "warn", "pass"]
EngineName = Literal["local", "ray"]
Which = Literal["original", "compressed"]

MEASUREMENTS: tuple[Measurement, ...] = get_args(Measurement)
TASKS: tuple[Task, ...] = get_args(Task)

DEFAULT_TIME_BUDGET_S = 30.0
SLOW_MODEL_TIME_BUDGET_S = 120.0

# More threads than any one machine has cores; a mistyped number would start them all.
MOST_THREADS = 1024
# They are kept in memory and written into the report.
_MOST_LISTED = 10_000
# Below this nothing runs; who writes 2 means 2 GiB.
_LEAST_MEMORY = 2**20


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one audit. Durations in seconds, sizes in bytes, shares of one.

    Attributes:
        threads: None takes the machine's default (MEASURING §1, rule 1).
        compile: run PyTorch models through ``torch.compile``.
        time_budget_s: None means 30 s, and up to 120 s for slow models.
        memory_limit_bytes: None means 75 % of the machine's memory, or of its cgroup's limit.
        lock: wait while another audit of this user times its models.
        preprocess: how images become arrays: ``imagenet``, or a TOML file.
        metrics: ``module:function`` of the user's own figures, one number a sample.
        worst: how many of the samples that suffered most are listed.
        workers: pairs of processes that evaluate shards of the data at the same time; None takes
            one, and on a Ray cluster as many as it has room for.
        engine: where the data is evaluated; everything else is measured on this machine.
        ray_address: of a Ray cluster that runs; None starts one here.
        cache: keep the original's outputs for the next audit of it.
        map_input: what is called A in the data, or in the original, feeds the input called B.
        map_output: the original's output A is compared with the compressed model's output B.
        requirements: as texts, those of the policy too: ``delta >= 1.2``, ``warn: … # message``.
        baseline: an earlier report, for requirements that compare with one.
        policy: the file that some of the requirements come from.
        config_file: the file that some of the settings come from.
        original_only: what holds for the original alone; see `of`.
        compressed_only: what holds for the compressed model alone.
    """

    original: str
    compressed: str
    data: str | None = None
    preprocess: str | None = None
    task: Task = "auto"
    metrics: tuple[str, ...] = ()
    model_output: str | None = None
    device: str = "cpu"
    threads: int | None = None
    compile: bool = False
    batch_size: int | None = None
    input_shapes: dict[str, tuple[int, ...]] = {}
    map_input: dict[str, str] = {}
    map_output: dict[str, str] = {}
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}
    custom_op_libraries: tuple[str, ...] = ()
    original_only: ModelOptions = ModelOptions()
    compressed_only: ModelOptions = ModelOptions()
    measurements: tuple[Measurement, ...] = MEASUREMENTS
    time_budget_s: float | None = None
    resolution: float = 0.03
    confidence: float = 0.95
    limit: int | None = None
    seed: int = 0
    requirements: tuple[str, ...] = ()
    inconclusive: Inconclusive = "fail"
    baseline: str | None = None
    policy: str | None = None
    config_file: str | None = None
    raw: bool = False
    profile: bool = False
    trace: bool = False
    worst: int = 10
    workers: int | None = None
    engine: EngineName = "local"
    ray_address: str | None = None
    cache: bool = True
    trust_model_code: bool = False
    lock: bool = True
    timeout_s: float = 300.0
    memory_limit_bytes: int | None = None

    def __post_init__(self) -> None:
        check_one_of("task", self.task, TASKS)
        check_one_of("inconclusive", self.inconclusive, get_args(Inconclusive))
        check_one_of("engine", self.engine, get_args(EngineName))
        check_device(self.device)
        check_engine(self.engine, self.ray_address, self.device)
        check_data(self.data)
        check_metrics(self.metrics)
        check_preprocess(self.preprocess, self.data)
        check_whole("threads", self.threads, 1, MOST_THREADS)
        check_whole("limit", self.limit, 1, LARGEST)
        check_whole("seed", self.seed, 0, LARGEST)
        check_whole("worst", self.worst, 0, _MOST_LISTED)
        check_whole("workers", self.workers, 1, MOST_THREADS)
        check_between("time-budget", self.time_budget_s, 0.0, math.inf)
        check_between("timeout", self.timeout_s, 0.0, math.inf)
        check_between("resolution", self.resolution, 0.0, 1.0)
        check_between("confidence", self.confidence, 0.5, 1.0)
        check_whole("memory-limit", self.memory_limit_bytes, _LEAST_MEMORY, LARGEST)
        self._common.check()
        self.original_only.check("original-")
        self.compressed_only.check("compressed-")
        for options in (self._common, self.original_only, self.compressed_only):
            check_trust(options.custom_op_libraries, trusted=self.trust_model_code)

    def wants(self, *measurements: Measurement) -> bool:
        """Whether any of these was asked for."""
        return any(measurement in self.measurements for measurement in measurements)

    def only(self, which: Which) -> ModelOptions:
        """What was asked for one model alone."""
        return self.original_only if which == "original" else self.compressed_only

    def of(self, which: Which) -> ModelOptions:
        """What holds for one model: the settings for both, and its own, which win over them."""
        return self.only(which).over(self._common)

    def as_json(self) -> dict[str, Any]:
        """The settings for the report: all of them, those left at their default too."""
        settings = msgspec.to_builtins(self)
        assert isinstance(settings, dict)
        return settings

    @property
    def _common(self) -> ModelOptions:
        return ModelOptions(
            **{name: getattr(self, name) for name in ModelOptions.__struct_fields__}
        )
