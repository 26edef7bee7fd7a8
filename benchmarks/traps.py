"""Small models that are easy to count wrong, each with its parameter count by hand.

The rules are those of the README: parameters are the learned elements at their logical size; what
is tied counts once; scales, zero points, indices, running statistics, shapes and what nothing reads
are no parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, SparseTensorProto, TensorProto, helper, numpy_helper

__all__ = ["MODULES", "ONNX_TRAPS", "Trap", "write_traps"]

_MICROSOFT = "com.microsoft"


@dataclass(frozen=True, slots=True)
class Trap:
    """One trap.

    Attributes:
        name: what is difficult about it.
        parameters: the true count.
        why: how it comes about.
        build: makes the ONNX model.
    """

    name: str
    parameters: int
    why: str
    build: Callable[[], ModelProto]


ONNX_TRAPS: list[Trap] = []

MODULES: tuple[tuple[str, str, int, str], ...] = (
    ("torch: tied modules", "modules:tied", 40, "10 x 4, used twice"),
    ("torch: two parameters, one storage", "modules:views", 16, "4 x 4 once"),
    ("torch: BatchNorm statistics", "modules:batch_norm", 232, "8 x 3 x 3 x 3 + 8 + 8"),
    ("torch: pruning mask", "modules:masked", 72, "8 x 8 + 8, the mask is none"),
    ("torch: parametrised weight", "modules:weight_norm", 48, "8 x 4 + 8 + 8"),
    ("torch: quantised, packed", "modules:quantized", 136, "8 x 16 + 8"),
)
"""Name, factory, true count, and how it comes about."""


def write_traps(folder: Path) -> dict[str, Path]:
    """Every ONNX trap as a file, by its name."""
    paths = {}
    for place, trap in enumerate(ONNX_TRAPS):
        path = paths[trap.name] = folder / f"trap{place:02}.onnx"
        external = "external" in trap.name
        onnx.save(
            trap.build(),
            path,
            save_as_external_data=external,
            location=f"{path.stem}.data" if external else None,
            size_threshold=0,
        )
    return paths


def _trap(
    name: str, parameters: int, why: str
) -> Callable[[Callable[[], ModelProto]], Callable[[], ModelProto]]:
    def register(build: Callable[[], ModelProto]) -> Callable[[], ModelProto]:
        ONNX_TRAPS.append(Trap(name, parameters, why, build))
        return build

    return register


def _ones(*shape: int, kind: Any = np.float32) -> NDArray[Any]:
    """Values that are not zero and not all the same."""
    return (np.arange(np.prod(shape)) % 5 + 1).astype(kind).reshape(shape)


def _model(
    nodes: list[NodeProto],
    stored: dict[str, NDArray[Any] | TensorProto],
    *,
    columns: int = 4,
    inputs: tuple[str, ...] = (),
    functions: tuple[Any, ...] = (),
    opset: int = 21,
    sparse: tuple[SparseTensorProto, ...] = (),
) -> ModelProto:
    """X of 1 x `columns` → y; `inputs` are initializers listed as graph inputs too."""
    tensors = [
        value if isinstance(value, TensorProto) else numpy_helper.from_array(value, name)
        for name, value in stored.items()
    ]
    taken = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, columns])]
    taken += [
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in tensors
        if tensor.name in inputs
    ]
    given = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "trap", taken, given, tensors, sparse_initializer=sparse)
    domains = [("", opset), (_MICROSOFT, 1), ("here", 1)]
    return helper.make_model(
        graph,
        functions=functions,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in domains],
        ir_version=10,
    )


def _node(op: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


# ------------------------------------------------------------------------ where weights hide


@_trap("plain", 40, "8 x 4 + 8, no trap at all")
def _plain() -> ModelProto:
    return _model([_node("Gemm", "x w b", "y", transB=1)], {"w": _ones(8, 4), "b": _ones(8)})


@_trap("weight in a Constant node", 32, "4 x 8")
def _constant() -> ModelProto:
    value = numpy_helper.from_array(_ones(4, 8))
    return _model([_node("Constant", "", "w", value=value), _node("MatMul", "x w", "y")], {})


@_trap("weight in ConstantOfShape", 32, "4 x 8, one of them stored")
def _constant_of_shape() -> ModelProto:
    value = numpy_helper.from_array(np.float32([0.5]))
    nodes = [_node("ConstantOfShape", "shape", "w", value=value), _node("MatMul", "x w", "y")]
    return _model(nodes, {"shape": np.int64([4, 8])})


@_trap("weights in subgraphs", 64, "4 x 8 in each branch of an If")
def _subgraphs() -> ModelProto:
    def branch(name: str) -> onnx.GraphProto:
        weight = numpy_helper.from_array(_ones(4, 8), f"w_{name}")
        out = helper.make_tensor_value_info(f"y_{name}", TensorProto.FLOAT, [1, 8])
        node = _node("MatMul", f"x w_{name}", f"y_{name}")
        return helper.make_graph([node], name, [], [out], [weight])

    node = _node("If", "yes", "y", then_branch=branch("then"), else_branch=branch("else"))
    return _model([node], {"yes": np.array(True)})


@_trap("weight in a function", 32, "4 x 8 in the function's body")
def _function() -> ModelProto:
    value = numpy_helper.from_array(_ones(4, 8))
    body = [_node("Constant", "", "w", value=value), _node("MatMul", "a w", "b")]
    opset = [helper.make_opsetid("", 21)]
    function = helper.make_function("here", "Linear", ["a"], ["b"], body, opset)
    return _model([_node("Linear", "x", "y", domain="here")], {}, functions=(function,))


@_trap("initializers that are graph inputs", 40, "8 x 4 + 8")
def _as_inputs() -> ModelProto:
    node = _node("Gemm", "x w b", "y", transB=1)
    return _model([node], {"w": _ones(8, 4), "b": _ones(8)}, inputs=("w", "b"))


@_trap("external data", 40, "8 x 4 + 8")
def _external() -> ModelProto:
    return _plain()


@_trap("sparse_initializer", 32, "4 x 8, three of them stored")
def _sparse() -> ModelProto:
    values = numpy_helper.from_array(np.float32([1, 2, 3]), "w")
    places = numpy_helper.from_array(np.int64([0, 9, 31]), "w_places")
    sparse = helper.make_sparse_tensor(values, places, [4, 8])
    return _model([_node("MatMul", "x w", "y")], {}, sparse=(sparse,))


# ------------------------------------------------------------------- what counts once, or not


@_trap("tied weight", 16, "4 x 4, used by two products")
def _tied() -> ModelProto:
    return _model([_node("MatMul", "x w", "h"), _node("MatMul", "h w", "y")], {"w": _ones(4, 4)})


@_trap("duplicate weights", 32, "4 x 4 twice under two names")
def _duplicates() -> ModelProto:
    nodes = [_node("MatMul", "x a", "h"), _node("MatMul", "h b", "y")]
    return _model(nodes, {"a": _ones(4, 4), "b": _ones(4, 4)})


@_trap("unused initializer", 16, "4 x 4; nothing reads the other 100")
def _unused() -> ModelProto:
    return _model([_node("MatMul", "x w", "y")], {"w": _ones(4, 4), "left": _ones(10, 10)})


@_trap("shapes and axes", 16, "4 x 4; a shape and an axis are no parameters")
def _shapes() -> ModelProto:
    nodes = [
        _node("MatMul", "x w", "h"),
        _node("Reshape", "h shape", "r"),
        _node("ReduceMean", "r axes", "y", keepdims=0),
    ]
    stored = {"w": _ones(4, 4), "shape": np.int64([2, 2]), "axes": np.int64([1])}
    return _model(nodes, stored)


@_trap("BatchNorm statistics", 16, "scale and bias of 8; mean and variance are measured")
def _batch_norm() -> ModelProto:
    stored = {name: _ones(8) for name in ("scale", "bias", "mean", "variance")}
    node = _node("BatchNormalization", "x scale bias mean variance", "y")
    return _model([node], stored, columns=8)


# ------------------------------------------------------------------------------ quantisation


@_trap("QDQ int8", 40, "8 x 4 + 8; scales and zero points are none")
def _qdq() -> ModelProto:
    nodes = [
        _node("DequantizeLinear", "q s z", "w", axis=0),
        _node("Gemm", "x w b", "y", transB=1),
    ]
    stored = {
        "q": _ones(8, 4, kind=np.int8),
        "s": _ones(8),
        "z": np.zeros(8, np.int8),
        "b": _ones(8),
    }
    return _model(nodes, stored)


@_trap("fake quantisation", 40, "8 x 4 + 8 float32 behind Quantize and Dequantize")
def _fake() -> ModelProto:
    nodes = [
        _node("QuantizeLinear", "w s z", "q"),
        _node("DequantizeLinear", "q s z", "d"),
        _node("Gemm", "x d b", "y", transB=1),
    ]
    stored = {"w": _ones(8, 4), "s": np.float32(0.1), "z": np.int8(0), "b": _ones(8)}
    return _model(nodes, stored)


@_trap("dynamic quantisation", 32, "4 x 8; the zero point is none")
def _dynamic() -> ModelProto:
    nodes = [
        _node("DynamicQuantizeLinear", "x", "xq xs xz"),
        _node("MatMulInteger", "xq w xz wz", "i"),
        _node("Cast", "i", "f", to=TensorProto.FLOAT),
        _node("Mul", "xs ws", "s"),
        _node("Mul", "f s", "y"),
    ]
    stored = {"w": _ones(4, 8, kind=np.int8), "wz": np.int8(0), "ws": np.float32(0.1)}
    return _model(nodes, stored)


@_trap("int4", 64, "8 x 8, two to a byte; the scales are none")
def _int4() -> ModelProto:
    weight = numpy_helper.from_array(_ones(8, 8, kind=ml_dtypes.int4), "q")
    nodes = [_node("DequantizeLinear", "q s", "w", axis=0), _node("MatMul", "x w", "y")]
    return _model(nodes, {"q": weight, "s": _ones(8)}, columns=8)


@_trap("MatMulNBits", 256, "8 x 32 in 128 bytes")
def _matmul_n_bits() -> ModelProto:
    settings = {"K": 32, "N": 8, "bits": 4, "block_size": 32, "domain": _MICROSOFT}
    packed = _ones(8, 1, 16, kind=np.uint8)
    stored = {"q": packed, "s": _ones(8)}
    return _model([_node("MatMulNBits", "x q s", "y", **settings)], stored, columns=32)


@_trap("GatherBlockQuantized", 640, "20 x 32 of four bits")
def _gather_block_quantized() -> ModelProto:
    weight = numpy_helper.from_array(_ones(20, 32, kind=ml_dtypes.uint4), "q")
    nodes = [
        _node("Cast", "x", "i", to=TensorProto.INT64),
        _node("GatherBlockQuantized", "q i s", "y", domain=_MICROSOFT, block_size=16),
    ]
    return _model(nodes, {"q": weight, "s": _ones(20, 2)})


@_trap("float8", 32, "4 x 8, one byte each")
def _float8() -> ModelProto:
    weight = numpy_helper.from_array(_ones(4, 8, kind=ml_dtypes.float8_e4m3fn), "q")
    nodes = [_node("DequantizeLinear", "q s", "w"), _node("MatMul", "x w", "y")]
    return _model(nodes, {"q": weight, "s": np.float32(0.1)})


@_trap("float16 stored, float32 computed", 32, "4 x 8")
def _half() -> ModelProto:
    nodes = [_node("Cast", "h", "w", to=TensorProto.FLOAT), _node("MatMul", "x w", "y")]
    return _model(nodes, {"h": _ones(4, 8, kind=np.float16)})
