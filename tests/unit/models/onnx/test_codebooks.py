"""Shared weights in ONNX: indices that a Gather looks up in a table of few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from compaudit.measure.ledger import take
from compaudit.models.base import Role

TABLE = np.array([0.0, 0.5, -0.5, 2.0], np.float32)
CODES = np.array([[0, 1], [2, 3], [0, 0]])  # of a 3×2 weight, half of it zero


def shared(kit: Any, codes: np.ndarray, table: np.ndarray = TABLE, dtype: type = np.int64) -> Any:
    """x (n, 3) times the weight that the codes stand for."""
    nodes = [helper.make_node("Gather", ["table", "wide"], ["w"], name="lookup")]
    nodes += [helper.make_node("MatMul", ["x", "w"], ["y"], name="dense")]
    stored = numpy_helper.from_array(codes.astype(dtype), "codes")
    if dtype is np.int64:
        nodes[0].input[1] = "codes"
    else:
        nodes.insert(0, helper.make_node("Cast", ["codes"], ["wide"], to=7))
    return kit.read(kit.write(nodes, [numpy_helper.from_array(table, "table"), stored]))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
def test_the_codes_are_the_weight_and_the_table_is_their_codebook(kit: Any, dtype: type) -> None:
    tensors = {tensor.name: tensor for tensor in shared(kit, CODES, dtype=dtype).tensors}
    codes, table = tensors["codes"], tensors["table"]
    assert (codes.role, table.role) == (Role.WEIGHT, Role.QUANTIZATION)
    assert codes.use is not None
    assert (codes.use.node, codes.use.op, codes.use.computed) == ("dense", "MatMul", "float32")
    assert table.use is not None
    assert table.use.node == "dense"


def test_parameters_bytes_and_zeros_by_hand(kit: Any) -> None:
    ledger = take(shared(kit, CODES, dtype=np.uint8))
    assert ledger.parameters == 6
    assert ledger.nonzero_parameters == 3
    assert ledger.weight_bytes == 6 * 1 + 4 * 4


def test_the_weight_is_what_the_codes_stand_for(kit: Any) -> None:
    model = shared(kit, CODES)
    codes = next(tensor for tensor in model.tensors if tensor.name == "codes")
    assert codes.quantization is not None
    values = codes.quantization.values(CODES.reshape(-1), CODES.shape, 0)
    assert values is not None
    assert values.tolist() == [0.0, 0.5, -0.5, 2.0, 0.0, 0.0]


def test_places_from_the_end_are_places_too(kit: Any) -> None:
    ledger = take(shared(kit, CODES - 4))  # what ONNX allows: −4 is the first
    assert ledger.nonzero_parameters == 3


@pytest.mark.parametrize(
    ("codes", "table"),
    [
        (CODES + 4, TABLE),  # beyond the table: no runtime runs that
        (CODES - 9, TABLE),
        (CODES % 2, np.arange(100, dtype=np.float32)),  # more numbers than places
        (CODES % 2, np.eye(4, 2, dtype=np.float32)[:, :, None]),  # rows of words, not numbers
    ],
)
def test_other_lookups_stay_what_they_are(kit: Any, codes: np.ndarray, table: np.ndarray) -> None:
    roles = {tensor.name: tensor.role for tensor in shared(kit, codes, table).tensors}
    assert roles == {"table": Role.WEIGHT, "codes": Role.CONSTANT}


def test_an_embedding_by_computed_places_is_a_weight(kit: Any) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["places"], to=7),
        helper.make_node("Gather", ["table", "places"], ["y"]),
    ]
    (table,) = kit.read(kit.write(nodes, [numpy_helper.from_array(TABLE, "table")])).tensors
    assert table.role is Role.WEIGHT
