from __future__ import annotations

import pytest

from compaudit.models.base import Role
from compaudit.models.torch.names import (
    Entry,
    is_weight_name,
    mask_of,
    packed_in,
    packing_of,
    roles_of,
)

FLOAT = Entry("float32", (4, 4))


def role(name, entry=FLOAT, **others):
    return roles_of({name: entry, **others})[name]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv.weight", Role.WEIGHT),
        ("weight", Role.WEIGHT),
        ("attn.in_proj_weight", Role.WEIGHT),
        ("lstm.weight_ih_l0", Role.WEIGHT),
        ("lstm.weight_hh_l1_reverse", Role.WEIGHT),
        ("cell.weight_ih", Role.WEIGHT),
        ("norm.gamma", Role.WEIGHT),
        ("vit.cls_token", Role.WEIGHT),
        ("vit.pos_embed", Role.WEIGHT),
        ("fc.weight_g", Role.WEIGHT),
        ("fc.parametrizations.weight.original0", Role.WEIGHT),
        ("fc.parametrizations.bias.original", Role.BIAS),
        ("conv.bias", Role.BIAS),
        ("attn.in_proj_bias", Role.BIAS),
        ("lstm.bias_hh_l0", Role.BIAS),
        ("norm.beta", Role.BIAS),
        ("bn.running_mean", Role.BUFFER),
        ("bn.running_var", Role.BUFFER),
        ("bn.num_batches_tracked", Role.BUFFER),
        ("rotary.inv_freq", Role.BUFFER),
        ("fc.parametrizations.weight.0._u", Role.BUFFER),
        ("fc.weight_scale", Role.QUANTIZATION),
        ("fc.weight_scale_inv", Role.QUANTIZATION),
        ("fc.weight_zero_point", Role.QUANTIZATION),
        ("fc.scales", Role.QUANTIZATION),
        ("fc.qzeros", Role.QUANTIZATION),
        ("fc.g_idx", Role.QUANTIZATION),
        ("fc.weight_mask", Role.CONSTANT),
        ("optimizer.state.0.exp_avg", Role.UNUSED),
        ("state.3.momentum_buffer", Role.UNUSED),
        ("fc.theta", Role.UNCLASSIFIED),
        ("clip.logit_scale", Role.UNCLASSIFIED),
    ],
)
def test_roles_by_name(name, expected):
    assert role(name) is expected


def test_a_lone_scale_is_not_taken_for_quantisation():
    assert role("norm.scale") is Role.UNCLASSIFIED
    assert role("fc.scale", **{"fc.zero_point": Entry("int64", ())}) is Role.QUANTIZATION
    assert role("fc.scale", **{"fc.weight": Entry("int8", (4, 4))}) is Role.QUANTIZATION
    assert role("fc.scale", **{"fc.weight": FLOAT}) is Role.UNCLASSIFIED


def test_a_causal_mask_called_bias_is_no_parameter():
    assert role("h.0.attn.bias", Entry("float32", (1, 1, 1024, 1024))) is Role.CONSTANT
    assert role("h.0.attn.bias", Entry("bool", (1, 1, 8, 8))) is Role.CONSTANT
    assert role("head.bias", Entry("float32", (1, 8, 1, 1))) is Role.BIAS


def test_spectral_norm_vectors_are_buffers_and_weight_norm_directions_weights():
    assert role("fc.weight_v", **{"fc.weight_orig": FLOAT}) is Role.BUFFER
    assert role("fc.weight_v", **{"fc.weight_g": FLOAT}) is Role.WEIGHT


def test_unknown_scalars_and_flags_are_constants_and_unknown_integers_unclassified():
    assert role("fc.version", Entry("int64", ())) is Role.CONSTANT
    assert role("fc.flags", Entry("bool", (3,))) is Role.CONSTANT
    assert role("fc.codes", Entry("int32", (3,))) is Role.UNCLASSIFIED


def test_masks_belong_to_what_they_prune():
    entries = {"a.weight_orig": FLOAT, "a.weight_mask": FLOAT, "b.weight_orig": FLOAT}
    assert mask_of("a.weight_orig", entries) == "a.weight_mask"
    assert mask_of("b.weight_orig", entries) is None
    fake = {"a.parametrizations.weight.original": FLOAT, "a.parametrizations.weight.1.mask": FLOAT}
    assert mask_of("a.parametrizations.weight.original", fake) == "a.parametrizations.weight.1.mask"


def test_a_mask_of_another_shape_is_not_the_mask():
    entries = {"a.weight_orig": FLOAT, "a.weight_mask": Entry("float32", (4,))}
    assert mask_of("a.weight_orig", entries) is None


def test_packed_weights_have_a_reason_not_a_count():
    assert packing_of({"fc.qweight": Entry("int32", (4, 4))}) is not None
    assert packing_of({"fc.weight.quant_state.bitsandbytes__nf4": Entry("uint8", (9,))}) is not None
    assert packing_of({"fc.weight": Entry("int8", (4, 4))}) is None


def test_weight_or_bias_of_a_known_parameter():
    assert is_weight_name("layers.0.anything")
    assert not is_weight_name("layers.0.bias")
    assert not is_weight_name("fc.parametrizations.bias.original0")


def test_what_is_left_of_a_pruned_weight():
    """compressed-tensors: values, a mask, offsets, and a shape that is no parameter."""
    byte, index = Entry("uint8", (4, 2)), Entry("int64", (2,))
    found = roles_of(
        {"q.compressed": FLOAT, "q.bitmask": byte, "q.row_offsets": index, "q.shape": index}
    )
    assert list(found.values()) == [
        Role.WEIGHT,
        Role.QUANTIZATION,
        Role.QUANTIZATION,
        Role.CONSTANT,
    ]
    assert role("q.compressed") is Role.UNCLASSIFIED
    assert role("q.shape", index) is Role.UNCLASSIFIED


def test_blocks_and_scales_of_bytes():
    """gpt-oss: four-bit floats two to a byte, and a scale of a byte for each block."""
    byte = Entry("uint8", (2, 3))
    found = roles_of({"experts.down_proj_blocks": byte, "experts.down_proj_scales": byte})
    assert list(found.values()) == [Role.WEIGHT, Role.QUANTIZATION]
    assert role("down_proj_blocks", byte) is Role.UNCLASSIFIED
    assert role("down_proj_blocks", FLOAT, down_proj_scales=FLOAT) is Role.UNCLASSIFIED


@pytest.mark.parametrize(
    ("packed", "others"),
    [
        (("q.qweight", "int32"), {}),
        (("q.weight_packed", "uint8"), {}),
        (("q.weight.quant_state.bitsandbytes__nf4", "uint8"), {}),
        (("q.compressed", "float16"), {"q.bitmask": "uint8"}),
        (("e.up_blocks", "uint8"), {"e.up_scales": "uint8"}),
    ],
)
def test_packed_tensors_are_not_counted_without_their_folder(packed, others):
    entries = {name: Entry(dtype, (4, 4)) for name, dtype in (packed, *others.items())}
    assert packing_of(entries).startswith(f"{packed[0]} holds several weights per element")
    assert [*packed_in(entries)] == [packed[0]]
    assert packing_of({"q.weight": FLOAT, "q.qweight": FLOAT}) is None
