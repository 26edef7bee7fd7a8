"""Which operation takes how many multiply-accumulates: one table of (domain, operator) → rule.

"None at all" is a rule too (`nothing`): the operators listed under it are known to contract nothing
with anything. What neither table has is uncounted, and is said to be so.
"""

from __future__ import annotations

from compaudit.measure.macs.contractions import (
    attention,
    attention_of_projections,
    by_blocks,
    convolution,
    deconvolution,
    einsum,
    gemm,
    grouped_attention,
    head_attention,
    linear,
    matmul,
    nothing,
    packed_matmul,
    recurrence,
    support_vectors,
    torch_bilinear,
    torch_convolution,
    torch_encoder_layer,
    torch_projected_attention,
    torch_recurrence,
    torch_scores,
)
from compaudit.measure.macs.operands import Rule

__all__ = ["CARRIERS", "RULES", "may_contract", "operator_key", "operator_name", "rule_of"]

MICROSOFT = "com.microsoft"
LEARNING = "ai.onnx.ml"
TORCH = "torch"

Key = tuple[str, str]


_CONTRACTIONS: dict[Key, Rule] = {
    # convolutions
    ("", "Conv"): convolution(),
    ("", "ConvInteger"): convolution(),
    ("", "QLinearConv"): convolution(weight=3),
    ("", "DeformConv"): convolution(),
    ("", "CausalConvWithState"): convolution(),
    ("", "ConvTranspose"): deconvolution(),
    (MICROSOFT, "FusedConv"): convolution(),
    (MICROSOFT, "NhwcConv"): convolution(),
    (MICROSOFT, "NhwcFusedConv"): convolution(),
    (MICROSOFT, "QLinearConv"): convolution(weight=3),
    (MICROSOFT, "CausalConvWithState"): convolution(),
    (MICROSOFT, "ConvTransposeWithDynamicPads"): deconvolution(),
    # matrix products
    ("", "Gemm"): gemm(),
    (MICROSOFT, "FusedGemm"): gemm(),
    (MICROSOFT, "GemmFloat8"): gemm(),
    (MICROSOFT, "QGemm"): gemm(right=3),
    ("", "MatMul"): matmul(),
    ("", "MatMulInteger"): matmul(),
    ("", "QLinearMatMul"): matmul(right=3),
    (MICROSOFT, "FusedMatMul"): matmul(),
    (MICROSOFT, "TransposeMatMul"): matmul(),
    (MICROSOFT, "FusedMatMulActivation"): matmul(),
    (MICROSOFT, "GemmFastGelu"): matmul(),
    (MICROSOFT, "MatMulInteger16"): matmul(),
    (MICROSOFT, "DynamicQuantizeMatMul"): matmul(),
    (MICROSOFT, "MatMulIntegerToFloat"): matmul(),
    (MICROSOFT, "MatMulNBits"): by_blocks,
    (MICROSOFT, "MatMulBnb4"): by_blocks,
    (MICROSOFT, "MatMulFpQ4"): matmul(),
    ("", "Einsum"): einsum,
    # attention
    ("", "Attention"): attention,
    (MICROSOFT, "Attention"): attention_of_projections(past=4),
    (MICROSOFT, "QAttention"): attention_of_projections(past=8),
    (MICROSOFT, "MultiHeadAttention"): head_attention,
    (MICROSOFT, "GroupQueryAttention"): grouped_attention,
    # recurrent networks
    ("", "LSTM"): recurrence,
    ("", "GRU"): recurrence,
    ("", "RNN"): recurrence,
    (MICROSOFT, "DynamicQuantizeLSTM"): recurrence,
    # classical models
    (LEARNING, "LinearClassifier"): support_vectors,
    (LEARNING, "LinearRegressor"): support_vectors,
    (LEARNING, "SVMClassifier"): support_vectors,
    (LEARNING, "SVMRegressor"): support_vectors,
    # torch, by the name without its overload
    **{
        (TORCH, f"aten.{op}"): convolution("weight")
        for op in (
            *("conv1d", "conv2d", "conv3d", "mkldnn_convolution", "cudnn_convolution"),
            *("_conv_depthwise2d", "conv_depthwise3d", "slow_conv3d", "thnn_conv2d"),
            *("_slow_conv2d_forward", "slow_conv_dilated2d", "miopen_convolution"),
        )
    },
    **{
        (TORCH, f"aten.conv_transpose{rank}d"): deconvolution("input", "weight")
        for rank in (1, 2, 3)
    },
    **{
        (TORCH, f"aten.{op}"): torch_convolution
        for op in ("convolution", "_convolution", "convolution_overrideable")
    },
    (TORCH, "aten.linear"): linear(),
    (TORCH, "aten.mkldnn_linear"): linear("self"),
    (TORCH, "mkldnn._linear_pointwise"): linear("X", "W"),
    (TORCH, "aten.matmul"): matmul("self", "other"),
    (TORCH, "aten.mm"): matmul("self", "mat2"),
    (TORCH, "aten._int_mm"): matmul("self", "mat2"),
    (TORCH, "aten._scaled_mm"): matmul("self", "mat2"),
    (TORCH, "aten.bmm"): matmul("self", "mat2"),
    (TORCH, "aten.mv"): matmul("self", "vec"),
    (TORCH, "aten.dot"): matmul("self", "tensor"),
    (TORCH, "aten.vdot"): matmul("self", "other"),
    (TORCH, "aten.inner"): linear("self", "other"),
    (TORCH, "aten.addmm"): matmul("mat1", "mat2"),
    (TORCH, "aten._addmm_activation"): matmul("mat1", "mat2"),
    (TORCH, "aten.addmv"): matmul("mat", "vec"),
    (TORCH, "aten.baddbmm"): matmul("batch1", "batch2"),
    (TORCH, "aten.einsum"): einsum,
    (TORCH, "aten._native_multi_head_attention"): torch_projected_attention,
    (TORCH, "aten._transformer_encoder_layer_fwd"): torch_encoder_layer,
    (TORCH, "aten.bilinear"): torch_bilinear,
    **{
        (TORCH, f"aten.{op}"): torch_scores
        for op in (
            "scaled_dot_product_attention",
            *("_scaled_dot_product_attention_math", "_scaled_dot_product_flash_attention"),
            *("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_cudnn_attention"),
            *("_scaled_dot_product_efficient_attention", "_scaled_dot_product_fused_attention"),
        )
    },
    **{
        (TORCH, f"aten.{op}"): torch_recurrence
        for op in (
            *("lstm", "gru", "rnn_tanh", "rnn_relu"),
            *("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell", "mkldnn_rnn_layer"),
        )
    },
    **{
        (TORCH, f"quantized.{op}"): packed_matmul
        for op in (
            *("linear", "linear_relu", "linear_leaky_relu", "linear_tanh"),
            *("linear_dynamic", "linear_relu_dynamic", "linear_dynamic_fp16"),
        )
    },
}

# Element by element, or a sum, a maximum, an ordering of what is there, or only another layout.
# Pooling, normalisation, interpolation and look-ups count nothing, as in every published figure.
_NOTHING: dict[str, str] = {
    "": """
        Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd
        BitwiseNot BitwiseOr
        BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater
        GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max
        Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink
        Sigmoid Sign Sin
        Sinh Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu Where Xor Dropout
        Affine ImageScaler ParametricSoftplus ScaledTanh
        BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization
        LpNormalization MeanVarianceNormalization RMSNormalization SimplifiedLayerNormalization
        Softmax LogSoftmax Hardmax NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss
        AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool MaxRoiPool MaxUnpool
        RoiAlign Resize Upsample GridSample AffineGrid RotaryEmbedding
        ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
        ReduceSum ReduceSumSquare ArgMax ArgMin CumProd CumSum TopK Unique NonZero NonMaxSuppression
        Constant ConstantOfShape EyeLike Range OneHot Shape Size RandomNormal RandomNormalLike
        RandomUniform RandomUniformLike Bernoulli Multinomial BlackmanWindow HammingWindow
        HannWindow
        MelWeightMatrix
        CenterCropPad Col2Im Compress Concat ConcatFromSequence Crop DepthToSpace Expand Flatten
        Gather GatherElements GatherND Pad Reshape ReverseSequence Scatter ScatterElements ScatterND
        Slice SpaceToDepth Split SplitToSequence Squeeze TensorScatter Tile Transpose
        Trilu Unsqueeze
        Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty
        SequenceErase SequenceInsert SequenceLength
        DequantizeLinear DynamicQuantizeLinear QuantizeLinear
        RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer
        """,
    MICROSOFT: """
        BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BitmaskBiasDropout BitmaskDropout
        ComplexMul ComplexMulConj FastGelu GatedAdd Gelu MulInteger QLinearAdd QLinearLeakyRelu
        QLinearMul QLinearSigmoid QLinearWhere QuickGelu ScaledSiLU SwiGLU
        GatedRMSNorm GroupNorm LayerNormalization QLinearSoftmax QOrderedGelu
        QOrderedLayerNormalization SimplifiedLayerNormalization SkipGroupNorm SkipLayerNormalization
        SkipSimplifiedLayerNormalization
        MaxpoolWithMask NhwcMaxPool QLinearAveragePool QLinearGlobalAveragePool QLinearReduceMean
        ReduceSumInteger CropAndResize GridSample GemmaRotaryEmbedding MRotaryEmbedding
        RotaryEmbedding
        EmbedLayerNormalization GatherBlockQuantized GatherND GatherPacked QEmbedLayerNormalization
        RelativePositionBias TorchEmbedding
        DequantizeBFP DequantizeLinear DequantizeWithOrder QuantizeBFP QuantizeLinear
        QuantizeWithOrder
        ExpandDims IsAllFinite Pad QLinearConcat Range RemovePadding RestorePadding Trilu
        UnfoldTensor Unique MurmurHash3 NGramRepeatBlock Tokenizer
        """,
    LEARNING: """
        ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer
        Imputer LabelEncoder Normalizer OneHotEncoder Scaler TreeEnsemble TreeEnsembleClassifier
        TreeEnsembleRegressor ZipMap
        """,
}

_TORCH_NOTHING: dict[str, str] = {
    "aten": """
        abs absolute acos acosh add addcdiv addcmul and arccos arcsin arctan asin asinh atan atan2
        atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor
        ceil clamp clamp_max clamp_min clip copysign cos cosh deg2rad div divide elu eq erf erfc
        erfinv exp exp2 expm1 fill floor floor_divide fmod frac ge gelu glu greater greater_equal gt
        hardshrink hardsigmoid hardswish hardtanh hypot isfinite isinf isnan ldexp le leaky_relu
        lerp less less_equal lgamma log log10 log1p log2 log_sigmoid log_sigmoid_forward logaddexp
        logaddexp2 logical_and logical_not logical_or logical_xor logit lshift lt masked_fill
        maximum minimum mish mul multiply nan_to_num ne neg negative not_equal polar positive pow
        prelu _prelu_kernel rad2deg real imag reciprocal relu relu6 remainder round rrelu rshift
        rrelu_with_noise rsqrt rsub selu sgn sigmoid sign silu sin sinc sinh softplus softshrink
        softsign sqrt square sub subtract tan tanh tanhshrink threshold true_divide trunc where
        xlogy special_erf special_expit special_log_softmax special_softmax zero zero_ __and__
        __or__ __xor__ __lshift__ __rshift__ dropout _dropout native_dropout feature_dropout
        alpha_dropout feature_alpha_dropout
        batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training
        _native_batch_norm_legit_functional _batch_norm_no_update _batch_norm_impl_index
        native_batch_norm cudnn_batch_norm group_norm native_group_norm instance_norm layer_norm
        native_layer_norm rms_norm _fused_rms_norm local_response_norm norm linalg_vector_norm
        normalize softmax _softmax _safe_softmax log_softmax _log_softmax softmin cosine_similarity
        pairwise_distance cross_entropy_loss nll_loss nll_loss_nd nll_loss_forward nll_loss2d
        mse_loss l1_loss smooth_l1_loss kl_div binary_cross_entropy
        binary_cross_entropy_with_logits
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d
        _adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d avg_pool1d
        avg_pool2d avg_pool3d lp_pool1d lp_pool2d fractional_max_pool2d max_pool1d max_pool2d
        max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices
        mkldnn_max_pool2d max_unpool2d max_unpool3d upsample_nearest1d upsample_nearest2d
        upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d
        upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa grid_sampler
        grid_sampler_2d grid_sampler_3d affine_grid_generator
        all amax amin aminmax any argmax argmin argsort bincount bucketize count_nonzero cummax
        cummin cumprod cumsum diff histc isin kthvalue logcumsumexp logsumexp max mean median min
        mode msort nanmean nansum nonzero prod searchsorted sort std std_mean sum topk unique
        unique_consecutive unique_dim _unique2 var var_mean
        alias alias_copy arange as_strided as_strided_copy atleast_1d atleast_2d atleast_3d
        broadcast_tensors broadcast_to block_diag cat channel_shuffle chunk clone column_stack
        combinations complex concat concatenate constant_pad_nd contiguous copy copy_ crop_nd
        detach detach_ detach_copy diag diag_embed diagonal diagonal_copy dstack embedding
        embedding_bag _embedding_bag _embedding_bag_forward_only empty empty_like empty_permuted
        empty_strided expand expand_as expand_copy eye feature_alpha_dropout flatten flip fliplr
        flipud full full_like gather glu hsplit hstack im2col index index_add index_copy index_fill
        index_put index_select col2im unfold unfold_copy linspace lift lift_fresh lift_fresh_copy
        logspace masked_scatter masked_select meshgrid moveaxis movedim narrow narrow_copy new_empty
        new_empty_strided new_full new_ones new_zeros native_channel_shuffle numel one_hot ones
        ones_like pad reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d
        replication_pad2d replication_pad3d permute permute_copy pin_memory pixel_shuffle
        pixel_unshuffle rand rand_like randint randint_like randn randn_like randperm bernoulli
        multinomial normal uniform normal_functional ravel repeat repeat_interleave reshape
        reshape_as resize resize_as resolve_conj resolve_neg roll rot90 scalar_tensor scatter
        scatter_add scatter_reduce select select_copy select_scatter set set_ size slice slice_copy
        slice_scatter split split_copy split_with_sizes split_with_sizes_copy squeeze squeeze_copy
        stack stride swapaxes swapdims t t_copy take take_along_dim tensor tensor_split tile to
        _to_copy to_dense to_mkldnn transpose transpose_copy tril tril_indices triu triu_indices
        trapz type_as unbind unbind_copy unflatten unsafe_chunk unsafe_split
        unsafe_split_with_sizes unsqueeze unsqueeze_copy vander view view_as view_as_complex
        view_as_real view_copy _unsafe_view _reshape_alias _unsafe_index _unsafe_index_put
        _unsafe_masked_index vsplit vstack zeros zeros_like zeros_out
        _assert_async _assert_scalar _assert_tensor_metadata _local_scalar_dense item sym_size
        sym_numel sym_stride sym_storage_offset sym_constrain_range sym_constrain_range_for_size
        _nested_tensor_from_mask_left_aligned _nested_tensor_from_mask
        is_nonzero is_floating_point is_same_size equal allclose isclose
        fake_quantize_per_channel_affine fake_quantize_per_tensor_affine
        fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine_cachemask
        _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
        quantize_per_tensor quantize_per_channel quantize_per_tensor_dynamic dequantize int_repr
        q_scale q_zero_point _empty_affine_quantized _empty_per_channel_affine_quantized
        _pack_padded_sequence _pad_packed_sequence _choose_qparams_per_tensor
        choose_qparams_optimized
        """,
    "quantized": """
        add add_relu batch_norm2d batch_norm3d batch_norm2d_relu cat cat_relu celu elu
        embedding_byte embedding_4bit hardswish group_norm instance_norm layer_norm leaky_relu
        max_pool1d max_pool2d mul mul_relu prelu relu6 sigmoid softmax clamp threshold
        linear_unpack conv2d_unpack
        """,
    "quantized_decomposed": """
        choose_qparams choose_qparams_symmetric choose_qparams_per_token
        choose_qparams_per_token_asymmetric convert_element_type dequantize_per_channel
        dequantize_per_channel_group dequantize_per_tensor dequantize_per_token embedding_2bit
        embedding_4bit embedding_byte fake_quant_per_channel quantize_per_channel
        quantize_per_channel_group quantize_per_tensor quantize_per_token add add_relu
        """,
    "torchao": """
        choose_qparams_affine dequantize_affine quantize_affine choose_scale_float8
        quantize_affine_float8 dequantize_affine_float8
        """,
    "prims": "convert_element_type device_put iota broadcast_in_dim view_of clone fft_c2r_none",
    "prim": "device layout NumToTensor",
}

_TORCH_NUMBERS = frozenset(("_operator", "math", "builtins", "torch", "torch_sym"))
"""Arithmetic with sizes, no operation on a tensor."""

_UNCONTRACTED = frozenset((("", "ImageDecoder"),))
"""Not counted, and yet without any contraction of the network's."""

RULES: dict[Key, Rule] = {
    **{(domain, op): nothing for domain, ops in _NOTHING.items() for op in ops.split()},
    **{
        (TORCH, f"{space}.{op}"): nothing
        for space, ops in _TORCH_NOTHING.items()
        for op in ops.split()
    },
    **_CONTRACTIONS,
}
"""Every operator that is covered."""

CARRIERS: dict[str, frozenset[str]] = {
    "": frozenset(
        (
            *("Cast", "CastLike", "DequantizeLinear", "Flatten", "Identity", "Neg"),
            *("QuantizeLinear", "Reshape", "Squeeze", "Transpose", "Unsqueeze"),
        )
    ),
    MICROSOFT: frozenset(("DequantizeLinear", "QuantizeLinear")),
    TORCH: frozenset(
        (
            *(
                f"aten.{op}"
                for op in (
                    *("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "flatten"),
                    *("neg", "permute", "reshape", "squeeze", "t", "to", "_to_copy", "transpose"),
                    *("unflatten", "unsqueeze", "view", "_unsafe_view", "dequantize", "type_as"),
                )
            ),
            *(
                f"quantized_decomposed.{way}_per_{what}"
                for way in ("quantize", "dequantize")
                for what in ("tensor", "channel", "channel_group", "token")
            ),
            *("torchao.dequantize_affine", "torchao.quantize_affine"),
        )
    ),
}
"""Operators behind which a weight is still the same weight, with as many zeros: by domain."""


def operator_key(domain: str, op: str) -> Key:
    """How an operator is looked up: torch's without the overload, and not in place."""
    if domain != TORCH:
        return ("" if domain == "ai.onnx" else domain, op)
    space, _, rest = op.partition(".")
    name = rest.partition(".")[0]
    if name.endswith("_") and not name.endswith("__") and (TORCH, f"{space}.{name}") not in RULES:
        name = name[:-1]
    return (TORCH, f"{space}.{name}")


def rule_of(domain: str, op: str) -> Rule | None:
    """The rule of an operator; None where there is none."""
    if domain == TORCH and op.partition(".")[0] in _TORCH_NUMBERS:
        return nothing
    return RULES.get(operator_key(domain, op))


def may_contract(domain: str, op: str) -> bool:
    """Whether an operator without a rule could hold multiply-accumulates: mostly, who knows."""
    return operator_key(domain, op) not in _UNCONTRACTED


def operator_name(domain: str, op: str) -> str:
    """As reports show it: ``Conv``, ``com.microsoft::Attention``, ``aten.conv2d``."""
    key = operator_key(domain, op)
    return key[1] if key[0] in ("", TORCH) else f"{key[0]}::{key[1]}"
