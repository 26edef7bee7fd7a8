"""Networks for the benchmark: ResNet-50 with seeded real weights, and stacks of large matrices."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

__all__ = [
    "RESNET50_PARAMETERS",
    "write_external",
    "write_one_file",
    "write_resnet50",
    "write_safetensors",
]

RESNET50_PARAMETERS = 25_557_032
"""Published for torchvision's ResNet-50."""

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
_EXPANSION = 4
_SEED = 0
_ROWS = 4096  # of each large matrix
_COLUMNS = 4096
_OPSET = 18


def write_resnet50(path: Path) -> Path:
    """ResNet-50 as ONNX, one file of 102 MB, BatchNorm not folded. Returns the path."""
    graph = _Resnet50()
    onnx.save(graph.model(), path)
    return path


def write_one_file(path: Path, size: int) -> Path:
    """A stack of matrices in one ONNX file of about `size` bytes."""
    weights = [
        numpy_helper.from_array(matrix, f"w{place}") for place, matrix in enumerate(_matrices(size))
    ]
    onnx.save(_stack(weights), path)
    return path


def write_external(path: Path, size: int) -> Path:
    """A stack of matrices, about `size` bytes, all in one external file beside the model."""
    data = path.with_suffix(".data")
    weights, offset = [], 0
    with data.open("wb") as stream:
        for place, matrix in enumerate(_matrices(size)):
            matrix.tofile(stream)
            weight = TensorProto(
                name=f"w{place}",
                dims=matrix.shape,
                data_type=TensorProto.FLOAT,
                data_location=TensorProto.EXTERNAL,
            )
            for key, value in (
                ("location", data.name),
                ("offset", str(offset)),
                ("length", str(matrix.nbytes)),
            ):
                weight.external_data.add(key=key, value=value)
            weights.append(weight)
            offset += matrix.nbytes
    onnx.save(_stack(weights), path)
    return path


def write_safetensors(path: Path, size: int) -> Path:
    """The same matrices in a safetensors file, written without holding them all."""
    count = max(1, size // (_ROWS * _COLUMNS * 4))
    one = _ROWS * _COLUMNS * 4
    header: dict[str, Any] = {
        f"layers.{place}.weight": {
            "dtype": "F32",
            "shape": [_ROWS, _COLUMNS],
            "data_offsets": [place * one, (place + 1) * one],
        }
        for place in range(count)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for matrix in _matrices(size):
            matrix.tofile(stream)
    return path


def _matrices(size: int) -> Iterator[NDArray[np.float32]]:
    """Enough normal matrices for `size` bytes, 64 MiB each."""
    random = np.random.default_rng(_SEED)
    for _ in range(max(1, size // (_ROWS * _COLUMNS * 4))):
        yield random.standard_normal((_ROWS, _COLUMNS), dtype=np.float32) * np.float32(0.02)


def _stack(weights: list[TensorProto]) -> onnx.ModelProto:
    """One matrix product after the other."""
    values = ["x", *(f"h{place}" for place in range(len(weights)))]
    nodes = [
        helper.make_node("MatMul", [values[place], weight.name], [values[place + 1]])
        for place, weight in enumerate(weights)
    ]
    return _model(nodes, weights, "stack", [1, _ROWS], values[-1], [1, _COLUMNS])


def _model(
    nodes: list[NodeProto],
    weights: list[TensorProto],
    name: str,
    taken: list[int],
    output: str,
    given: list[int],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, taken)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, given)],
        weights,
    )
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


class _Resnet50:
    """He et al. 2016, table 1, 50-layer, with the stride in the 3x3 convolution (v1.5)."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(_SEED)
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []

    def model(self) -> onnx.ModelProto:
        """The whole network with its weights."""
        value = self._relu(self._convolution("x", 3, 64, 7, 2, "stem"))
        value = self._add(
            "MaxPool", [value], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        )
        channels = 64
        for stage, (width, blocks, stride) in enumerate(_STAGES):
            for block in range(blocks):
                name = f"layer{stage + 1}.{block}"
                value = self._block(value, channels, width, stride if block == 0 else 1, name)
                channels = width * _EXPANSION
        value = self._add("Flatten", [self._add("GlobalAveragePool", [value], "mean")], "flat")
        weight = self._weight((1000, channels), channels, "fc.weight")
        bias = self._store(np.zeros(1000, np.float32), "fc.bias")
        self._add("Gemm", [value, weight, bias], "logits", transB=1)
        sizes = [1, 3, 224, 224]
        return _model(self._nodes, self._weights, "resnet50", sizes, "logits", [1, 1000])

    def _block(self, value: str, channels: int, width: int, stride: int, name: str) -> str:
        out = width * _EXPANSION
        inner = self._relu(self._convolution(value, channels, width, 1, 1, f"{name}.conv1"))
        inner = self._relu(self._convolution(inner, width, width, 3, stride, f"{name}.conv2"))
        inner = self._convolution(inner, width, out, 1, 1, f"{name}.conv3")
        if stride != 1 or channels != out:
            value = self._convolution(value, channels, out, 1, stride, f"{name}.downsample")
        return self._relu(self._add("Add", [inner, value], f"{name}.sum"))

    def _convolution(
        self, value: str, taken: int, given: int, size: int, stride: int, name: str
    ) -> str:
        weight = self._weight((given, taken, size, size), taken * size * size, f"{name}.weight")
        value = self._add(
            "Conv",
            [value, weight],
            f"{name}.out",
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[size // 2] * 4,
        )
        statistics = [
            self._store(make(0.5, 0.1, given).astype(np.float32) ** 2, f"{name}.bn.{part}")
            for part, make in (
                ("weight", self._random.normal),
                ("bias", self._random.normal),
                ("mean", self._random.normal),
                ("variance", self._random.normal),
            )
        ]
        return self._add("BatchNormalization", [value, *statistics], f"{name}.normal")

    def _relu(self, value: str) -> str:
        return self._add("Relu", [value], f"{value}.relu")

    def _weight(self, shape: tuple[int, ...], fan_in: int, name: str) -> str:
        scale = np.float32(math.sqrt(2 / fan_in))
        return self._store(self._random.standard_normal(shape, dtype=np.float32) * scale, name)

    def _store(self, values: NDArray[np.float32], name: str) -> str:
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def _add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output
