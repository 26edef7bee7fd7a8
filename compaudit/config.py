"""What the user asked for, as one validated, frozen object."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import msgspec

from compaudit import units
from compaudit.errors import RequestError

__all__ = [
    "MEASUREMENTS",
    "Config",
    "Measurement",
    "Task",
    "did_you_mean",
    "parse_mapping",
    "parse_shapes",
    "parse_with_unit",
    "select_measurements",
]

Measurement = Literal["size", "macs", "layers", "latency", "memory", "divergence", "accuracy"]
Task = Literal["auto", "classification", "regression", "embedding", "causal-lm"]
Inconclusive = Literal["fail", "warn", "pass"]

MEASUREMENTS: tuple[Measurement, ...] = get_args(Measurement)
TASKS: tuple[Task, ...] = get_args(Task)

DEFAULT_TIME_BUDGET_S = 30.0
SLOW_MODEL_TIME_BUDGET_S = 120.0

# More threads than any one machine has cores; a mistyped number would start them all.
_MOST_THREADS = 1024
# Below this nothing runs; who writes 2 means 2 GiB.
_LEAST_MEMORY = 2**20
# What fits into the integers of the report and of the messages to workers.
_LARGEST = 2**63 - 1


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one audit. Durations in seconds, sizes in bytes, shares of one.

    Attributes:
        threads: None takes the machine's default (MEASURING §1, rule 1).
        time_budget_s: None means 30 s, and up to 120 s for slow models.
        memory_limit_bytes: None means 75 % of the machine's memory, or of its cgroup's limit.
        lock: wait while another audit of this user times its models.
        map_input: what is called A in the data, or in the original, feeds the input called B.
        map_output: the original's output A is compared with the compressed model's output B.
    """

    original: str
    compressed: str
    data: str | None = None
    task: Task = "auto"
    model_output: str | None = None
    device: str = "cpu"
    threads: int | None = None
    batch_size: int | None = None
    input_shapes: dict[str, tuple[int, ...]] = {}
    map_input: dict[str, str] = {}
    map_output: dict[str, str] = {}
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}
    custom_op_libraries: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = MEASUREMENTS
    time_budget_s: float | None = None
    resolution: float = 0.03
    confidence: float = 0.95
    limit: int | None = None
    seed: int = 0
    requirements: tuple[str, ...] = ()
    inconclusive: Inconclusive = "fail"
    raw: bool = False
    profile: bool = False
    trust_model_code: bool = False
    lock: bool = True
    timeout_s: float = 300.0
    memory_limit_bytes: int | None = None

    def __post_init__(self) -> None:
        self._one_of("task", self.task, TASKS)
        self._one_of("inconclusive", self.inconclusive, get_args(Inconclusive))
        self._whole("threads", self.threads, 1, _MOST_THREADS)
        self._whole("batch-size", self.batch_size, 1, _LARGEST)
        self._whole("limit", self.limit, 1, _LARGEST)
        self._whole("seed", self.seed, 0, _LARGEST)
        self._between("time-budget", self.time_budget_s, 0.0, math.inf)
        self._between("timeout", self.timeout_s, 0.0, math.inf)
        self._between("resolution", self.resolution, 0.0, 1.0)
        self._between("confidence", self.confidence, 0.5, 1.0)
        self._whole("memory-limit", self.memory_limit_bytes, _LEAST_MEMORY, _LARGEST)
        if self.custom_op_libraries and not self.trust_model_code:
            raise RequestError(
                "a custom operator library runs its own code when it is loaded",
                hint="add --trust-model-code if you trust it",
                code="untrusted-code",
            )

    def wants(self, *measurements: Measurement) -> bool:
        """Whether any of these was asked for."""
        return any(measurement in self.measurements for measurement in measurements)

    def as_json(self) -> dict[str, Any]:
        """The settings for the report: all of them, those left at their default too."""
        settings = msgspec.to_builtins(self)
        assert isinstance(settings, dict)
        return settings

    @staticmethod
    def _one_of(option: str, value: str, allowed: Sequence[str]) -> None:
        if value not in allowed:
            raise RequestError(
                f"--{option} {value!r} is not known",
                hint=did_you_mean(value, allowed),
                code="unknown-value",
            )

    @staticmethod
    def _whole(option: str, value: int | None, least: int, most: int) -> None:
        if value is not None and not least <= value <= most:
            where, bound = ("below", least) if value < least else ("above", most)
            limits = f"at least {least}" if value < least else f"at most {most}"
            raise RequestError(
                f"--{option} is {value}, which is {where} {bound}",
                hint=f"give --{option} a whole number of {limits}",
                code="out-of-range",
            )

    @staticmethod
    def _between(option: str, value: float | None, low: float, high: float) -> None:
        if value is not None and not low < value < high:
            limits = f"above {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
            raise RequestError(
                f"--{option} is {value:g}, which is not {limits}",
                hint=f"give --{option} a value {limits}",
                code="out-of-range",
            )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for a mistyped word: the closest known one, or all of them."""
    choices = list(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from: {', '.join(choices)}"


def select_measurements(only: Iterable[str], skip: Iterable[str]) -> tuple[Measurement, ...]:
    """The measurements left by ``--only`` and ``--skip``, each a comma-separated list.

    Raises:
        RequestError: an unknown name, or nothing left to measure.
    """
    wanted, unwanted = _measurement_names("only", only), _measurement_names("skip", skip)
    selected = tuple(
        name for name in MEASUREMENTS if (not wanted or name in wanted) and name not in unwanted
    )
    if not selected:
        raise RequestError(
            "--only and --skip together leave nothing to measure",
            hint=f"leave at least one of: {', '.join(MEASUREMENTS)}",
            code="nothing-to-measure",
        )
    return selected


def _measurement_names(option: str, values: Iterable[str]) -> set[str]:
    given = list(values)
    names = {name.strip() for value in given for name in value.split(",") if name.strip()}
    if given and not names:
        raise RequestError(
            f"--{option} names no measurement",
            hint=f"choose from: {', '.join(MEASUREMENTS)}",
            code="unknown-measurement",
        )
    for name in sorted(names - set(MEASUREMENTS)):
        raise RequestError(
            f"--{option} names an unknown measurement {name!r}",
            hint=did_you_mean(name, MEASUREMENTS),
            code="unknown-measurement",
        )
    return names


def parse_mapping(option: str, values: Iterable[str]) -> dict[str, str]:
    """``A=B`` options as a dictionary. Raises RequestError for anything else."""
    mapping: dict[str, str] = {}
    for value in values:
        key, equals, target = value.partition("=")
        if not equals or not key or not target:
            raise RequestError(
                f"--{option} {value!r} is not of the form A=B",
                hint=f"for example --{option} {key or 'a'}=b",
                code="bad-option",
            )
        mapping[key] = target
    return mapping


def parse_shapes(values: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` options as shapes. Raises RequestError for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, text in parse_mapping("input-shape", values).items():
        sizes = text.split("x") if text != "scalar" else []
        if not all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
            raise RequestError(
                f"--input-shape {name}={text} is not a shape",
                hint=f"sizes above zero with an x between, such as {name}=1x3x224x224",
                code="bad-option",
            )
        shapes[name] = tuple(int(size) for size in sizes)
    return shapes


def parse_with_unit(option: str, text: str | None) -> float | None:
    """``30s``, ``3%`` or ``2 GiB`` as a number in SI units, by what the option means.

    Raises:
        RequestError: not a number, or a unit that this option does not take.
    """
    if text is None:
        return None
    parse = {
        "time-budget": units.parse_duration,
        "timeout": units.parse_duration,
        "memory-limit": units.parse_bytes,
    }.get(option, units.parse_share)
    try:
        return parse(text)
    except ValueError as error:
        examples = {units.parse_duration: "30s", units.parse_bytes: "2GiB"}
        raise RequestError(
            f"--{option}: {error}",
            hint=f"for example --{option} {examples.get(parse, '3%')}",
            code="bad-option",
        ) from error
