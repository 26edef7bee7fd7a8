"""Scales by which codes lose what they stood for, on tensors made by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from compaudit.measure.degenerate import degenerate_scales
from compaudit.models import open as models
from compaudit.models.base import Graph, Model, Node, Role, Source, Tensor
from compaudit.models.quantized import Quantization, Shared
from compaudit.results.behaviour import Degenerate

SAMPLES = Path(__file__).parents[3] / "sample_models"


def tensor(
    name: str, values: Any, role: Role = Role.WEIGHT, quantization: Quantization | None = None
) -> Tensor:
    array: NDArray[Any] = np.asarray(values)

    def chunks() -> Iterator[NDArray[Any]]:
        """In pieces that end within a row, as those of a large tensor do."""
        flat = array.reshape(-1)
        yield from (flat[start : start + 3] for start in range(0, flat.size, 3))

    return Tensor(
        name, role, array.dtype.name, array.shape, array.size, array.nbytes, chunks, quantization
    )


def model(*tensors: Tensor, graph: Graph | None = None) -> Model:
    return Model(Source("m", "onnx"), tensors, graph, ())


CODES = np.int8([[1, 2, 0, 4], [5, 0, 7, 8]])


def per_channel(*numbers: float, dtype: Any = np.float32) -> Shared:
    return Shared.per_channel(np.array(numbers, dtype), 0, CODES.shape)


@pytest.mark.parametrize(
    ("scale", "zero_point", "expected"),
    [
        (per_channel(0.1, 0.2), None, None),
        (per_channel(-0.1, 0.2), None, None),  # quantisers to 4 bits use negative scales
        (per_channel(0.1, 0.0), None, ("lost", 3)),  # 5, 7 and 8
        (per_channel(0.0, 0.2), per_channel(4, 0, dtype=np.int8), ("lost", 3)),  # all but the 4
        (per_channel(0.1, np.inf), None, ("not finite", 1)),
        (per_channel(np.nan, np.nan, dtype=np.float16), None, ("not finite", 2)),
        (per_channel(0.1, 0.2), per_channel(0.0, np.nan), ("not finite", 1)),
        (Shared.one(np.float32(0)), None, ("lost", 6)),
        (None, None, None),
    ],
)
def test_scales_of_weights(
    scale: Shared | None, zero_point: Shared | None, expected: tuple[Any, int] | None
) -> None:
    found = degenerate_scales(
        model(tensor("w", CODES, quantization=Quantization(scale, zero_point)))
    )
    what = [] if expected is None else [Degenerate(name="w", what=expected[0], count=expected[1])]
    assert found == what


def test_a_scale_of_zero_over_zeros_is_how_a_pruned_channel_is_stored() -> None:
    codes = np.int8([[1, 2], [0, 0]])
    scale = Shared.per_channel(np.float32([0.1, 0]), 0, codes.shape)
    assert degenerate_scales(model(tensor("w", codes, quantization=Quantization(scale)))) == []


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (0.5, []),
        (0.0, [Degenerate(name="s", what="zero", count=1)]),
        (np.nan, [Degenerate(name="s", what="not finite", count=1)]),
    ],
)
def test_scales_of_what_flows_between_layers(scale: float, expected: list[Degenerate]) -> None:
    """One scale, read by Quantize- and by DequantizeLinear, is told once."""
    nodes = (
        Node("q", "QuantizeLinear", ("x", "s", "z"), ("xq",)),
        Node("d", "DequantizeLinear", ("xq", "s", "z"), ("xd",)),
        Node("a", "Add", ("xd", "s"), ("y",)),
    )
    stored = tensor("s", np.float32(scale), Role.QUANTIZATION)
    assert degenerate_scales(model(stored, graph=Graph(nodes, (), ()))) == expected


def test_a_real_model_with_a_scale_of_zero(tmp_path: Path) -> None:
    """One channel of a sample's weights is given the scale 0, and one activation NaN."""
    model = onnx.load(SAMPLES / "digits_int8.onnx")
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    weight, activation = _dequantised(model, stored)
    scales = onnx.numpy_helper.to_array(stored[weight.input[1]]).copy()
    scales[2] = 0
    stored[weight.input[1]].CopyFrom(onnx.numpy_helper.from_array(scales, weight.input[1]))
    nan = np.full_like(onnx.numpy_helper.to_array(stored[activation.input[1]]), np.nan)
    stored[activation.input[1]].CopyFrom(onnx.numpy_helper.from_array(nan, activation.input[1]))
    onnx.save(model, tmp_path / "broken.onnx")
    codes = onnx.numpy_helper.to_array(stored[weight.input[0]])
    broken = read(tmp_path / "broken.onnx")
    assert degenerate_scales(broken) == [
        Degenerate(name=weight.input[0], what="lost", count=int(np.count_nonzero(codes[2]))),
        Degenerate(name=activation.input[1], what="not finite", count=1),
    ]
    sound = read(SAMPLES / "digits_int8.onnx")
    assert degenerate_scales(sound) == []


def read(path: Path) -> Model:
    return models.read(models.recognise(str(path)), trust_model_code=False)


def _dequantised(model: Any, stored: dict[str, Any]) -> tuple[Any, Any]:
    """A DequantizeLinear of weights with a scale for each channel, and one of activations."""
    nodes = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    weight = next(
        node for node in nodes if node.input[0] in stored and stored[node.input[1]].dims[:1] > [2]
    )
    return weight, next(node for node in nodes if node.input[0] not in stored)
