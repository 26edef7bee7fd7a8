"""What was found and judged, what a run was fed, and where it ran."""

from __future__ import annotations

from typing import Literal

import msgspec

from compaudit.results.model import Estimate

__all__ = [
    "Check",
    "Data",
    "Environment",
    "Failure",
    "Finding",
    "Gate",
    "Skipped",
    "SkippedSample",
    "Tool",
]

Severity = Literal["info", "warning", "error"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction, or something a reviewer must know. `code` is stable."""

    code: str
    severity: Severity
    title: str
    detail: str
    hint: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement and how it was judged.

    `limit` is the number it comes to, null where that is not known. `reference` is the figure that
    the limit is made from, of this report or of the baseline; null where the limit is a number.
    `message` is the author's own, `reason` says why the outcome is what it is. What has severity
    ``warn`` counts neither for the gate's status nor for the exit code.
    """

    requirement: str
    metric: str
    observed: float | None
    low: float | None
    high: float | None
    limit: float | None
    reference: Estimate | None
    status: Literal["passed", "failed", "inconclusive", "not_measured"]
    severity: Literal["fail", "warn"]
    message: str
    reason: str


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """All requirements that bind together; ``none`` when none was set."""

    status: Literal["passed", "failed", "inconclusive", "none"]
    checks: list[Check]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A value that is null, and why."""

    metric: str
    reason: str


class SkippedSample(msgspec.Struct, frozen=True, kw_only=True):
    """A sample that could not be read, and why."""

    index: int
    name: str
    reason: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What the models were fed.

    `kind` is how it was read: ``npz``, ``images``, ``synthetic`` … Of the `skipped_samples` some
    are listed in `skipped`. `notes` say what was done to the values on their way to a model.
    """

    uri: str | None
    kind: str
    digest: str
    samples: int
    seed: int
    labels: str | None
    skipped_samples: int
    skipped: list[SkippedSample]
    notes: list[str]


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
