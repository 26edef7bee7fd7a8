"""What a model is, whatever framework it comes from.

Every measurement speaks of the types here and of nothing else. A `Source` is what the user named; a
`Model` is what reading it (never running it) tells; a `Runner` is a loaded model that can be
executed, and lives in a worker process. A `Format` makes the last two from the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from compaudit.models.quantized import Quantization

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Dimension",
    "Format",
    "Graph",
    "Head",
    "Inference",
    "Model",
    "Node",
    "Role",
    "RunSettings",
    "Runner",
    "Source",
    "Tensor",
    "Use",
    "Value",
    "bits_of",
]

Dimension = int | str | None
"""A size, the name of a symbolic size, or nothing known."""

Feeds = Mapping[str, "NDArray[Any]"]


class Role(StrEnum):
    """What a stored tensor is for. Every stored tensor has exactly one role."""

    WEIGHT = "weight"
    BIAS = "bias"
    BUFFER = "buffer"
    QUANTIZATION = "quantization"
    CONSTANT = "constant"
    UNUSED = "unused"
    UNCLASSIFIED = "unclassified"


# ------------------------------------------------------------------------- what is stored

_BITS = {
    "bool": 8,
    "float64": 64,
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "complex32": 32,
    "complex64": 64,
    "complex128": 128,
    "string": 8,
}


def bits_of(dtype: str) -> int:
    """Bits of one stored element, from the name of its type: ``int4`` → 4, ``float8e5m2`` → 8.

    Raises:
        ValueError: the name is not that of a known element type.
    """
    if dtype in _BITS:
        return _BITS[dtype]
    digits = dtype.removeprefix("u").removeprefix("int")
    if digits.isdigit() and dtype.lstrip("u").startswith("int"):
        return int(digits)
    for prefix, bits in (("float8", 8), ("float6", 6), ("float4", 4)):
        if dtype.startswith(prefix):
            return bits
    raise ValueError(f"unknown element type {dtype!r}")


@dataclass(frozen=True, slots=True)
class Use:
    """What computes with a stored tensor.

    Attributes:
        node: the name of the node; of tensors that serve another one, the node that serves.
        op: its operator.
        computed: the element type that the graph multiplies or adds it in: ``float32`` for a
            float16 weight behind a Cast, ``int8`` for codes between DequantizeLinear and
            QuantizeLinear. Empty where unknown.
    """

    node: str
    op: str
    computed: str = ""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor that a model file (or a live module) stores.

    Attributes:
        name: its name in the model, unique.
        role: what it is for.
        dtype: the stored element type, lower case: ``float32``, ``int8``, ``int4``, ``bfloat16``.
        shape: the *logical* shape; int4 packed two to a byte has the shape before packing.
        stored_elements: elements in the file: 1 for a ConstantOfShape weight, values and indices of
            a sparse tensor, otherwise as many as the shape says.
        bytes: bytes it occupies where it is stored.
        values: reads the stored values, flat and in order, in chunks: numbers for float types,
            integer codes for quantised ones (unpacked, one per element). None when unreadable.
        quantization: what its codes stand for; None where its values are what they say.
        use: what computes with it; None where nothing does, or the format does not tell.
        fill: the one stored value stands for every element of the shape.
        tied_to: the tensor whose storage this one is; such a tensor counts nothing of its own.
        location: where the bytes are: ``file``, ``memory``, or the name of an external file.
        note: what a reader should know about it, empty mostly.
    """

    name: str
    role: Role
    dtype: str
    shape: tuple[int, ...]
    stored_elements: int
    bytes: int
    values: Callable[[], Iterator[NDArray[Any]]] | None = field(default=None, compare=False)
    quantization: Quantization | None = field(default=None, compare=False)
    use: Use | None = field(default=None, compare=False)
    fill: bool = False
    tied_to: str | None = None
    location: str = "file"
    note: str = ""

    @property
    def logical_elements(self) -> int:
        """Elements that the shape describes; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Bits of one stored element."""
        return bits_of(self.dtype)


# ------------------------------------------------------------------------------ the graph


class Value(msgspec.Struct, frozen=True):
    """An input or an output: its name, element type, and shape with symbolic sizes as names."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `domain` is empty for standard operators; absent inputs are empty names.

    `scope` says where it stands: empty in the main graph, else the path of the subgraph or
    function.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """The operations of a model in execution order, and what goes in and comes out.

    `values` are the types and shapes of what lies between, where the file states them.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    values: tuple[Value, ...] = ()


# ------------------------------------------------------------------- naming, reading, running


class Source(msgspec.Struct, frozen=True):
    """What the user named on the command line, recognised.

    Attributes:
        spec: as typed; also how errors and reports name the model.
        format: the name of its `Format`.
        path: the model file; None for a bare factory.
        factory: ``package.module:callable``, for PyTorch code.
        weights: a state dict to load into what the factory returns.
    """

    spec: str
    format: str
    path: str | None = None
    factory: str | None = None
    weights: str | None = None

    @property
    def label(self) -> str:
        """A short name: the file's, or the factory as typed."""
        return self.spec if self.path is None else Path(self.path).name


@dataclass(frozen=True, slots=True)
class Model:
    """What reading a model tells, without running it.

    Attributes:
        source: where it came from.
        tensors: everything stored, the ledger.
        graph: its operations; None where the format stores none (a state dict).
        files: what is shipped: the file, its external data, every shard. Empty for a bare factory.
        uncounted: why parameters cannot be counted (an unknown packing); None mostly.
    """

    source: Source
    tensors: tuple[Tensor, ...]
    graph: Graph | None
    files: tuple[Path, ...]
    uncounted: str | None = None


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is loaded and run; equal for both models unless the user says otherwise.

    `compiled` runs a PyTorch module through ``torch.compile``; other formats refuse it. `taps` are
    values inside of the model (of an ONNX graph, or modules by name) that it gives as outputs too,
    after its own.
    """

    device: str = "cpu"
    threads: int = 1
    compiled: bool = False
    trust_model_code: bool = False
    optimized: bool = True
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}
    custom_op_libraries: tuple[str, ...] = ()
    taps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inference:
    """One inference of given inputs, ready to be called again and again.

    Attributes:
        call: one inference. Without `synchronise` it ends when its result is there.
        synchronise: waits until the device has done all that was called; None where there is
            nothing to wait for.
        around: a context that many calls in a row may be made in, which spares each of them to
            enter it: torch's inference mode. `call` does without it as well.
    """

    call: Callable[[], object]
    synchronise: Callable[[], object] | None = None
    around: Callable[[], AbstractContextManager[object]] = nullcontext


class Runner(Protocol):
    """A loaded model, in the process that holds it.

    Attributes:
        inputs, outputs: what it takes and gives. A framework that does not name its outputs leaves
            `named_outputs` False and they are called ``output`` or ``output_0``, ``output_1`` …
        providers: what really executes it: ``CPUExecutionProvider``, ``torch-cpu`` …
        nodes_by_provider: how many nodes each of them executes; empty where that is not told.
        settings: what decides its speed and was read back after loading, for the report:
            ``tf32``, ``cudnn.benchmark``, ``graph_optimization_level`` …
        on_gpu: its work is done by a device of its own, beside this process.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    named_outputs: bool
    providers: tuple[str, ...]
    nodes_by_provider: dict[str, int]
    settings: dict[str, str]
    on_gpu: bool

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """Every output by name for these inputs. Raises RequestError where they do not fit."""
        ...

    def bind(self, feeds: Feeds) -> Inference:
        """One inference from end to end, for timing: main memory to main memory.

        Inputs are converted once, here. On a GPU every call copies them there and its outputs back,
        and ends when they are there; on a CPU nothing is copied.
        """
        ...

    def bind_on_device(self, feeds: Feeds) -> Inference | None:
        """The same with inputs and outputs that stay on the device; None where `on_gpu` is False.

        Calls are queued; `Inference.synchronise` waits for them.
        """
        ...

    def compilations(self) -> int:
        """How often the framework has compiled the model so far; 0 where it never does."""
        ...

    def peak_device_bytes(self) -> int | None:
        """The most device memory held since loading; None without a device, or where untold."""
        ...


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a file (at most 64 KiB), by which its format is recognised."""

    path: Path
    start: bytes
    size: int

    def zip_names(self) -> frozenset[str]:
        """Member names when this is a zip archive, each without its first folder; else empty."""
        import zipfile

        if not self.start.startswith(b"PK\x03\x04"):
            return frozenset()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return frozenset(name.partition("/")[2] for name in archive.namelist())
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return frozenset()


class Format(Protocol):
    """One kind of model file. `models/open.py` lists them all.

    Attributes:
        name: as reports show it: ``onnx``, ``pt2``, ``torchscript``, ``state-dict`` …
        runtime: what executes it, ``onnxruntime`` or ``torch``; None when it cannot be executed.
        reading: ``static`` when reading executes nothing; ``trusted`` when it executes what the
            file holds (only with ``--trust-model-code``); ``own`` when it executes the user's own
            module.
        running: likewise for loading and running it.
    """

    name: str
    runtime: Literal["onnxruntime", "torch"] | None
    reading: Literal["static", "trusted", "own"]
    running: Literal["static", "trusted", "own"]

    def recognise(self, head: Head) -> bool:
        """Whether the file is of this format, by its content."""
        ...

    def read(self, source: Source) -> Model:
        """The ledger and the graph. Raises RequestError for a broken or unsafe file."""
        ...

    def load(self, source: Source, settings: RunSettings) -> Runner:
        """The model, ready to run. Only ever called in a worker process."""
        ...
