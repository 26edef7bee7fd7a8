"""The models made from ``digits.onnx`` without training: int8, int4, fp16, and two bad ones."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from digits_data import Images
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

CALIBRATION_BATCH = 64
INT4_BLOCK = 32
WRECKED_LAYER = "stages.0.0.conv"
WRECKING_FACTOR = 32.0


class TrainingImages(CalibrationDataReader):  # type: ignore[misc]
    """Feeds the training half, and only that, to onnxruntime's calibration."""

    def __init__(self, data: Images) -> None:
        self._batches: Iterator[NDArray[np.float32]] = (
            batch.numpy() for batch in torch.split(data.image, CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch, or None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


def quantize_int8(source: Path, path: Path, data: Images) -> None:
    """Quantise statically, as QDQ: activations uint8 per tensor, weights int8 per channel.

    Weights use 7 of their 8 bits: on x86 processors without VNNI onnxruntime's uint8 x int8 kernels
    saturate at 16 bits, and the accuracy would depend on the machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        folded = _fold_batchnorm(source, Path(folder))
        quantize_static(
            folded,
            path,
            TrainingImages(data),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def quantize_dynamic_int8(source: Path, path: Path) -> None:
    """Store weights as uint8, and let every run quantise its activations anew.

    Unsigned, because older releases of onnxruntime have no ConvInteger for int8 weights on CPU
    (https://github.com/microsoft/onnxruntime/issues/15888).
    """
    with tempfile.TemporaryDirectory() as folder:
        folded = _fold_batchnorm(source, Path(folder))
        quantize_dynamic(folded, path, weight_type=QuantType.QUInt8, reduce_range=True)


def convert_fp16(source: Path, path: Path) -> None:
    """Convert weights and arithmetic to float16; input and output stay float32."""
    model = ONNXModel(convert_float_to_float16(onnx.load(source), keep_io_types=True))
    model.topological_sort()  # the converter appends its casts at the end, which ONNX forbids
    onnx.save(model.model, path)


def quantize_int4(source: Path, path: Path) -> None:
    """Make dense layers MatMulNBits, symmetric, one scale per 32 weights; convolutions stay."""
    model = onnx.load(source)
    _gemm_to_matmul(model)
    quantizer = MatMulNBitsQuantizer(model, bits=4, block_size=INT4_BLOCK, is_symmetric=True)
    quantizer.process()
    onnx.save(quantizer.model.model, path)


def fake_int8(source: Path, path: Path) -> None:
    """Send every weight through QuantizeLinear and DequantizeLinear; the file keeps it float32."""
    model = onnx.load(source)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            nodes += _quantize_dequantize(model, weights[node.input[1]])
            node.input[1] = nodes[-1].output[0]
        nodes.append(node)
    _replace_nodes(model, nodes)
    onnx.save(model, path)


def wreck_int8(source: Path, path: Path) -> None:
    """Multiply the weight scales of one layer of the int8 model, so that its outputs saturate.

    The bias scale is input scale x weight scale by convention, and runtimes rely on it: both are
    multiplied, so that the model is equally wrong at every optimisation level.
    """
    model = onnx.load(source)
    scales = {
        node.input[1]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and _belongs_to(node, WRECKED_LAYER)
    }
    for tensor in model.graph.initializer:
        if tensor.name in scales:
            wrecked = numpy_helper.to_array(tensor) * np.float32(WRECKING_FACTOR)
            tensor.CopyFrom(numpy_helper.from_array(wrecked, tensor.name))
    onnx.save(model, path)


def _fold_batchnorm(source: Path, folder: Path) -> Path:
    """Fold BatchNorm into the convolutions, which is no longer possible once they are int8."""
    folded = folder / "folded.onnx"
    quant_pre_process(source, folded)
    return folded


def _gemm_to_matmul(model: ModelProto) -> None:
    """Turn Gemm(x, W[out, in], b) into MatMul(x, W[in, out]) + b: MatMulNBits replaces no Gemm."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Gemm":
            nodes.append(node)
            continue
        features, weight, bias = node.input
        transposed = np.ascontiguousarray(numpy_helper.to_array(weights[weight]).T)
        weights[weight].CopyFrom(numpy_helper.from_array(transposed, weight))
        layer = node.name.removesuffix("/Gemm")
        product = f"{layer}/MatMul_output_0"
        nodes += [
            helper.make_node("MatMul", [features, weight], [product], f"{layer}/MatMul"),
            helper.make_node("Add", [product, bias], list(node.output), f"{layer}/Add"),
        ]
    _replace_nodes(model, nodes)


def _quantize_dequantize(model: ModelProto, weight: TensorProto) -> list[NodeProto]:
    """Make the two nodes behind a weight [out, ...], int8 per channel, and add their scales."""
    name = weight.name
    channels = np.abs(numpy_helper.to_array(weight)).reshape(weight.dims[0], -1)
    scale = channels.max(1) / np.float32(127)
    zero_point = np.zeros(len(scale), np.int8)
    parameters = [f"{name}_scale", f"{name}_zero_point"]
    for array, parameter in zip((scale, zero_point), parameters, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(array, parameter))
    inputs, nodes = [name, *parameters], []
    for operator in ("QuantizeLinear", "DequantizeLinear"):
        output = f"{name}_{operator}_output"
        nodes.append(helper.make_node(operator, inputs, [output], f"{name}_{operator}", axis=0))
        inputs = [output, *parameters]
    return nodes


def _belongs_to(node: NodeProto, layer: str) -> bool:
    """Tell whether a DequantizeLinear restores the weight or bias of a layer."""
    block = layer.removesuffix(".conv")
    return any(f"{block}.{part}" in node.input[0] for part in ("conv.weight", "norm.bias"))


def _replace_nodes(model: ModelProto, nodes: list[NodeProto]) -> None:
    del model.graph.node[:]
    model.graph.node.extend(nodes)
