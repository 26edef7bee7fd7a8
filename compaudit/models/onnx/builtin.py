"""A small model of our own, to find out what a machine does with any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["BATCH", "DESCRIPTION", "INPUT", "WIDTH", "write_model"]

INPUT = "x"
WIDTH = 512
BATCH = 64
_LAYERS = 4
DESCRIPTION = f"{_LAYERS} layers of {WIDTH} × {WIDTH} in float32, {BATCH} samples at once"


def write_model(path: Path) -> None:
    """Write it: matrix products with a ReLU after each, a few milliseconds on one core."""
    random = np.random.default_rng(0)
    nodes, weights, current = [], [], INPUT
    for layer in range(_LAYERS):
        # So scaled that values neither grow nor fade from layer to layer (He et al. 2015).
        scale = np.float32((2 / WIDTH) ** 0.5)
        values = random.standard_normal((WIDTH, WIDTH), np.float32) * scale
        weights.append(numpy_helper.from_array(values, f"weight_{layer}"))
        nodes.append(helper.make_node("MatMul", [current, f"weight_{layer}"], [f"product_{layer}"]))
        current = "y" if layer == _LAYERS - 1 else f"active_{layer}"
        nodes.append(helper.make_node("Relu", [f"product_{layer}"], [current]))
    graph = helper.make_graph(
        nodes,
        "noise",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", WIDTH])],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
