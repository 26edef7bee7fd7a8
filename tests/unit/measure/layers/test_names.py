import pytest

from compaudit.measure.layers.names import ELSEWHERE, layer_names, stem_of
from compaudit.models.base import Role, Use

WEIGHT, BIAS, BUFFER, SCALE = Role.WEIGHT, Role.BIAS, Role.BUFFER, Role.QUANTIZATION


@pytest.mark.parametrize(
    ("tensor", "stem"),
    [
        ("conv1.weight", "conv1"),
        ("layers.0.attn.q_proj.bias", "layers.0.attn.q_proj"),
        ("conv1.weight_quantized", "conv1"),  # ONNX Runtime's quantiser
        ("conv1.weight_scale", "conv1"),
        ("conv1.bias_quantized_zero_point", "conv1"),
        ("ConvBnFusion_W_stem.conv.weight_quantized", "stem.conv"),
        ("fc.weight_Q4", "fc"),
        ("fc.weight_Q4G32", "fc"),
        ("fc.parametrizations.weight.original", "fc"),
        ("fc.weight_orig", "fc"),
        ("module.fc.weight", "fc"),  # DataParallel
        ("_orig_mod.fc.weight", "fc"),  # torch.compile
        ("lstm.weight_ih_l0_reverse", "lstm"),
        ("model.layers.0.mlp.up_proj.qweight", "model.layers.0.mlp.up_proj"),
        ("bn1.running_mean", "bn1"),
        ("res2_0_branch2a_w_0", "res2_0_branch2a"),  # Caffe2
        ("q_proj.compressed", "q_proj"),  # 2:4 sparse, compressed-tensors
        ("onnx::MatMul_123", None),
        ("weight", None),
    ],
)
def test_the_module_that_a_name_speaks_of(tensor, stem) -> None:
    assert stem_of(tensor) == stem


@pytest.mark.parametrize(
    ("node", "op", "name"),
    [
        ("/fc/MatMul", "MatMul", "fc"),
        ("/layer1/layer1.0/conv1/Conv", "Conv", "layer1.0.conv1"),
        ("/layers.0/self_attn/q_proj/MatMul", "MatMul", "layers.0.self_attn.q_proj"),
        ("/stages/stages.0/stages.0.0/conv/conv.0/Conv", "Conv", "stages.0.0.conv.0"),
        ("/fc/MatMul_quant", "MatMulInteger", "fc"),
        ("node_linear_3", "Gemm", "node_linear_3"),
    ],
)
def test_a_node_names_the_layer_where_the_tensor_does_not(kit, node, op, name) -> None:
    tensor = kit.tensor("onnx::MatMul_7", WEIGHT, (3, 4), Use(node, op))
    assert layer_names([tensor]) == [name]


def test_experts_that_are_parameters_themselves(kit) -> None:
    """gpt-oss: no module of their own, and blocks beside scales."""
    tensors = [
        kit.tensor("mlp.experts.up_proj_blocks", WEIGHT, (4, 8, 8)),
        kit.tensor("mlp.experts.up_proj_scales", SCALE, (4, 8)),
    ]
    assert layer_names(tensors) == ["mlp.experts.up_proj"] * 2
    assert layer_names([kit.tensor("mlp.experts.up_proj", WEIGHT, (4, 8, 8))]) == [
        "mlp.experts.up_proj"
    ]


def test_whatever_serves_a_weight_is_in_its_layer(kit) -> None:
    node = Use("node_3", "Conv")
    tensors = [
        kit.tensor("val_7", WEIGHT, (4, 3), node),
        kit.tensor("att.in_proj_bias", BIAS, (4,), node),  # the only name that says something
        kit.tensor("val_7_scale", SCALE, (4,), node),
        kit.tensor("act_scale", SCALE, (), Use("node_9", "MaxPool")),
        kit.tensor("axes", Role.CONSTANT, (2,)),
        kit.tensor("bn.weight", WEIGHT, (4,)),
        kit.tensor("bn.running_var", BUFFER, (4,)),
        kit.tensor("position_ids", BUFFER, (4,)),
        kit.tensor("fc.qweight", WEIGHT, (4, 4)),
        kit.tensor("fc.scales", SCALE, (4,)),
    ]
    assert layer_names(tensors) == [
        *("att", "att", "att", ELSEWHERE, None, "bn", "bn", None, "fc", "fc"),
    ]
