"""Sizes from a run: what depends on data, in batches, with external data."""

import itertools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compaudit.errors import RequestError
from compaudit.models.base import RunSettings, Source
from compaudit.models.onnx.shape_run import shapes_from_run

node, info, array = helper.make_node, helper.make_tensor_value_info, numpy_helper.from_array


def run(path, wanted, **feeds):
    return shapes_from_run(Source(str(path), "onnx", path=str(path)), RunSettings(), feeds, wanted)


def test_sizes_that_depend_on_data(kit) -> None:
    path = kit.write([node("NonZero", ["x"], ["h"]), node("Cast", ["h"], ["y"], to=1)])
    x = np.array([[1, 0, 1]], np.float32)
    assert run(path, ["h", "y", "nowhere"], x=x) == {"h": (2, 2), "y": (2, 2)}
    assert run(path, [], x=x) == {}


def test_more_values_than_are_held_at_once(kit) -> None:
    names = ["x", *(f"h{n}" for n in range(70)), "y"]
    pairs = itertools.pairwise(names)
    path = kit.write([node("Relu", [a], [b]) for a, b in pairs])
    found = run(path, names[1:], x=np.zeros((1, 3), np.float32))
    assert found == dict.fromkeys(names[1:], (1, 3))


def test_functions_and_external_data(kit, tmp_path) -> None:
    opsets = [helper.make_opsetid("", 21)]
    body = [node("MatMul", ["a", "b"], ["m"]), node("Relu", ["m"], ["c"])]
    function = helper.make_function("local", "F", ["a", "b"], ["c"], body, opsets)
    weight = array(np.zeros((3, 400), np.float32), "w")
    path = kit.write([node("F", ["x", "w"], ["y"], domain="local")], [weight], functions=[function])
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="data", size_threshold=0)
    found = run(path, ["y>local::F/m"], x=np.zeros((1, 3), np.float32))
    assert found == {"y>local::F/m": (1, 400)}


def test_operators_of_onnx_runtime(kit) -> None:
    packed = array(np.zeros((7, 1, 8), np.uint8), "p")
    scales = array(np.ones(7, np.float32), "s")
    attributes = {"K": 16, "N": 7, "bits": 4, "block_size": 16}
    path = kit.write(
        [node("MatMulNBits", ["x", "p", "s"], ["y"], domain="com.microsoft", **attributes)],
        [packed, scales],
        inputs=[info("x", TensorProto.FLOAT, ["n", 16])],
    )
    assert run(path, ["y"], x=np.zeros((1, 16), np.float32)) == {"y": (1, 7)}


def test_external_data_is_checked_first(kit) -> None:
    path = kit.write([node("MatMul", ["x", "w"], ["y"])], [array(np.zeros((3, 4)), "w")])
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(RequestError) as caught:
        run(path, ["y"], x=np.zeros((1, 3), np.float32))
    assert caught.value.code == "unsafe-external-data"


def test_feeds_that_do_not_fit(kit) -> None:
    path = kit.write([node("Relu", ["x"], ["y"])])
    with pytest.raises(RequestError):
        run(path, ["y"], x=np.zeros((1, 4), np.float32))
