"""The JSON inside a ``.pt2`` archive, as far as it is read.

From torch 2.13: torch/_export/serde/schema.py (8.20). Unknown keys are ignored, missing ones are
errors.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "DTYPES",
    "STRIDED",
    "Argument",
    "Graph",
    "GraphModule",
    "Meta",
    "Operation",
    "Payload",
    "Payloads",
    "Program",
    "Size",
]

STRIDED = 7
"""The layout code of ordinary tensors."""

DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    9: "complex32",
    10: "complex64",
    11: "complex128",
    12: "bool",
    13: "bfloat16",
    28: "uint16",
    29: "float8e4m3fn",
    30: "float8e5m2",
    31: "float8e4m3fnuz",
    32: "float8e5m2fnuz",
    33: "float8e8m0",
    34: "uint32",
    35: "uint64",
}


class Expression(msgspec.Struct):
    """A symbolic size."""

    expr_str: str


class Size(msgspec.Struct):
    """A size: a number or an expression."""

    as_int: int | None = None
    as_expr: Expression | None = None


class Meta(msgspec.Struct):
    """Type and geometry of a tensor."""

    dtype: int
    sizes: list[Size]
    strides: list[Size]
    storage_offset: Size
    layout: int


class Payload(msgspec.Struct):
    """A stored tensor or object."""

    path_name: str
    is_param: bool
    use_pickle: bool
    tensor_meta: Meta | None


class Payloads(msgspec.Struct):
    """What a folder of the archive stores, by name."""

    config: dict[str, Payload]


class Argument(msgspec.Struct):
    """A named argument of an operation."""

    name: str
    arg: dict[str, Any]


class Operation(msgspec.Struct):
    """One node."""

    target: str
    inputs: list[Argument]
    outputs: list[dict[str, Any]]
    name: str | None = None


class Graph(msgspec.Struct):
    """Nodes and the values between them."""

    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    nodes: list[Operation]
    tensor_values: dict[str, Meta]


class Signature(msgspec.Struct):
    """What the graph's inputs and outputs are."""

    input_specs: list[dict[str, dict[str, Any]]]
    output_specs: list[dict[str, dict[str, Any]]]


class GraphModule(msgspec.Struct):
    """The graph and how it is called."""

    graph: Graph
    signature: Signature
    module_call_graph: list[dict[str, Any]]


class Program(msgspec.Struct):
    """``models/model.json``."""

    graph_module: GraphModule
