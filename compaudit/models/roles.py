"""What a stored tensor is for: one published table of (operator, input slot).

A tensor's role is that of the operator that finally computes with it, seen through operators that
only carry it there (a cast, a transpose, a DequantizeLinear). What no line here covers is
``unclassified``: listed in the report, outside the parameter count, never guessed.
"""

from __future__ import annotations

from compaudit.models.base import Role

__all__ = [
    "ANY",
    "ATTRIBUTES",
    "CARRIERS",
    "ELEMENT_WISE",
    "LOOKUPS",
    "SLOTS",
    "STRENGTH",
    "canonical_domain",
    "carried_slots",
    "role_of_attribute",
    "role_of_input",
]

WEIGHT, BIAS, BUFFER = Role.WEIGHT, Role.BIAS, Role.BUFFER
QUANTIZATION, CONSTANT, UNCLASSIFIED = Role.QUANTIZATION, Role.CONSTANT, Role.UNCLASSIFIED

ANY = -1
"""Every slot that is not listed."""

Slots = tuple[int, ...]

MICROSOFT = "com.microsoft"
LEARNING = "ai.onnx.ml"

STRENGTH = (WEIGHT, BIAS, BUFFER, QUANTIZATION, UNCLASSIFIED, CONSTANT)
"""Used in several ways, a tensor has the first of these."""


def _slots(
    weight: Slots = (),
    bias: Slots = (),
    buffer: Slots = (),
    quantization: Slots = (),
    constant: Slots = (),
    unclassified: Slots = (),
    rest: Role | None = None,
) -> dict[int, Role]:
    """One line of the table: the slots of each role, and the role of all others."""
    return {
        **dict.fromkeys(weight, WEIGHT),
        **dict.fromkeys(bias, BIAS),
        **dict.fromkeys(buffer, BUFFER),
        **dict.fromkeys(quantization, QUANTIZATION),
        **dict.fromkeys(constant, CONSTANT),
        **dict.fromkeys(unclassified, UNCLASSIFIED),
        **({} if rest is None else {ANY: rest}),
    }


SLOTS: dict[tuple[str, str], dict[int, Role]] = {
    # convolutions and matrix products
    ("", "Conv"): _slots(weight=(1,), bias=(2,)),
    ("", "ConvTranspose"): _slots(weight=(1,), bias=(2,)),
    ("", "DeformConv"): _slots(weight=(1,), bias=(3,)),
    ("", "CausalConvWithState"): _slots(weight=(1,), bias=(2,), buffer=(3,)),
    ("", "Gemm"): _slots(weight=(0, 1), bias=(2,)),
    ("", "MatMul"): _slots(weight=(0, 1)),
    ("", "Einsum"): _slots(rest=WEIGHT),
    (MICROSOFT, "FusedConv"): _slots(weight=(1,), bias=(2,)),
    (MICROSOFT, "NhwcFusedConv"): _slots(weight=(1,), bias=(2,)),
    (MICROSOFT, "NhwcConv"): _slots(weight=(1,), bias=(2,)),
    (MICROSOFT, "ConvTransposeWithDynamicPads"): _slots(weight=(1,), bias=(3,), constant=(2,)),
    (MICROSOFT, "FusedGemm"): _slots(weight=(0, 1), bias=(2,)),
    (MICROSOFT, "FusedMatMul"): _slots(weight=(0, 1)),
    (MICROSOFT, "TransposeMatMul"): _slots(weight=(0, 1)),
    (MICROSOFT, "GemmFastGelu"): _slots(weight=(1,), bias=(2,)),
    (MICROSOFT, "FusedMatMulActivation"): _slots(weight=(0, 1)),
    (MICROSOFT, "MoE"): _slots(weight=(2, 4, 6), bias=(3, 5, 7)),
    # their quantised forms
    ("", "ConvInteger"): _slots(weight=(1,), quantization=(2, 3)),
    ("", "MatMulInteger"): _slots(weight=(0, 1), quantization=(2, 3)),
    ("", "QLinearConv"): _slots(weight=(3,), bias=(8,), unclassified=(0,), rest=QUANTIZATION),
    ("", "QLinearMatMul"): _slots(weight=(0, 3), rest=QUANTIZATION),
    (MICROSOFT, "QLinearConv"): _slots(
        weight=(3,), bias=(8,), unclassified=(0,), rest=QUANTIZATION
    ),
    (MICROSOFT, "QGemm"): _slots(weight=(0, 3), bias=(6,), rest=QUANTIZATION),
    (MICROSOFT, "MatMulInteger16"): _slots(weight=(0, 1)),
    (MICROSOFT, "MatMulIntegerToFloat"): _slots(weight=(0, 1), bias=(6,), rest=QUANTIZATION),
    (MICROSOFT, "DynamicQuantizeMatMul"): _slots(weight=(1,), bias=(4,), quantization=(2, 3)),
    (MICROSOFT, "MatMulNBits"): _slots(
        weight=(1,), bias=(5,), unclassified=(0,), rest=QUANTIZATION
    ),
    (MICROSOFT, "MatMulBnb4"): _slots(weight=(1,), quantization=(2,)),
    (MICROSOFT, "GemmFloat8"): _slots(weight=(0, 1), bias=(2,), rest=QUANTIZATION),
    (MICROSOFT, "QMoE"): _slots(
        weight=(2, 5, 8), bias=(4, 7, 10), quantization=(3, 6, 9, 11, 12, 13)
    ),
    # embeddings
    (MICROSOFT, "GatherBlockQuantized"): _slots(weight=(0,), constant=(1,), rest=QUANTIZATION),
    (MICROSOFT, "EmbedLayerNormalization"): _slots(
        weight=(2, 3, 4, 5), bias=(6,), constant=(0, 1), rest=CONSTANT
    ),
    (MICROSOFT, "QEmbedLayerNormalization"): _slots(
        weight=(2, 3, 4, 5), bias=(6,), constant=(0, 1, 7), rest=QUANTIZATION
    ),
    # attention
    (MICROSOFT, "Attention"): _slots(weight=(1, 5), bias=(2,), constant=(3,)),
    (MICROSOFT, "QAttention"): _slots(
        weight=(1,), bias=(2,), quantization=(3, 4, 6, 7), constant=(5,)
    ),
    (MICROSOFT, "MultiHeadAttention"): _slots(weight=(5,), bias=(3,), constant=(4,)),
    (MICROSOFT, "DecoderMaskedMultiHeadAttention"): _slots(weight=(4,), bias=(10,), constant=(3,)),
    (MICROSOFT, "PackedAttention"): _slots(weight=(1, 5), bias=(2,), constant=(3, 4)),
    (MICROSOFT, "PackedMultiHeadAttention"): _slots(weight=(6,), bias=(3,), constant=(4, 5)),
    (MICROSOFT, "GroupQueryAttention"): _slots(buffer=(7, 8), constant=(5, 6)),
    (MICROSOFT, "RotaryEmbedding"): _slots(buffer=(2, 3), constant=(1,)),
    (MICROSOFT, "RelativePositionBias"): _slots(weight=(0,), constant=(1, 2)),
    (MICROSOFT, "GatedRelativePositionBias"): _slots(weight=(3, 5), bias=(1, 4)),
    ("", "Attention"): _slots(buffer=(4, 5), constant=(3,)),
    ("", "RotaryEmbedding"): _slots(buffer=(1, 2), constant=(3,)),
    # normalisation and activations with parameters
    ("", "BatchNormalization"): _slots(weight=(1,), bias=(2,), buffer=(3, 4)),
    ("", "InstanceNormalization"): _slots(weight=(1,), bias=(2,)),
    ("", "LayerNormalization"): _slots(weight=(1,), bias=(2,)),
    ("", "GroupNormalization"): _slots(weight=(1,), bias=(2,)),
    ("", "RMSNormalization"): _slots(weight=(1,)),
    ("", "SimplifiedLayerNormalization"): _slots(weight=(1,)),
    ("", "PRelu"): _slots(weight=(1,)),
    (MICROSOFT, "LayerNormalization"): _slots(weight=(1,), bias=(2,)),
    (MICROSOFT, "SimplifiedLayerNormalization"): _slots(weight=(1,)),
    (MICROSOFT, "SkipLayerNormalization"): _slots(weight=(2,), bias=(3, 4)),
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): _slots(weight=(2,), bias=(3,)),
    (MICROSOFT, "GroupNorm"): _slots(weight=(1,), bias=(2,)),
    (MICROSOFT, "SkipGroupNorm"): _slots(weight=(1,), bias=(2, 4)),
    (MICROSOFT, "BiasGelu"): _slots(bias=(1,)),
    (MICROSOFT, "FastGelu"): _slots(bias=(1,)),
    (MICROSOFT, "BiasAdd"): _slots(bias=(1,)),
    (MICROSOFT, "BiasSplitGelu"): _slots(bias=(1,)),
    (MICROSOFT, "BiasDropout"): _slots(bias=(1,), constant=(3, 4)),
    # recurrent networks
    ("", "LSTM"): _slots(weight=(1, 2, 7), bias=(3,), buffer=(5, 6), constant=(4,)),
    ("", "GRU"): _slots(weight=(1, 2), bias=(3,), buffer=(5,), constant=(4,)),
    ("", "RNN"): _slots(weight=(1, 2), bias=(3,), buffer=(5,), constant=(4,)),
    (MICROSOFT, "DynamicQuantizeLSTM"): _slots(
        weight=(1, 2, 7), bias=(3,), buffer=(5, 6), quantization=(8, 9, 10, 11), constant=(4,)
    ),
    (MICROSOFT, "AttnLSTM"): _slots(
        weight=(1, 2, 7, 8, 9, 10, 13), bias=(3,), buffer=(5, 6), constant=(4,)
    ),
    # quantisation itself
    ("", "QuantizeLinear"): _slots(quantization=(1, 2)),
    ("", "DequantizeLinear"): _slots(quantization=(1, 2)),
    (MICROSOFT, "QuantizeLinear"): _slots(quantization=(1, 2)),
    (MICROSOFT, "DequantizeLinear"): _slots(quantization=(1, 2)),
    (MICROSOFT, "DequantizeBFP"): _slots(weight=(0,), rest=QUANTIZATION),
    (MICROSOFT, "QLinearAdd"): _slots(bias=(0, 3), rest=QUANTIZATION),
    (MICROSOFT, "QLinearMul"): _slots(weight=(0, 3), rest=QUANTIZATION),
    (MICROSOFT, "QLinearConcat"): _slots(rest=QUANTIZATION),
    (MICROSOFT, "QLinearWhere"): _slots(constant=(0, 1, 4), rest=QUANTIZATION),
    **{
        (MICROSOFT, op): _slots(unclassified=(0,), rest=QUANTIZATION)
        for op in (
            *("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearLeakyRelu"),
            *("QLinearSigmoid", "QLinearSoftmax", "QLinearReduceMean"),
        )
    },
    # shapes, axes, indices, bounds, masks: never learned
    **{
        ("", op): _slots(unclassified=(0,), rest=CONSTANT)
        for op in (
            *("Reshape", "Slice", "Split", "SplitToSequence", "Squeeze", "Unsqueeze"),
            *("Expand", "Tile", "Pad", "Resize", "Upsample", "CenterCropPad", "Flatten"),
            *("Clip", "Dropout", "Cast", "CastLike", "Trilu", "CumSum", "CumProd", "TopK"),
            *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceL1"),
            *("ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "ReverseSequence"),
            *("SequenceAt", "SequenceErase", "MaxUnpool", "DFT", "STFT", "Col2Im", "GridSample"),
            *("Gather", "GatherElements", "GatherND", "Compress", "AffineGrid", "Unique"),
            *("BitShift", "Scatter", "ScatterElements", "ScatterND", "TensorScatter"),
        )
    },
    **{
        ("", op): _slots(rest=CONSTANT)
        for op in (
            *("Where", "Range", "OneHot", "ConstantOfShape", "EyeLike", "NonMaxSuppression"),
            *("RoiAlign", "MaxRoiPool", "MelWeightMatrix", "BlackmanWindow", "HammingWindow"),
            *("HannWindow", "Pow", "Mod", "Min", "Max", "Equal", "Greater", "GreaterOrEqual"),
            *("Less", "LessOrEqual", "And", "Or", "Xor", "Not", "BitwiseAnd", "BitwiseOr"),
            *(
                "BitwiseXor",
                "BitwiseNot",
                "Shape",
                "Size",
                "NonZero",
                "IsNaN",
                "IsInf",
                "Bernoulli",
            ),
            *("If", "Loop", "Scan", "RandomNormalLike", "RandomUniformLike", "ImageDecoder"),
            *("StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch"),
            *("TfIdfVectorizer", "Multinomial"),
        )
    },
    ("", "SequenceInsert"): _slots(constant=(2,)),
    # classical models (ai.onnx.ml) keep their numbers in attributes, see ATTRIBUTES
    (LEARNING, "ArrayFeatureExtractor"): _slots(constant=(1,)),
}

# An operand with more than one real element is a parameter (a bias or a scale written out); a
# single number is a constant (the 0.5 of a GELU), and so are integers (they compute shapes).
ELEMENT_WISE: dict[str, Role] = {
    "Add": BIAS,
    "Sub": BIAS,
    "Mul": WEIGHT,
    "Div": WEIGHT,
    "Sum": BIAS,
}

# Reading rows of a table of real numbers is an embedding; a table of integers is a constant.
LOOKUPS: dict[tuple[str, str], Role] = {
    ("", "Gather"): WEIGHT,
    ("", "GatherElements"): WEIGHT,
    ("", "GatherND"): WEIGHT,
}

# Operators that hand the values of these input slots on: their consumers give the role.
CARRIERS: dict[tuple[str, str], tuple[int, ...]] = {
    ("", "Concat"): (ANY,),
    ("", "Identity"): (0,),
    ("", "Cast"): (0,),
    ("", "CastLike"): (0,),
    ("", "BitCast"): (0,),
    ("", "Transpose"): (0,),
    ("", "Reshape"): (0,),
    ("", "Flatten"): (0,),
    ("", "Squeeze"): (0,),
    ("", "Unsqueeze"): (0,),
    ("", "Expand"): (0,),
    ("", "Tile"): (0,),
    ("", "Slice"): (0,),
    ("", "Split"): (0,),
    ("", "Pad"): (0,),
    ("", "Clip"): (0,),
    ("", "Dropout"): (0,),
    ("", "Trilu"): (0,),
    ("", "Neg"): (0,),
    ("", "Abs"): (0,),
    ("", "Exp"): (0,),
    ("", "Log"): (0,),
    ("", "Sqrt"): (0,),
    ("", "Reciprocal"): (0,),
    ("", "Sigmoid"): (0,),
    ("", "Softplus"): (0,),
    ("", "Tanh"): (0,),
    ("", "QuantizeLinear"): (0,),
    ("", "DequantizeLinear"): (0,),
    (MICROSOFT, "QuantizeLinear"): (0,),
    (MICROSOFT, "DequantizeLinear"): (0,),
}

# Tensors and lists of numbers that stand in a node's attributes.
ATTRIBUTES: dict[tuple[str, str], dict[str, Role]] = {
    (LEARNING, "LinearClassifier"): {"coefficients": WEIGHT, "intercepts": BIAS},
    (LEARNING, "LinearRegressor"): {"coefficients": WEIGHT, "intercepts": BIAS},
    (LEARNING, "Scaler"): {"scale": WEIGHT, "offset": BIAS},
    (LEARNING, "SVMClassifier"): {
        "coefficients": WEIGHT,
        "support_vectors": WEIGHT,
        "rho": BIAS,
        "prob_a": WEIGHT,
        "prob_b": BIAS,
    },
    (LEARNING, "SVMRegressor"): {"coefficients": WEIGHT, "support_vectors": WEIGHT, "rho": BIAS},
    (LEARNING, "TreeEnsembleClassifier"): {
        "nodes_values": WEIGHT,
        "nodes_values_as_tensor": WEIGHT,
        "nodes_hitrates_as_tensor": CONSTANT,
        "class_weights": WEIGHT,
        "class_weights_as_tensor": WEIGHT,
        "base_values": BIAS,
        "base_values_as_tensor": BIAS,
    },
    (LEARNING, "TreeEnsembleRegressor"): {
        "nodes_values": WEIGHT,
        "nodes_values_as_tensor": WEIGHT,
        "nodes_hitrates_as_tensor": CONSTANT,
        "target_weights": WEIGHT,
        "target_weights_as_tensor": WEIGHT,
        "base_values": BIAS,
        "base_values_as_tensor": BIAS,
    },
    (LEARNING, "TreeEnsemble"): {
        "nodes_splits": WEIGHT,
        "leaf_weights": WEIGHT,
        "membership_values": CONSTANT,
        "nodes_modes": CONSTANT,
        "nodes_hitrates": CONSTANT,
    },
    (LEARNING, "LabelEncoder"): {
        "keys_tensor": CONSTANT,
        "values_tensor": CONSTANT,
        "default_tensor": CONSTANT,
    },
}


def canonical_domain(domain: str) -> str:
    """The empty domain has a second spelling, ``ai.onnx``."""
    return "" if domain == "ai.onnx" else domain


def carried_slots(domain: str, op: str, inputs: int) -> frozenset[int]:
    """The input slots that this operator hands on to its outputs unchanged in meaning."""
    slots = CARRIERS.get((canonical_domain(domain), op), ())
    return frozenset(range(inputs) if ANY in slots else slots)


def role_of_input(domain: str, op: str, slot: int, *, real: bool, many: bool) -> Role:
    """The role of a tensor that stands in this input slot.

    Args:
        domain: the operator's domain.
        op: the operator's name.
        slot: the input's position.
        real: whether it holds real numbers there (floating point, or dequantised to it).
        many: whether it has more than one element.
    """
    key = (canonical_domain(domain), op)
    if key[0] == "" and op in ELEMENT_WISE:
        return ELEMENT_WISE[op] if real and many else CONSTANT
    if slot == 0 and key in LOOKUPS:
        return LOOKUPS[key] if real and many else CONSTANT
    slots = SLOTS.get(key, {})
    return slots.get(slot, slots.get(ANY, UNCLASSIFIED))


def role_of_attribute(domain: str, op: str, attribute: str) -> Role:
    """The role of a tensor or a list of numbers that stands in this attribute."""
    return ATTRIBUTES.get((canonical_domain(domain), op), {}).get(attribute, UNCLASSIFIED)
