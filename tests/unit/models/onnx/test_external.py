"""External data: what is read, what is refused, and that shared bytes count once."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from compaudit.errors import RequestError
from compaudit.models.base import Role

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)


def external(name="w", location="weights.bin", offset="0", length="48", dims=(3, 4)):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=dims)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    return tensor


def matmul(kit, *tensors, **kwargs):
    nodes = [helper.make_node("Sum", ["x", *(tensor.name for tensor in tensors)], ["y"])]
    if len(tensors) == 1:
        nodes = [helper.make_node("MatMul", ["x", tensors[0].name], ["y"])]
    return kit.write(nodes, tensors, **kwargs)


@pytest.fixture
def data(kit) -> Path:
    path = kit.folder / "weights.bin"
    path.write_bytes(WEIGHTS.tobytes())
    return path


def test_read(kit, data) -> None:
    path = matmul(kit, external())
    model = kit.read(path)
    (weight,) = model.tensors
    assert (weight.role, weight.bytes, weight.location) == (Role.WEIGHT, 48, "weights.bin")
    assert kit.values(weight).tolist() == WEIGHTS.reshape(-1).tolist()
    assert model.files == (path, data)
    kit.check_bytes(model)


def test_run(kit, data) -> None:
    runner = kit.load(matmul(kit, external()))
    (y,) = runner.run({"x": np.ones((1, 3), np.float32)}).values()
    np.testing.assert_allclose(y, WEIGHTS.sum(0, keepdims=True))


def test_offset_and_length_may_be_left_out(kit, data) -> None:
    model = kit.read(matmul(kit, external(offset=None, length=None)))
    assert model.tensors[0].bytes == 48


def test_packed_type_in_an_external_file(kit, data) -> None:
    data.write_bytes(bytes([0xFF, 0x21, 0x43]))
    tensor = external(offset="1", length="2", dims=[4])
    tensor.data_type = TensorProto.UINT4
    model = kit.read(matmul(kit, tensor))
    assert kit.values(model.tensors[0]).tolist() == [1, 2, 3, 4]


def test_padding_belongs_to_the_file_and_to_no_tensor(kit, data) -> None:
    data.write_bytes(bytes(4096) + WEIGHTS.tobytes())
    model = kit.read(matmul(kit, external(offset="4096")))
    graph = model.files[0].stat().st_size
    total = sum(file.stat().st_size for file in model.files)
    assert total - model.tensors[0].bytes == graph + 4096


def test_same_bytes_are_tied_and_count_once(kit, data) -> None:
    model = kit.read(matmul(kit, external("a"), external("b")))
    first, second = model.tensors
    assert (first.bytes, first.tied_to) == (48, None)
    assert (second.bytes, second.tied_to) == (0, "a")


def test_overlapping_bytes_count_once(kit, data) -> None:
    tensors = [external(n, offset=o, length="32", dims=[8]) for n, o in (("a", "0"), ("b", "16"))]
    first, second = kit.read(matmul(kit, *tensors)).tensors
    assert (first.bytes, second.bytes, second.tied_to) == (32, 16, None)
    assert second.note == "shares 16 bytes with a"


def test_one_file_under_two_names_is_shipped_once(kit, data) -> None:
    (kit.folder / "again.bin").symlink_to("weights.bin")
    model = kit.read(matmul(kit, external("a"), external("b", "again.bin")))
    assert len(model.files) == 2
    assert model.tensors[1].tied_to == "a"


def test_cache_layout_of_links_into_a_blob_folder(kit) -> None:
    blobs, folder = kit.folder / "blobs", kit.folder / "snapshot"
    blobs.mkdir()
    (blobs / "123").write_bytes(WEIGHTS.tobytes())
    shutil.move(matmul(kit, external(location="model.onnx_data")), blobs / "abc")
    folder.mkdir()
    (folder / "model.onnx").symlink_to("../blobs/abc")
    (folder / "model.onnx_data").symlink_to("../blobs/123")
    path = folder / "model.onnx"
    model = kit.read(path)
    assert model.files == (path, folder / "model.onnx_data")
    kit.check_bytes(model)
    assert kit.load(path).run({"x": np.ones((1, 3), np.float32)})["y"].shape == (1, 4)


# ------------------------------------------------------------------------------ refused


def refusal(kit, path) -> RequestError:
    """Reading and loading refuse alike, with a sentence, a hint and the model's name."""
    with pytest.raises(RequestError) as reading:
        kit.read(path)
    with pytest.raises(RequestError) as loading:
        kit.load(path)
    assert reading.value.code == loading.value.code
    assert reading.value.model == loading.value.model == str(path)
    assert reading.value.hint
    assert "\n" not in reading.value.message
    return reading.value


@pytest.mark.parametrize(
    "location",
    [
        *("", ".", "./", "/etc/passwd", "../secret.bin", "a/../../secret.bin", "a/../weights.bin"),
        *("..\\secret.bin", "C:weights.bin", "C:/weights.bin", "//host/share", "weights.bin\0x"),
        *("/dev/zero", "folder", "pipe", "out.bin", "out_folder/secret.bin"),
    ],
)
def test_unsafe_locations(kit, data, location) -> None:
    outside = kit.folder.parent / f"{kit.folder.name}-outside"
    outside.mkdir()
    (outside / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (kit.folder / "folder").mkdir()
    os.mkfifo(kit.folder / "pipe")
    (kit.folder / "out.bin").symlink_to(outside / "secret.bin")
    (kit.folder / "out_folder").symlink_to(outside)
    error = refusal(kit, matmul(kit, external(location=location)))
    assert error.code == "unsafe-external-data"
    assert "'w'" in error.message


def test_a_location_stated_twice(kit, data) -> None:
    tensor = external()
    tensor.external_data.add(key="location", value="/etc/passwd")
    assert refusal(kit, matmul(kit, tensor)).code == "unsafe-external-data"


def test_text_cannot_be_external(kit, data) -> None:
    tensor = external(location="/etc/passwd")
    tensor.data_type = TensorProto.STRING
    assert refusal(kit, matmul(kit, tensor)).code == "broken-model"


def test_link_to_a_device(kit) -> None:
    (kit.folder / "zero.bin").symlink_to("/dev/zero")
    assert refusal(kit, matmul(kit, external(location="zero.bin"))).code == "unsafe-external-data"


@pytest.mark.parametrize("location", ["nothing.bin", "x" * 5000, "loop.bin", "*/_ORT_MEM_ADDR_/*"])
def test_missing(kit, location) -> None:
    (kit.folder / "loop.bin").symlink_to("loop.bin")
    error = refusal(kit, matmul(kit, external(location=location)))
    assert error.code in ("missing-external-data", "unsafe-external-data")


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        *(("-1", "48"), ("1.5", "48"), ("0x0", "48"), ("", "48"), (" 0", "48"), ("٣", "48")),
        *(("9" * 5000, "48"), ("1", "48"), ("48", "48"), ("0", "47"), ("0", "49"), ("0", "-48")),
        ("9223372036854775807", "48"),
    ],
)
def test_numbers_that_do_not_fit(kit, data, offset, length) -> None:
    error = refusal(kit, matmul(kit, external(offset=offset, length=length)))
    assert error.code == "broken-external-data"


def test_external_data_deep_inside_is_found_too(kit, data) -> None:
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=external("", "../secret.bin"))],
        "branch",
        [],
        [helper.make_tensor_value_info("c", 1, None)],
    )
    nodes = [
        helper.make_node("Constant", [], ["on"], value=helper.make_tensor("", 9, [], [True])),
        helper.make_node("If", ["on"], ["y"], then_branch=branch, else_branch=branch),
    ]
    assert refusal(kit, kit.write(nodes)).code == "unsafe-external-data"


def test_names_in_errors_carry_no_control_characters(kit) -> None:
    error = refusal(kit, matmul(kit, external("w\x1b[31m", "no\x07such\x1b[0m.bin")))
    assert error.message.isprintable()
