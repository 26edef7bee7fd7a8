"""Small models: `kit.write(...)` saves one, `kit.read(path)` reads it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from compaudit.models.base import Model, Runner, RunSettings, Source, Tensor
from compaudit.models.onnx.format import OnnxFormat

OPSETS = (("", 21), ("com.microsoft", 1), ("ai.onnx.ml", 3), ("local", 1))


class Kit:
    """What most tests here need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self,
        nodes: Sequence[onnx.NodeProto],
        initializers: Sequence[onnx.TensorProto] = (),
        *,
        inputs: Sequence[onnx.ValueInfoProto] | None = None,
        outputs: Sequence[onnx.ValueInfoProto] | None = None,
        sparse: Sequence[onnx.SparseTensorProto] = (),
        name: str = "model.onnx",
        opset: int = 21,
        **fields: Any,
    ) -> Path:
        """Save a model of these nodes; its input is x, its output y."""
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            list(nodes),
            "g",
            [info("x", 1, ["n", 3])] if inputs is None else list(inputs),
            [info("y", 1, None)] if outputs is None else list(outputs),
            list(initializers),
            sparse_initializer=list(sparse),
        )
        opsets = [helper.make_opsetid("", opset)]
        opsets += [helper.make_opsetid(*other) for other in OPSETS[1:]]
        model = helper.make_model(graph, ir_version=10, opset_imports=opsets, **fields)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path

    def source(self, path: Path) -> Source:
        return Source(str(path), "onnx", path=str(path))

    def read(self, path: Path) -> Model:
        return OnnxFormat().read(self.source(path))

    def load(self, path: Path, **settings: Any) -> Runner:
        return OnnxFormat().load(self.source(path), RunSettings(**settings))

    def tensors(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Write, read, check that the bytes add up, and give the tensors by name."""
        model = self.read(self.write(*args, **kwargs))
        self.check_bytes(model)
        return {tensor.name: tensor for tensor in model.tensors}

    def check_bytes(self, model: Model) -> None:
        shipped = sum(path.stat().st_size for path in model.files)
        assert 0 <= sum(tensor.bytes for tensor in model.tensors) <= shipped

    def values(self, tensor: Tensor) -> np.ndarray:
        assert tensor.values is not None
        return np.concatenate(list(tensor.values()))

    def nonzeros(self, tensor: Tensor) -> int:
        """Elements that are not the zero point: per tensor, per channel or blocked."""
        codes = self.values(tensor).reshape(tensor.shape).astype(np.int64)
        point = tensor.quantization.zero_point if tensor.quantization else None
        if point is None:
            return int(np.count_nonzero(codes))
        zero = point.numbers.astype(np.int64)
        for axis, group in enumerate(point.groups or ()):
            zero = zero.repeat(group, axis).take(range(codes.shape[axis]), axis)
        return int(np.count_nonzero(codes != zero))


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)
