"""What operators do, by the names that the two runtimes give them."""

import pytest

from compaudit.measure.profile.kinds import Kind, kind_of


@pytest.mark.parametrize(
    ("kind", "ops"),
    [
        (
            Kind.QUANTIZE,
            "QuantizeLinear DequantizeLinear DynamicQuantizeLinear aten::quantize_per_tensor "
            "aten::dequantize quantized_decomposed::quantize_per_channel "
            "torchao::dequantize_affine aten::fake_quantize_per_tensor_affine",
        ),
        (Kind.CAST, "Cast aten::to aten::_to_copy"),
        (Kind.LAYOUT, "Transpose ReorderInput ReorderOutput aten::contiguous aten::clone"),
        (Kind.TRANSFER, "MemcpyFromHost MemcpyToHost"),
        (
            Kind.INTEGER,
            "ConvInteger MatMulInteger QLinearConv QGemm DynamicQuantizeMatMul MatMulNBits "
            "quantized::linear_dynamic quantized::conv2d_relu onednn::qlinear_pointwise "
            "onednn::qconv2d_pointwise aten::_int_mm aten::_weight_int4pack_mm_for_cpu",
        ),
        (
            Kind.FLOAT,
            "Conv nchwc.Conv FusedConv Gemm FusedGemm MatMul FusedMatMul LSTM Attention "
            "aten::conv2d aten::conv1d aten::conv_transpose2d aten::convolution "
            "aten::mkldnn_convolution aten::linear aten::addmm aten::bmm",
        ),
        (Kind.OTHER, "Relu nchwc.MaxPool Add Mul aten::relu aten::convert_nothing quantized::add"),
    ],
)
def test_kinds(kind: Kind, ops: str) -> None:
    assert {op: kind_of(op) for op in ops.split()} == dict.fromkeys(ops.split(), kind)
