"""Standard operators in the place of others, for the sake of the sizes of their results.

ONNX's shape inference knows the standard operators only. Where one of ONNX Runtime's own gives a
result of the same sizes as a standard one would, that one stands in for it while sizes are
inferred; what it computes is of no interest there. What is not here stays, its result unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnx import AttributeProto, NodeProto, helper

from compaudit.models.onnx.proto import text

__all__ = ["StandIns"]

MICROSOFT = "com.microsoft"

Sizes = Mapping[str, tuple[int, ...]]


class StandIns:
    """Makes stand-ins, and collects the weights they need.

    Args:
        stored: sizes of stored tensors.

    Attributes:
        weights: sizes of made-up matrices, by name: inputs that the model has to be given.
    """

    def __init__(self, stored: Sizes) -> None:
        self._stored = stored
        self.weights: dict[str, tuple[int, int]] = {}

    def replace(self, nodes: Sequence[NodeProto]) -> None:
        """Change these nodes, and those of their subgraphs, into their stand-ins."""
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    self.replace(attribute.g.node)
            make = _STAND_INS.get((node.domain, text(node.op_type)))
            made = make(node, self) if make is not None else None
            if made is not None:
                node.CopyFrom(made)

    def weight(self, rows: int, columns: int) -> str:
        """The name of a matrix of these sizes."""
        name = f"compaudit:{rows}x{columns}"
        self.weights[name] = (rows, columns)
        return name

    def stored(self, name: str) -> tuple[int, ...] | None:
        """The sizes of a stored tensor."""
        return self._stored.get(name)


_Maker = Callable[[NodeProto, StandIns], NodeProto | None]


def _like(op: str, *slots: int, keep: Sequence[str] = ()) -> _Maker:
    """The first result of a standard operator on these inputs, with these attributes kept."""

    def make(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
        inputs = [node.input[slot] for slot in slots if slot < len(node.input)]
        while inputs and not inputs[-1]:
            inputs.pop()
        if not node.output or len(inputs) < min(1, len(slots)):
            return None
        made = helper.make_node(op, inputs, [node.output[0]])
        made.attribute.extend(given for given in node.attribute if text(given.name) in keep)
        return made

    return make


def _number(node: NodeProto, name: str, default: int = 0) -> int:
    return next((given.i for given in node.attribute if text(given.name) == name), default)


def _packed_product(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    rows, columns = _number(node, "K"), _number(node, "N")
    if rows <= 0 or columns <= 0:
        return None
    weight = stand_ins.weight(rows, columns)
    return helper.make_node("MatMul", [node.input[0], weight], [node.output[0]])


def _fused_product(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    if _number(node, "transBatchA") or _number(node, "transBatchB"):
        return None
    left, right = _number(node, "transA"), _number(node, "transB")
    if not left and not right:
        return helper.make_node("MatMul", node.input[:2], [node.output[0]])
    batched = ["" if len(stand_ins.stored(name) or ()) == 2 else "..." for name in node.input[:2]]
    terms = (batched[0] + ("ki" if left else "ik"), batched[1] + ("jk" if right else "kj"))
    equation = f"{','.join(terms)}->{max(batched)}ij"
    return helper.make_node("Einsum", node.input[:2], [node.output[0]], equation=equation)


def _projected(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    """Attention with projections: as wide as the values."""
    weight = stand_ins.stored(node.input[1]) if len(node.input) > 1 else None
    if weight is None or len(weight) != 2:
        return None
    widths = [n for a in node.attribute if text(a.name) == "qkv_hidden_sizes" for n in a.ints]
    columns = widths[2] if len(widths) == 3 else weight[1] // 3
    name = stand_ins.weight(weight[0], columns)
    return helper.make_node("MatMul", [node.input[0], name], [node.output[0]])


def _heads(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    """MultiHeadAttention of separate operands: queries' rows, values' width."""
    if len(node.input) < 3 or not node.input[1] or not node.input[2]:
        return None
    operands = [node.input[0], node.input[2]]
    return helper.make_node("Einsum", operands, [node.output[0]], equation="bsh,blv->bsv")


def _groups(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    """GroupQueryAttention of separate operands: as the queries."""
    if len(node.input) < 3 or not node.input[1]:
        return None
    return helper.make_node("Identity", [node.input[0]], [node.output[0]])


def _convolution(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    """QLinearConv of ONNX Runtime; with channels last, the standard one has other sizes."""
    if _number(node, "channels_last"):
        return None
    made = NodeProto()
    made.CopyFrom(node)
    made.domain = ""
    kept = [given for given in node.attribute if text(given.name) != "channels_last"]
    del made.attribute[:]
    made.attribute.extend(kept)
    return made


def _pool(op: str) -> _Maker:
    plain = _like(op, 0, keep=("kernel_shape", "strides", "pads", "auto_pad", "ceil_mode"))

    def make(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
        return None if _number(node, "channels_last") else plain(node, stand_ins)

    return make


def _concatenation(node: NodeProto, stand_ins: StandIns) -> NodeProto | None:
    made = helper.make_node("Concat", node.input[2::3], [node.output[0]])
    made.attribute.append(
        AttributeProto(name="axis", type=AttributeProto.INT, i=_number(node, "axis"))
    )
    return made


_CONVOLUTION = ("kernel_shape", "strides", "pads", "dilations", "group", "auto_pad")
_SAME = _like("Identity", 0)

_STAND_INS: dict[tuple[str, str], _Maker] = {
    (MICROSOFT, "FusedConv"): _like("Conv", 0, 1, 2, keep=_CONVOLUTION),
    (MICROSOFT, "QLinearConv"): _convolution,
    (MICROSOFT, "FusedGemm"): _like("Gemm", 0, 1, 2, keep=("transA", "transB")),
    (MICROSOFT, "GemmFloat8"): _like("Gemm", 0, 1, keep=("transA", "transB")),
    (MICROSOFT, "QGemm"): _like("Gemm", 0, 3, keep=("transA", "transB")),
    (MICROSOFT, "FusedMatMul"): _fused_product,
    (MICROSOFT, "TransposeMatMul"): _fused_product,
    (MICROSOFT, "FusedMatMulActivation"): _fused_product,
    (MICROSOFT, "GemmFastGelu"): _like("MatMul", 0, 1),
    (MICROSOFT, "MatMulInteger16"): _like("MatMul", 0, 1),
    (MICROSOFT, "DynamicQuantizeMatMul"): _like("MatMul", 0, 1),
    (MICROSOFT, "MatMulIntegerToFloat"): _like("MatMul", 0, 1),
    (MICROSOFT, "MatMulNBits"): _packed_product,
    (MICROSOFT, "MatMulBnb4"): _packed_product,
    (MICROSOFT, "Attention"): _projected,
    (MICROSOFT, "QAttention"): _projected,
    (MICROSOFT, "MultiHeadAttention"): _heads,
    (MICROSOFT, "GroupQueryAttention"): _groups,
    (MICROSOFT, "EmbedLayerNormalization"): _like("Gather", 2, 0),
    (MICROSOFT, "QEmbedLayerNormalization"): _like("Gather", 2, 0),
    (MICROSOFT, "QLinearAdd"): _like("Add", 0, 3),
    (MICROSOFT, "QLinearMul"): _like("Mul", 0, 3),
    (MICROSOFT, "QLinearConcat"): _concatenation,
    (MICROSOFT, "QLinearAveragePool"): _pool("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _pool("GlobalAveragePool"),
    ("", "SimplifiedLayerNormalization"): _SAME,
    **{
        (MICROSOFT, op): _SAME
        for op in (
            *("BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BitmaskDropout"),
            *("DequantizeLinear", "FastGelu", "Gelu", "GroupNorm", "LayerNormalization"),
            *("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear"),
            *("QuickGelu", "RotaryEmbedding", "ScaledSiLU", "SimplifiedLayerNormalization"),
            *("SkipGroupNorm", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
        )
    },
}
