"""What became of each layer, on models whose history is known."""

from __future__ import annotations

import numpy as np
import pytest


def near(array: np.ndarray, noise: float = 1e-3) -> np.ndarray:
    return array * (1 + noise)


def test_same_names_are_the_same_layers_whatever_their_order(kit, random) -> None:
    a, b = random.normal(size=(4, 3)), random.normal(size=(2, 4))
    layers = kit.compare({"a.weight": a, "b.weight": b}, {"b.weight": near(b), "a.weight": near(a)})
    assert [layer.change for layer in layers.values()] == ["matched", "matched"]
    assert layers["a"].weight_sqnr_db == pytest.approx(60)  # noise of 1/1000
    assert layers["a"].weights_equal is False
    assert layers["b"].compressed.name == "b"


def test_other_names_are_aligned_by_their_sizes(kit, random) -> None:
    shapes = [(8, 3, 3, 3), (8, 8, 3, 3), (16, 8, 3, 3), (10, 16)]
    arrays = [random.normal(size=shape) for shape in shapes]
    layers = kit.compare(
        {f"conv{i}.weight": array for i, array in enumerate(arrays)},
        {f"onnx::Conv_{9 + i}": array for i, array in enumerate(arrays)},
    )
    assert [layer.matched_by for layer in layers.values()] == ["structure"] * 4
    assert all(layer.weights_equal for layer in layers.values())
    assert layers["conv2"].compressed.name == "onnx::Conv_11"
    assert layers["conv2"].note == "now onnx::Conv_11"


def test_a_removed_layer_does_not_shift_the_others(kit, random) -> None:
    arrays = {f"net.{i}.weight": random.normal(size=(4 + i, 5, 3, 3)) for i in range(5)}
    shorter = {
        f"x{i}": a for i, a in enumerate(list(arrays.values())[:2] + list(arrays.values())[3:])
    }
    layers = kit.compare(arrays, shorter)
    assert {name: layer.change for name, layer in layers.items()} == {
        **dict.fromkeys(["net.0", "net.1", "net.3", "net.4"], "matched"),
        "net.2": "removed",
    }
    assert layers["net.3"].weights_equal
    assert layers["net.2"].compressed is None


def test_an_added_layer_stands_where_it_is(kit, random) -> None:
    a, b = random.normal(size=(4, 3)), random.normal(size=(2, 6))
    layers = kit.compare(
        {"a.weight": a, "b.weight": b},
        {"a.weight": a, "adapter.weight": np.ones((6, 4)), "b.weight": b},
    )
    assert list(layers) == ["a", "adapter", "b"]
    assert layers["adapter"].change == "added"
    assert layers["adapter"].original is None


def test_fewer_channels_are_still_the_same_layer(kit) -> None:
    layers = kit.compare({"a.weight": np.ones((8, 4, 3, 3))}, {"a.weight": np.ones((6, 4, 3, 3))})
    assert layers["a"].change == "matched"
    assert layers["a"].weight_sqnr_db is None
    assert layers["a"].weights_equal is None
    assert layers["a"].note == "8×4×3×3 → 6×4×3×3"


def test_one_name_for_two_kinds_is_no_match(kit) -> None:
    """Removing layers from a Sequential moves the numbers: 0 was a convolution once."""
    layers = kit.compare(
        {"0.weight": np.ones((8, 4, 3, 3)), "1.weight": np.ones((5, 8))},
        {"0.weight": np.ones((5, 8))},
    )
    assert layers["0"].change == "removed"
    assert layers["1"].compressed.name == "0"


def test_recurrent_weights_of_two_formats_are_not_compared(kit, random) -> None:
    """ONNX has the gates as input, output, forget, cell; PyTorch as input, forget, cell, output."""
    weight = random.normal(size=(16, 5))
    layers = kit.compare({"rnn.weight_ih_l0": weight}, {"W": weight[None]})
    assert layers["rnn"].change == "matched"
    assert layers["rnn"].weights_equal is None
    again = kit.compare({"rnn.weight_ih_l0": weight}, {"rnn.weight_ih_l0": weight})
    assert again["rnn"].weights_equal


# ------------------------------------------------------------------------------ factorised


@pytest.mark.parametrize("names", [("fc.0", "fc.1"), ("fc_u", "fc_v"), ("MatMul_1", "MatMul_2")])
def test_a_low_rank_layer_is_multiplied_out(kit, random, names) -> None:
    """The SQNR of a truncated SVD is known: the energy of what was cut off."""
    whole = random.normal(size=(12, 10))
    left, values, right = np.linalg.svd(whole, full_matrices=False)
    rank = 4
    first = np.sqrt(values[:rank])[:, None] * right[:rank]  # [r, in]
    second = left[:, :rank] * np.sqrt(values[:rank])  # [out, r]
    layers = kit.compare(
        {"in.weight": np.ones((10, 3)), "fc.weight": whole, "out.weight": np.ones((2, 12))},
        {
            "in.weight": np.ones((10, 3)),
            f"{names[0]}.weight": first,
            f"{names[1]}.weight": second,
            "out.weight": np.ones((2, 12)),
        },
    )
    layer = layers["fc"]
    assert layer.change == "factorized"
    assert layer.note == "factorised into 2, rank 4"
    expected = 10 * np.log10((values**2).sum() / (values[rank:] ** 2).sum())
    assert layer.weight_sqnr_db == pytest.approx(expected)
    assert layer.compressed.parameters == 4 * 10 + 12 * 4
    assert layer.compressed.weight_bytes == 4 * (4 * 10 + 12 * 4)
    assert set(layers) == {"in", "fc", "out"}


# ---------------------------------------------------------------------------------- folded


def batch_norm(random, channels: int, prefix: str) -> dict[str, np.ndarray]:
    return {
        f"{prefix}.weight": random.uniform(0.5, 2, channels),
        f"{prefix}.bias": random.normal(size=channels),
        f"{prefix}.running_mean": random.normal(size=channels),
        f"{prefix}.running_var": random.uniform(0.5, 2, channels),
    }


def fold(
    weight: np.ndarray, norm: dict[str, np.ndarray], prefix: str, epsilon: float
) -> np.ndarray:
    factors = norm[f"{prefix}.weight"] / np.sqrt(norm[f"{prefix}.running_var"] + epsilon)
    return weight * factors.reshape(-1, *[1] * (weight.ndim - 1))


def test_a_folded_normalisation_is_folded_into_the_original_too(kit, random) -> None:
    weight, norm = random.normal(size=(6, 3, 3, 3)), batch_norm(random, 6, "bn1")
    layers = kit.compare(
        kit.subject({"conv1.weight": weight, **norm}, epsilons={"bn1.weight": 0.01}),
        {"conv1.weight": fold(weight, norm, "bn1", 0.01), "conv1.bias": np.ones(6)},
    )
    assert layers["bn1"].change == "folded"
    assert layers["bn1"].note == "folded into conv1: weight, bias, running_mean, running_var"
    assert layers["conv1"].weights_equal or layers["conv1"].weight_sqnr_db > 250  # rounding
    assert layers["conv1"].note == "bn1 folded in; bias (6) added"


def test_each_normalisation_goes_into_its_own_convolution(kit, random) -> None:
    """Sorted by name, as safetensors are, every bn stands before every conv."""
    weights = {f"conv{i}.weight": random.normal(size=(6, 6, 3, 3)) for i in (1, 2, 3)}
    norms = {i: batch_norm(random, 6, f"bn{i}") for i in (1, 2, 3)}
    original = {**norms[1], **norms[2], **norms[3], **weights}
    folded = {
        f"conv{i}.weight": fold(weights[f"conv{i}.weight"], norms[i], f"bn{i}", 1e-5)
        for i in (1, 2, 3)
    }
    layers = kit.compare(original, folded)
    for i in (1, 2, 3):
        assert layers[f"bn{i}"].note.startswith(f"folded into conv{i}")
        layer = layers[f"conv{i}"]
        assert layer.weights_equal or layer.weight_sqnr_db > 250


def test_a_bias_that_the_exporter_left_out_is_named(kit) -> None:
    """One that is zero: the default exporter drops it."""
    weight = np.ones((4, 3))
    layers = kit.compare({"a.weight": weight, "a.bias": np.zeros(4)}, {"a.weight": weight})
    assert layers["a"].note == "bias (4) gone"


def test_neighbours_are_named_as_seen_from_one_another(kit, random) -> None:
    norm = batch_norm(random, 6, "block.0.norm")
    weight = random.normal(size=(6, 3, 3, 3))
    layers = kit.compare({"block.0.conv.weight": weight, **norm}, {"block.0.conv.weight": weight})
    assert layers["block.0.conv"].note == "norm folded in"
    assert layers["block.0.norm"].note.startswith("folded into conv: ")


def test_a_normalisation_whose_layer_is_gone_is_gone_too(kit, random) -> None:
    norm = batch_norm(random, 6, "b.norm")
    layers = kit.compare(
        {"a.conv.weight": np.ones((6, 3, 3, 3)), "b.conv.weight": np.ones((6, 6, 3, 3)), **norm},
        {"a.conv.weight": np.ones((6, 3, 3, 3))},
    )
    assert layers["b.norm"].change == "removed"


# ------------------------------------------------------------------------------------ tied


def test_a_tied_weight_that_is_stored_again_is_named(kit, random) -> None:
    table = random.normal(size=(9, 4))
    original = kit.subject(
        {"embed.weight": table, "lm_head.weight": table}, tied={"lm_head.weight": "embed.weight"}
    )
    layers = kit.compare(original, {"embed.weight": table, "lm_head.weight": table.T})
    assert layers["lm_head"].original.parameters == 0
    assert layers["lm_head"].compressed.parameters == 36
    assert layers["lm_head"].note.endswith(
        "lm_head.weight was tied to embed.weight and is stored again"
    )


def test_the_exporter_may_keep_the_other_name_of_a_tied_weight(kit, random) -> None:
    table = random.normal(size=(9, 4))
    original = kit.subject(
        {"embed.weight": table, "lm_head.weight": table}, tied={"lm_head.weight": "embed.weight"}
    )
    layers = kit.compare(original, {"lm_head.weight": table, "val_5": table.T.copy()})
    assert layers["embed"].compressed.name == "lm_head"
    assert layers["lm_head"].compressed.name == "val_5"
    assert layers["embed"].weights_equal
    assert layers["lm_head"].weights_equal


# ------------------------------------------------------------------------------------ sums


def test_the_parts_add_up_to_both_models(kit, random) -> None:
    arrays = {f"l{i}.weight": random.normal(size=(4, 5)) for i in range(4)}
    arrays |= {f"l{i}.bias": np.ones(4) for i in range(4)}
    fewer = {name: array for name, array in arrays.items() if "l2" not in name}
    layers = kit.compare(arrays, fewer | {"new.weight": np.ones((7, 7))}).values()
    assert sum(layer.original.parameters for layer in layers if layer.original) == 4 * 24
    assert sum(layer.compressed.parameters for layer in layers if layer.compressed) == 3 * 24 + 49
