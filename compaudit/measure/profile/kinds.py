"""What an executed operator does, whichever runtime calls it by which name."""

from __future__ import annotations

import re
from enum import StrEnum

__all__ = ["WEIGHT_ONLY", "Kind", "kind_of"]


class Kind(StrEnum):
    """What the time of an operator is spent on."""

    QUANTIZE = "quantize"
    CAST = "cast"
    LAYOUT = "layout"
    TRANSFER = "transfer"
    INTEGER = "integer"
    FLOAT = "float"
    OTHER = "other"


WEIGHT_ONLY = re.compile(r"MatMulNBits|MatMulBnb4|MatMulFpQ4|_weight_int[48]pack_mm")
"""Integer weights that the operator itself turns into floats, or into int8 as it likes."""

_NAMES = {
    Kind.QUANTIZE: (
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "BFPQuantize"),
        *("DequantizeBFP", "QuantizeBFP", "DequantizeBnb4"),
    ),
    Kind.CAST: ("Cast", "CastLike", "aten::to", "aten::_to_copy"),
    Kind.LAYOUT: (
        *("Transpose", "ReorderInput", "ReorderOutput", "aten::contiguous", "aten::clone"),
        *("aten::to_mkldnn", "aten::to_dense"),
    ),
    Kind.TRANSFER: ("MemcpyFromHost", "MemcpyToHost"),
    Kind.INTEGER: (
        *("ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "MatMulInteger16"),
        *("DynamicQuantizeMatMul", "QLinearConv", "QLinearConvTranspose", "QLinearMatMul"),
        *("QGemm", "QAttention", "DynamicQuantizeLSTM", "QMoE", "NhwcQLinearConv"),
        *("aten::_int_mm", "aten::quantized_lstm", "aten::quantized_gru"),
    ),
    Kind.FLOAT: (
        *("Conv", "FusedConv", "NhwcFusedConv", "ConvTranspose", "ConvTransposeWithDynamicPads"),
        *("Gemm", "FusedGemm", "MatMul", "FusedMatMul", "FusedMatMulActivation"),
        *("TransposeMatMul", "GemmFloat8", "GemmFastGelu", "SparseToDenseMatMul", "Einsum"),
        *("LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "GroupQueryAttention"),
        *("aten::convolution", "aten::_convolution", "aten::linear", "aten::matmul", "aten::mm"),
        *("aten::addmm", "aten::bmm", "aten::baddbmm", "aten::einsum", "aten::lstm", "aten::gru"),
        *("aten::rnn_tanh", "aten::rnn_relu", "aten::scaled_dot_product_attention"),
        "aten::bilinear",
    ),
}
_KINDS = {name: kind for kind, names in _NAMES.items() for name in names}

# In the order in which they are asked.
_PATTERNS = (
    (Kind.QUANTIZE, re.compile(r"(::|_)(fake_)?(de)?quantize")),
    (Kind.INTEGER, WEIGHT_ONLY),
    (Kind.INTEGER, re.compile(r"^(quantized|onednn)::q?(conv|linear|lstm|gru|matmul)")),
    (Kind.FLOAT, re.compile(r"^aten::(\w+_)?conv(olution|(_transpose)?[123]d)$")),
)


def kind_of(op: str) -> Kind:
    """What an operator does; ``other`` where no table knows it."""
    op = op.removeprefix("nchwc.")
    known = _KINDS.get(op)
    if known is not None:
        return known
    return next((kind for kind, pattern in _PATTERNS if pattern.search(op)), Kind.OTHER)
