"""What was counted and measured of one model."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Estimate",
    "InspectedModel",
    "Latency",
    "LayerSide",
    "Macs",
    "ModelResult",
    "Sparsity",
    "TensorResult",
]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its interval (95 % unless said); `low` and `high` are None without one."""

    value: float
    low: float | None
    high: float | None


class Macs(msgspec.Struct, frozen=True, kw_only=True):
    """Multiply-accumulate operations of one inference at batch 1; 1 MAC = 2 FLOPs."""

    total: int | None
    nonzero: int | None
    coverage: float | None
    uncounted_ops: list[str]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Time of one inference from end to end, in seconds. `p90_s` needs 64 calls and `p99_s` 662.

    `device_s` is the part of a GPU: without the copies there and back. `nodes_by_provider` says how
    many nodes each provider executes (empty where the framework does not tell), `settings` what
    else decides the speed and was read back after loading.
    """

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
    nodes_by_provider: dict[str, int]
    settings: dict[str, str]


class ModelResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted and measured of one model.

    `bytes_by_role` counts stored bytes; with `graph_bytes` they add up to `file_bytes`.
    `precision` counts parameters by the element type they are stored in, `computed_precision` by
    the one that the graph computes with them in (``unknown`` where no graph tells), `schemes` by
    how they are quantised: per_tensor, per_channel, blocked, or none.

    Memory is what loading and three runs took above the framework alone. `peak_memory_bytes` is the
    most that was resident; `resident_anonymous_bytes` (the process's own) and `resident_file_bytes`
    (mapped files, which the system may drop and read again) what still was at the end.
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
    bytes_by_role: dict[str, int]
    precision: dict[str, int]
    computed_precision: dict[str, int]
    schemes: dict[str, int]
    macs: Macs | None
    load_s: float | None
    first_inference_s: float | None
    peak_memory_bytes: int | None
    resident_anonymous_bytes: int | None
    resident_file_bytes: int | None
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
