"""Every rule against a number worked out by hand; and what the tables cover."""

from typing import Any

import onnx.defs
import pytest

from compaudit.measure.macs.operands import Operands, UnknownShapeError
from compaudit.measure.macs.rules import (
    CARRIERS,
    RULES,
    may_contract,
    operator_key,
    operator_name,
    rule_of,
)
from compaudit.models.base import Node

MS = "com.microsoft"
Shape = tuple[int, ...] | None


def work(
    op: str, inputs: list[Shape], output: Shape = None, domain: str = "", **attributes: Any
) -> list[int]:
    """The parts of one operation; an input of None is absent."""
    names = tuple("" if shape is None else f"i{place}" for place, shape in enumerate(inputs))
    sizes = {f"i{place}": shape for place, shape in enumerate(inputs) if shape is not None}
    if output is not None:
        sizes["y"] = output
    node = Node("n", op, names, ("y",), attributes, domain)
    rule = rule_of(domain, op)
    assert rule is not None
    return [part.macs for part in rule(Operands(node, sizes.get))]


def torch_work(op: str, output: Shape = None, *, plain: Any = None, **tensors: Shape) -> list[int]:
    names = tuple(tensors)
    given = {**(plain or {}), "argument_names": tuple(name.rstrip("0123456789") for name in names)}
    if op in ("bilinear", "_transformer_encoder_layer_fwd", "mkldnn_rnn_layer"):
        given["argument_names"] = names
    if "batch1" in names or "mat1" in names or "mat2" in names:
        given["argument_names"] = names
    sizes = dict(tensors)
    if output is not None:
        sizes["y"] = output
    node = Node("n", f"aten.{op}.default", names, ("y",), given, "torch")
    rule = rule_of("torch", node.op)
    assert rule is not None
    return [part.macs for part in rule(Operands(node, sizes.get))]


# ---------------------------------------------------------------------------- convolutions

IMAGE, KERNEL, OUT = (1, 3, 8, 8), (4, 3, 3, 3), (1, 4, 6, 6)
CONVOLVED = 4 * 6 * 6 * 27  # 144 results of 27 products each = 3888


@pytest.mark.parametrize(
    ("op", "domain"),
    [("Conv", ""), ("ConvInteger", ""), ("FusedConv", MS), ("NhwcFusedConv", MS)],
)
def test_convolutions(op: str, domain: str) -> None:
    assert work(op, [IMAGE, KERNEL], OUT, domain) == [CONVOLVED] == [3888]


def test_quantised_convolution_has_its_weight_in_the_fourth_slot() -> None:
    inputs = [IMAGE, (), (), KERNEL, (), (), (), ()]
    assert work("QLinearConv", inputs, OUT) == [3888]
    assert work("QLinearConv", inputs, (1, 6, 6, 4), MS, channels_last=1) == [3888]


def test_depthwise_convolution() -> None:
    assert work("Conv", [(1, 8, 5, 5), (8, 1, 3, 3)], (1, 8, 5, 5), group=8) == [8 * 25 * 9]


def test_a_bias_costs_nothing() -> None:
    assert work("Conv", [IMAGE, KERNEL, (4,)], OUT) == [3888]


def test_deformable_convolution_counts_as_a_plain_one() -> None:
    assert work("DeformConv", [IMAGE, KERNEL, (1, 18, 6, 6)], OUT) == [3888]


def test_transposed_convolution_spreads_each_input() -> None:
    # 8 channels of 10 × 10 in two groups; each meets 8 outputs of its group by 3 × 3.
    assert work("ConvTranspose", [(1, 8, 10, 10), (8, 8, 3, 3)], group=2) == [800 * 8 * 9]


# ------------------------------------------------------------------------- matrix products


@pytest.mark.parametrize(
    ("op", "domain"),
    [
        *[("MatMul", ""), ("MatMulInteger", ""), ("FusedMatMul", MS), ("GemmFastGelu", MS)],
        *[("DynamicQuantizeMatMul", MS), ("MatMulIntegerToFloat", MS)],
    ],
)
def test_products(op: str, domain: str) -> None:
    assert work(op, [(5, 2, 3), (3, 4)], (5, 2, 4), domain) == [5 * 2 * 3 * 4]
    assert work(op, [(5, 2, 3), (3, 4)], None, domain) == [120]


@pytest.mark.parametrize(
    ("a", "b", "macs"),
    [
        ((3,), (3,), 3),
        ((2, 3), (3,), 6),
        ((3,), (7, 3, 4), 7 * 12),
        ((6, 1, 2, 3), (5, 3, 4), 6 * 5 * 24),
        ((0, 3), (3, 4), 0),
    ],
)
def test_products_of_any_rank(a: Shape, b: Shape, macs: int) -> None:
    assert work("MatMul", [a, b]) == [macs]


def test_quantised_product() -> None:
    assert work("QLinearMatMul", [(2, 3), (), (), (3, 4), (), (), (), ()]) == [24]


def test_products_of_transposed_operands() -> None:
    assert work("FusedMatMul", [(3, 2), (3, 4)], (2, 4), MS, transA=1) == [24]
    # [K, batch, M] where the batch is moved, too
    both = {"transA": 1, "transBatchA": 1}
    assert work("FusedMatMul", [(3, 5, 2), (5, 3, 4)], (5, 2, 4), MS, **both) == [5 * 24]
    with pytest.raises(UnknownShapeError):
        work("FusedMatMul", [(3, 2), (3, 4)], None, MS, transA=1)


@pytest.mark.parametrize("domain", ["", MS])
def test_gemm_stored_either_way(domain: str) -> None:
    op = "FusedGemm" if domain else "Gemm"
    assert work(op, [(2, 3), (3, 4), (4,)], (2, 4), domain) == [24]
    assert work(op, [(3, 2), (4, 3)], (2, 4), domain, transA=1, transB=1) == [24]
    assert work(op, [(0, 3), (3, 4)], (0, 4), domain) == [0]


def test_quantised_gemms() -> None:
    assert work("QGemm", [(2, 3), (), (), (4, 3), (), ()], (2, 4), MS, transB=1) == [24]
    assert work("GemmFloat8", [(2, 3), (4, 3)], (2, 4), MS, transB=1) == [24]


@pytest.mark.parametrize("op", ["MatMulNBits", "MatMulBnb4"])
def test_products_with_packed_weights(op: str) -> None:
    packed = (16, 2, 16)  # N, blocks, bytes of a block: nothing of K in it
    assert work(op, [(1, 7, 64), packed], None, MS, K=64, N=16) == [7 * 64 * 16]
    assert work(op, [(1, 7, 64), packed], (1, 7, 16), MS) == [7 * 64 * 16]


# --------------------------------------------------------------------------------- einsum


@pytest.mark.parametrize(
    ("equation", "shapes", "macs"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)], [24]),
        ("ij,jk", [(2, 3), (3, 4)], [24]),
        (" b h i d , b h j d -> b h i j ", [(2, 3, 4, 5), (2, 3, 6, 5)], [2 * 3 * 4 * 6 * 5]),
        ("...ij,jk->...ik", [(7, 2, 3), (3, 4)], [7 * 24]),
        ("...ij,...jk", [(7, 2, 3), (1, 3, 4)], [7 * 24]),
        ("i,i->", [(9,), (9,)], [9]),
        # (2×3 by 3×4) first, then 2×4 by 4×5
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)], [24, 40]),
        # nothing is summed: element by element, as Mul
        ("i,j->ij", [(2,), (3,)], []),
        ("ij,ij->ij", [(2, 3), (2, 3)], []),
        # one operand: nothing to multiply with
        ("ij->ji", [(2, 3)], []),
        ("ii->", [(3, 3)], []),
    ],
)
def test_einsum(equation: str, shapes: list[Shape], macs: list[int]) -> None:
    assert work("Einsum", shapes, equation=equation) == macs


@pytest.mark.parametrize("equation", ["", "ij->i", "ij,j", "i,j,k"])
def test_einsum_that_makes_no_sense(equation: str) -> None:
    with pytest.raises(UnknownShapeError):
        work("Einsum", [(2, 3), (3, 4)], equation=equation)


# ------------------------------------------------------------------------------ attention


@pytest.mark.parametrize(("op", "past"), [("Attention", 4), ("QAttention", 8)])
def test_attention_with_projections(op: str, past: int) -> None:
    # 5 positions of width 8: projection 5·8·24, scores and sums 5·5·8 each
    assert work(op, [(1, 5, 8), (8, 24)], None, MS, num_heads=2) == [960, 200, 200]
    before: list[Shape] = [None] * (past - 2)
    with_past = [(1, 5, 8), (8, 24), *before, (2, 1, 2, 3, 4)]
    assert work(op, with_past, None, MS, num_heads=2) == [960, 5 * 8 * 8, 5 * 8 * 8]


def test_attention_with_other_widths() -> None:
    sizes = {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 4]}
    assert work("Attention", [(1, 5, 8), (8, 20)], None, MS, **sizes) == [800, 200, 100]


def test_attention_of_heads() -> None:
    op = "MultiHeadAttention"
    assert work(op, [(1, 5, 8), (1, 7, 8), (1, 7, 6)], None, MS, num_heads=2) == [280, 210]
    # keys and values by head; past of 3
    heads = [(1, 5, 8), (1, 2, 7, 4), (1, 2, 7, 3), None, None, None, (1, 2, 3, 4)]
    assert work(op, heads, None, MS, num_heads=2) == [5 * 10 * 8, 5 * 10 * 6]
    assert work(op, [(1, 5, 2, 3, 4)], None, MS, num_heads=2) == [200, 200]
    assert work(op, [(1, 5, 8), (1, 7, 2, 2, 4)], None, MS, num_heads=2) == [280, 280]


def test_attention_of_groups() -> None:
    heads = {"num_heads": 4, "kv_num_heads": 2}
    op = "GroupQueryAttention"
    assert work(op, [(1, 5, 16), (1, 5, 8), (1, 5, 8)], None, MS, **heads) == [400, 400]
    # 4 + 2 + 2 heads of 4 behind one another, 3 positions before
    packed = [(1, 5, 32), None, None, (1, 2, 3, 4)]
    assert work(op, packed, None, MS, **heads) == [5 * 8 * 16] * 2
    with pytest.raises(UnknownShapeError):
        work(op, packed, None, MS)


def test_standard_attention() -> None:
    by_head = [(1, 4, 5, 6), (1, 2, 7, 6), (1, 2, 7, 3)]
    assert work("Attention", by_head) == [4 * 5 * 7 * 6, 4 * 5 * 7 * 3]
    flat = [(1, 5, 24), (1, 7, 12), (1, 7, 6)]
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    assert work("Attention", flat, **heads) == [4 * 5 * 7 * 6, 4 * 5 * 7 * 3]
    with_past = [*by_head, None, (1, 2, 3, 6), (1, 2, 3, 3)]
    assert work("Attention", with_past) == [4 * 5 * 10 * 6, 4 * 5 * 10 * 3]


# ---------------------------------------------------------------------- recurrent networks


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrence(op: str, gates: int) -> None:
    # 7 steps of one sample, both directions, 5 features to 6 units
    inputs = [(7, 1, 5), (2, gates * 6, 5), (2, gates * 6, 6)]
    assert work(op, inputs, direction="bidirectional", hidden_size=6) == [
        7 * 2 * gates * 6 * 5,
        7 * 2 * gates * 6 * 6,
    ]


def test_quantised_lstm_stores_its_matrices_transposed() -> None:
    inputs = [(7, 1, 5), (1, 5, 24), (1, 6, 24)]
    assert work("DynamicQuantizeLSTM", inputs, None, MS) == [7 * 120, 7 * 144]


def test_classical_models() -> None:
    ml = "ai.onnx.ml"
    coefficients = {"coefficients": [0.5] * 12}
    assert work("LinearClassifier", [(1, 4)], None, ml, **coefficients) == [12]
    vectors = {"coefficients": [0.5] * 3, "support_vectors": [0.5] * 12}
    assert work("SVMClassifier", [(2, 4)], None, ml, **vectors) == [6, 24]


# ---------------------------------------------------------------------------------- torch


def test_torch_convolutions() -> None:
    assert torch_work("conv2d", OUT, input=IMAGE, weight=KERNEL) == [3888]
    assert torch_work("convolution", OUT, input=IMAGE, weight=KERNEL) == [3888]
    back = {"input": (1, 8, 10, 10), "weight": (8, 8, 3, 3)}
    assert torch_work("convolution", plain={"transposed": True}, **back) == [57600]
    assert torch_work("conv_transpose2d", **back) == [57600]


def test_torch_products() -> None:
    assert torch_work("linear", input=(2, 5, 3), weight=(4, 3)) == [120]
    assert torch_work("mm", self=(2, 3), mat2=(3, 4)) == [24]
    assert torch_work("bmm", self=(5, 2, 3), mat2=(5, 3, 4)) == [120]
    assert torch_work("addmm", self=(4,), mat1=(2, 3), mat2=(3, 4)) == [24]
    assert torch_work("baddbmm", self=(4,), batch1=(5, 2, 3), batch2=(5, 3, 4)) == [120]
    assert torch_work("matmul", self=(6, 1, 2, 3), other=(5, 3, 4)) == [6 * 5 * 24]
    assert torch_work("bilinear", input1=(2, 3), input2=(2, 4), weight=(5, 3, 4)) == [120, 40]


def test_torch_einsum() -> None:
    given = {"plain": {"equation": "ij,jk->ik"}}
    assert torch_work("einsum", **given, tensors0=(2, 3), tensors1=(3, 4)) == [24]


def test_torch_attention() -> None:
    heads = {"query": (1, 4, 5, 6), "key": (1, 4, 7, 6), "value": (1, 4, 7, 3)}
    for op in ("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu"):
        assert torch_work(op, **heads) == [4 * 5 * 7 * 6, 4 * 5 * 7 * 3]


def test_torch_fused_attention_layers() -> None:
    matrices: dict[str, Shape] = {"qkv_weight": (24, 8), "proj_weight": (8, 8)}
    attended = dict.fromkeys(("query", "key", "value"), (1, 5, 8))
    counted = torch_work("_native_multi_head_attention", **attended, **matrices)
    assert counted == [960, 200, 200, 320]
    feed_forward: dict[str, Shape] = {"ffn_weight_1": (16, 8), "ffn_weight_2": (8, 16)}
    layer = torch_work("_transformer_encoder_layer_fwd", src=(1, 5, 8), **matrices, **feed_forward)
    assert layer == [960, 320, 640, 640, 200, 200]


def test_torch_recurrence() -> None:
    layers = {"params0": (24, 5), "params1": (24, 6), "params2": (24,), "params3": (24,)}
    assert torch_work("lstm", input=(1, 7, 5), hx=(1, 1, 6), **layers) == [840, 1008]
    cell = {"input": (2, 5), "hx": (2, 6), "w_ih": (18, 5), "w_hh": (18, 6)}
    assert torch_work("gru_cell", **cell) == [180, 216]
    native = {"input": (7, 1, 5), "weight0": (24, 5), "weight1": (24, 6)}
    assert torch_work("mkldnn_rnn_layer", **native) == [840, 1008]


# -------------------------------------------------------------------------------- coverage

# Transforms and determinants sum products in ways that depend on how they are computed.
NO_RULE = {"DFT", "STFT", "Det", "ImageDecoder", "LinearAttention"}
CONTROL = {"If", "Loop", "Scan", "SequenceMap"}


def test_every_standard_operator_has_a_rule_or_is_known_not_to() -> None:
    standard = {
        schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""
    }
    assert {op for op in standard if rule_of("", op) is None} <= NO_RULE | CONTROL
    learning = {s.name for s in onnx.defs.get_all_schemas() if s.domain == "ai.onnx.ml"}
    assert {op for op in learning if rule_of("ai.onnx.ml", op) is None} == set()


@pytest.mark.parametrize("op", ["Relu", "Softmax", "MaxPool", "Resize", "Gather", "Cast"])
def test_zero_is_a_rule(op: str) -> None:
    assert work(op, [(1, 2)]) == []


def test_torch_operators_are_found_in_place_and_in_every_overload() -> None:
    assert rule_of("torch", "aten.relu_.default") is rule_of("torch", "aten.relu.default")
    assert rule_of("torch", "aten.add.Tensor") is rule_of("torch", "aten.add_.Scalar")
    assert rule_of("torch", "aten.__and__.Tensor") is not None
    assert rule_of("torch", "_operator.mul") is not None
    assert rule_of("torch", "aten.fft_fft.default") is None


def test_unknown_operators() -> None:
    assert rule_of("mine", "Conv") is None
    assert rule_of("ai.onnx", "Conv") is rule_of("", "Conv")
    assert may_contract("mine", "Conv")
    assert not may_contract("", "ImageDecoder")
    assert operator_name("mine", "Conv") == "mine::Conv"
    assert operator_name("torch", "aten.add_.Tensor") == "aten.add"


def test_what_carries_a_weight_contracts_nothing() -> None:
    for domain, ops in CARRIERS.items():
        for op in ops:
            assert operator_key(domain, op) in RULES
            assert rule_of(domain, op) is rule_of("", "Identity")


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Conv", [(1, 3, 8, 8), (4, 3)]),
        ("ConvTranspose", [(1, 3, 8, 8), ()]),
        ("Gemm", [(2, 3), (3, 4)]),
        ("MatMul", [(), (3, 4)]),
        ("LSTM", [(7, 5), (1, 24, 5), (1, 24, 6)]),
        ("Attention", [(1, 5, 8), (1, 5, 8), (1, 5, 8)]),
    ],
)
def test_sizes_that_make_no_sense_are_unknown(op: str, inputs: list[Shape]) -> None:
    with pytest.raises(UnknownShapeError):
        work(op, inputs)
