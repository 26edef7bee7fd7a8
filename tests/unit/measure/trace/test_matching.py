"""Which values are the same thing, where names tell, mislead, or say nothing. Nothing is run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from compaudit.measure.layers.matching import line_up
from compaudit.measure.trace.graph import Scale, TracedGraph
from compaudit.measure.trace.matching import Match, Rows, match_graphs

node = helper.make_node
info = helper.make_tensor_value_info


def conv(given: str, made: str, weight: str = "conv.weight", name: str = "/conv/Conv"):
    return node("Conv", [given, weight], [made], name, pads=[1, 1, 1, 1])


def normalisation(given: str, made: str):
    names = [f"norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    return node("BatchNormalization", [given, *names], [made], "/norm/BatchNormalization")


NORM = {
    **{f"norm.{part}": np.linspace(1, 2, 2) for part in ("weight", "bias")},
    **{f"norm.running_{part}": np.linspace(1, 2, 2) for part in ("mean", "var")},
}
CONV = {"conv.weight": np.arange(36).reshape(2, 2, 3, 3)}


@pytest.fixture
def match(kit, tmp_path: Path):
    """The matches of two models of nodes and weights."""
    kit.inputs = ("x",)

    def made(name: str, nodes: Sequence[onnx.NodeProto], weights: dict[str, np.ndarray]):
        tensors = [
            numpy_helper.from_array(
                np.asarray(array, None if array.dtype.kind in "iu" and array.ndim < 2 else "f4"),
                weight,
            )
            for weight, array in weights.items()
        ]
        graph = helper.make_graph(
            list(nodes), "g", [info("x", 1, ["n", 2, 8, 8])], [info("y", 1, None)], tensors
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return kit.subject(
            kit.write(name, helper.make_model(graph, ir_version=8, opset_imports=opsets))
        )

    def matched(original, compressed) -> list[Match]:
        ours, theirs = made("a.onnx", *original), made("b.onnx", *compressed)
        rows = Rows(line_up(ours.profiles(), theirs.profiles()))
        graphs = (TracedGraph(side.model, side.tensors) for side in (ours, theirs))
        return match_graphs(*graphs, rows)

    return matched


def told(matches: Sequence[Match]) -> dict[str, tuple[str, str]]:
    return {match.name: (match.compressed.name, match.by) for match in matches}


ORIGINAL = (
    [
        conv("x", "c"),
        normalisation("c", "n"),
        node("Relu", ["n"], ["r"]),
        node("Neg", ["r"], ["y"]),
    ],
    CONV | NORM,
)


def test_the_same_names(match) -> None:
    names = ("c", "n", "r", "y")
    assert told(match(ORIGINAL, ORIGINAL)) == {name: (name, "name") for name in names}


@pytest.mark.parametrize("kept", ["c", "n", "z"])
def test_a_folded_normalisation(match, kept: str) -> None:
    """Whatever the folded convolution calls its result, it is what the normalisation gave."""
    folded = [conv("x", kept), node("Relu", [kept], ["r"]), node("Neg", ["r"], ["y"])]
    by = "name" if kept == "n" else "layer"
    assert told(match(ORIGINAL, (folded, CONV))) == {
        "n": (kept, by),
        "r": ("r", "name"),
        "y": ("y", "name"),
    }
    # And the other way round: the original folded, the compressed model not.
    assert told(match((folded, CONV), ORIGINAL))[kept] == ("n", by)


def test_numbers_that_moved_on_prove_nothing(match) -> None:
    """An exporter counts: one more layer in front, and every name is another value's."""
    weights = {f"{name}.weight": CONV["conv.weight"] + at for at, name in enumerate("abc")}

    def chain(names: str) -> list[onnx.NodeProto]:
        values = ["x", *(f"val_{at}" for at in range(len(names)))]
        layers = [
            conv(given, made, f"{name}.weight", f"/{name}/Conv")
            for given, made, name in zip(values, values[1:], names, strict=False)
        ]
        return [*layers, node("Neg", [values[-1]], ["y"])]

    found = told(match((chain("ac"), weights), (chain("abc"), weights)))
    assert found == {
        "val_0": ("val_0", "name"),
        "val_1": ("val_2", "layer"),
        "y": ("y", "name"),
    }


def test_a_bias_of_its_own_belongs_to_the_layer(match) -> None:
    """Gemm in the one, MatMul and Add in the other."""
    flat = node("Flatten", ["x"], ["f"])
    weights = {"fc.weight": np.ones((128, 3)), "fc.bias": np.ones(3)}
    whole = [flat, node("Gemm", ["f", "fc.weight", "fc.bias"], ["g"]), node("Tanh", ["g"], ["y"])]
    parts = [
        *(flat, node("MatMul", ["f", "fc.weight"], ["m"]), node("Add", ["fc.bias", "m"], ["a"])),
        node("Tanh", ["a"], ["y"]),
    ]
    assert told(match((whole, weights), (parts, weights))) == {
        "g": ("a", "layer"),
        "y": ("y", "name"),
    }
    assert told(match((parts, weights), (whole, weights))) == {
        "a": ("g", "layer"),
        "y": ("y", "name"),
    }


SCALES = {"s": np.asarray(0.5, np.float32).reshape(()), "z": np.asarray(7, np.uint8).reshape(())}


def quantised(value: str) -> list[onnx.NodeProto]:
    names = ["s", "z"]
    return [
        node("QuantizeLinear", [value, *names], [f"{value}_q"]),
        node("DequantizeLinear", [f"{value}_q", *names], [f"{value}_dq"]),
    ]


PLAIN = ([conv("x", "c"), node("Relu", ["c"], ["r"]), node("Neg", ["r"], ["y"])], CONV)


@pytest.mark.parametrize("name", ["r", "c"])
def test_codes_that_do_the_work_of_a_relu(match, name: str) -> None:
    """ONNX Runtime gives the convolution the Relu's name, others keep the convolution's."""
    nodes = [conv("x", name), *quantised(name), node("Neg", [f"{name}_dq"], ["y"])]
    found = told(match(PLAIN, (nodes, CONV | SCALES)))
    assert found == {
        "r": (f"{name}_dq", "name" if name == "r" else "layer"),
        "y": ("y", "name"),
    }


def test_a_relu_that_is_still_there_behind_codes(match) -> None:
    """The range of the codes in front of it may be that of what is behind it."""
    nodes = [
        *(conv("x", "c"), *quantised("c"), node("Relu", ["c_dq"], ["r"]), *quantised("r")),
        node("Neg", ["r_dq"], ["y"]),
    ]
    assert told(match(PLAIN, (nodes, CONV | SCALES))) == {
        "r": ("r_dq", "name"),
        "y": ("y", "name"),
    }


@pytest.mark.parametrize("name", ["r", "c", "f"])
def test_a_relu_that_was_fused_into_the_layer(match, name: str) -> None:
    """As ONNX Runtime saves a model that it optimised."""
    fused = node(
        "FusedConv", ["x", "conv.weight"], [name], "/conv/Conv", domain="com.microsoft",
        pads=[1, 1, 1, 1], activation="Relu",
    )  # fmt: skip
    other = ([fused, node("Neg", [name], ["y"])], CONV)
    by = "name" if name == "r" else "layer"
    assert told(match(PLAIN, other)) == {"r": (name, by), "y": ("y", "name")}
    assert told(match(other, PLAIN)) == {name: ("r", by), "y": ("y", "name")}


def test_another_activation_is_another_value(match) -> None:
    """A Sigmoid in the place of a Relu: what goes into it is the same."""
    other = [conv("x", "k"), node("Sigmoid", ["k"], ["s"]), node("Neg", ["s"], ["y"])]
    assert told(match(PLAIN, (other, CONV))) == {"c": ("k", "layer"), "y": ("y", "name")}


def test_a_quantised_original(match) -> None:
    nodes = [conv("x", "c"), *quantised("c"), node("Neg", ["c_dq"], ["y"])]
    found = match((nodes, CONV | SCALES), PLAIN)
    assert [(one.original.name, one.compressed.name) for one in found] == [
        ("c_dq", "r"),
        ("y", "y"),
    ]


def test_codes_without_anything_behind_them(match) -> None:
    plain = [conv("x", "c"), node("Neg", ["c"], ["y"])]
    nodes = [conv("x", "c"), *quantised("c"), node("Neg", ["c_dq"], ["y"])]
    found = match((plain, CONV), (nodes, CONV | SCALES))
    assert told(found) == {"c": ("c_dq", "name"), "y": ("y", "name")}


def test_operators_on_codes_have_a_scale(match) -> None:
    """QLinearConv and a MaxPool of codes: (code − 7) × 0.5."""
    weights = {"conv.weight_quantized": np.ones((2, 2, 3, 3)), "w_s": np.float32([1, 1])}
    plain = [
        *(conv("x", "c"), node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2])),
        node("Neg", ["p"], ["y"]),
    ]
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["x_quantized"]),
        node("Cast", ["conv.weight_quantized"], ["w"], to=3),
        node(
            "QLinearConv", ["x_quantized", "s", "z", "w", "s", "w_z", "s", "z"], ["c_quantized"],
            "/conv/Conv_quant", pads=[1, 1, 1, 1],
        ),
        node("MaxPool", ["c_quantized"], ["p_quantized"], kernel_shape=[2, 2]),
        node("DequantizeLinear", ["p_quantized", "s", "z"], ["p"]),
        node("Neg", ["p"], ["y"]),
    ]  # fmt: skip
    codes = weights | SCALES | {"w_z": np.asarray(0, np.int8).reshape(())}
    found = {one.name: one for one in match((plain, CONV), (nodes, codes))}
    assert found["c"].compressed.name == "c_quantized"
    assert found["c"].compressed.scale == Scale(0.5, 7)
    assert found["p"].compressed.name == "p"
    assert found["p"].compressed.scale is None


def test_a_weight_that_serves_twice(match) -> None:
    """As tied layers do: each use is a value of its own, and only names tell them apart."""
    nodes = [conv("x", "a"), conv("a", "b", name="/conv_1/Conv"), node("Neg", ["b"], ["y"])]
    assert told(match((nodes, CONV), (nodes, CONV))) == {
        name: (name, "name") for name in ("a", "b", "y")
    }


def test_what_is_no_signal_is_no_candidate(match) -> None:
    nodes = [
        *(conv("x", "c"), node("Shape", ["c"], ["sizes"]), node("Cast", ["sizes"], ["f"], to=1)),
        *(node("Reshape", ["c", "sizes"], ["same"]), node("Relu", ["same"], ["r"])),
        *(node("ReduceMax", ["f"], ["most"]), node("Neg", ["r"], ["y"])),
    ]
    assert list(told(match((nodes, CONV), (nodes, CONV)))) == ["c", "r", "y"]
