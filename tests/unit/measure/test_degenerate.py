"""Scales by which codes lose what they stood for, on tensors made by hand."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compaudit.measure.degenerate import degenerate_scales
from compaudit.models.base import Graph, Model, Node, Role, Source, Tensor
from compaudit.models.quantized import Quantization, Shared
from compaudit.results.behaviour import Degenerate


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
