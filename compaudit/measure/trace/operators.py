"""What operators do to the values that are traced, of ONNX and of exported PyTorch programs."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ACTIVATIONS",
    "CARRIES_CODES",
    "CODES",
    "INTEGER",
    "NORMALISATIONS",
    "NO_NUMBERS",
    "NUMBERLESS",
    "UNCHANGED",
]

ACTIVATIONS = frozenset(
    (
        *("Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish"),
        *("Elu", "Selu", "Celu", "Gelu", "Mish", "Softplus", "Softsign", "ThresholdedRelu"),
        *("Swish", "FastGelu", "QuickGelu", "BiasGelu", "QLinearSigmoid", "QLinearLeakyRelu"),
        *("aten.relu.default", "aten.relu_.default", "aten.hardtanh.default", "aten.gelu.default"),
        *("aten.silu.default", "aten.silu_.default", "aten.sigmoid.default", "aten.tanh.default"),
        *("aten.hardswish.default", "aten.leaky_relu.default", "aten.elu.default"),
    )
)
UNCHANGED = frozenset(
    (
        *("Identity", "Cast", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"),
        *("Dropout", "QuantizeLinear", "DequantizeLinear", "Expand"),
        *("aten.view.default", "aten.reshape.default", "aten.flatten.using_ints"),
        *("aten.permute.default", "aten.transpose.int", "aten.squeeze.dim", "aten.t.default"),
        *("aten.unsqueeze.default", "aten.clone.default", "aten.detach.default"),
        *("aten.dropout.default", "aten.contiguous.default", "aten.alias.default"),
        *("aten.to.dtype", "aten._to_copy.default", "aten.expand.default"),
    )
)
"""What moves numbers or writes them otherwise: its result says nothing that its input does not."""
NUMBERLESS = frozenset(
    (
        *("Shape", "Size", "NonZero", "ArgMax", "ArgMin", "Equal", "Greater", "Less", "Not", "And"),
        *("Or", "Xor", "GreaterOrEqual", "LessOrEqual", "IsNaN", "IsInf", "NonMaxSuppression"),
        *("SequenceConstruct", "SequenceEmpty", "SplitToSequence", "SequenceInsert", "Optional"),
        *(
            "SequenceErase",
            "SequenceMap",
            "TfIdfVectorizer",
            "StringNormalizer",
            "aten.sym_size.int",
        ),
    )
)
"""Gives sizes, places, conditions or lists, which are no signal."""
NO_NUMBERS = ("int", "uint", "bool", "string", "sequence", "optional", "map", "sparse")
NORMALISATIONS = frozenset(
    (
        *("BatchNormalization", "aten.batch_norm.default", "aten.native_batch_norm.default"),
        "aten._native_batch_norm_legit_no_training.default",
    )
)
"""What exporters fold into the layer in front of it."""
INTEGER = frozenset(("ConvInteger", "MatMulInteger"))
CODES: Mapping[tuple[str, str], tuple[int, int]] = {
    ("", "QLinearConv"): (6, 7),
    ("com.microsoft", "QLinearConv"): (6, 7),
    ("", "QLinearMatMul"): (6, 7),
    ("com.microsoft", "QLinearAdd"): (6, 7),
    ("com.microsoft", "QLinearMul"): (6, 7),
    ("com.microsoft", "QGemm"): (7, 8),
    ("com.microsoft", "QLinearConcat"): (0, 1),
    ("com.microsoft", "QLinearAveragePool"): (3, 4),
    ("com.microsoft", "QLinearGlobalAveragePool"): (3, 4),
    ("com.microsoft", "QLinearLeakyRelu"): (3, 4),
    ("com.microsoft", "QLinearSigmoid"): (3, 4),
    ("com.microsoft", "QLinearSoftmax"): (3, 4),
    ("", "QuantizeLinear"): (1, 2),
}
"""Operators that give codes: the slots of the scale and of the zero point of what they give."""
CARRIES_CODES = frozenset(
    ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Resize", "Identity")
)
