"""From bytes to a parsed model: recognising, skimming, and files that are damaged."""

import secrets

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compaudit.errors import RequestError
from compaudit.models.base import Head
from compaudit.models.onnx import proto
from compaudit.models.onnx.format import OnnxFormat
from compaudit.models.onnx.recognise import looks_like_onnx
from compaudit.models.onnx.skim import LARGE, MESSAGES, RAW_DATA, is_cut_short, place_of, skim


def model(*tensors, **fields) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [2])],
        [helper.make_tensor_value_info("y", 1, [2])],
        list(tensors),
    )
    return helper.make_model(graph, **fields)


# --------------------------------------------------------------------------- recognising


def recognised(data: bytes) -> bool:
    return looks_like_onnx(data[:65536], len(data))


def test_models_are_recognised(tmp_path) -> None:
    data = model(producer_name="pytorch", doc_string="a\nb").SerializeToString()
    assert recognised(data)
    path = tmp_path / "whatever.bin"
    path.write_bytes(data)
    assert OnnxFormat().recognise(Head(path, data, len(data)))


def test_a_large_model_is_recognised_by_its_head() -> None:
    big = numpy_helper.from_array(np.zeros(100_000, np.float32), "w")
    data = model(big).SerializeToString()
    assert looks_like_onnx(data[:65536], len(data))


def test_truncated_models_are_recognised_so_that_the_error_can_say_so() -> None:
    data = model(producer_name="pytorch").SerializeToString()
    assert all(recognised(data[:size]) for size in range(2, len(data)))


def test_other_orders_of_fields() -> None:
    whole = model(producer_name="a")
    graph = onnx.ModelProto(graph=whole.graph).SerializeToString()
    rest = onnx.ModelProto(ir_version=8, opset_import=whole.opset_import).SerializeToString()
    assert recognised(graph + rest)
    assert recognised(rest + graph)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\0" * 64, b"\xff" * 64, b"PK\x03\x04" + bytes(64), b"\x93NUMPY\x01\x00"),
        *(b"\x80\x02}q\x00", b"\x89HDF\r\n\x1a\n", b"#!/bin/sh\necho :", b'"name": 1', b"BM" * 40),
        *(b":)\nhello", b"version https://git-lfs.github.com/spec/v1\n", b"(lp0\n" * 20),
        b"\x20\x00\x00\x00TFL3" + bytes(64),
        b"\x08\x01\x12\xff\x01\x0a\x05hello\x1a\x02\x00\x00" + bytes(300),  # a TF SavedModel
        (200).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}' + bytes(300),  # safetensors
    ],
)
def test_other_files_are_not(data) -> None:
    assert not recognised(data)


# ------------------------------------------------------------------------------ skimming


def skimmed(whole: onnx.ModelProto) -> tuple[onnx.ModelProto, bytes]:
    data = whole.SerializeToString()
    slim = onnx.ModelProto()
    slim.ParseFromString(skim(memoryview(data)))
    return slim, data


def test_the_table_of_messages_is_that_of_onnx() -> None:
    def leads_to_tensors(kind, seen=()):
        if kind.name == "TensorProto":
            return True
        inner = {field.message_type for field in kind.fields} - {None, *seen}
        return any(leads_to_tensors(child, (*seen, kind)) for child in inner)

    for name, fields in MESSAGES.items():
        kind = getattr(onnx, name, None) or onnx.onnx_ml_pb2.DESCRIPTOR.message_types_by_name[name]
        kind = getattr(kind, "DESCRIPTOR", kind)
        expected = {
            field.number: field.message_type.name
            for field in kind.fields
            if field.message_type and leads_to_tensors(field.message_type)
        }
        assert fields == expected, name
    assert TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number == RAW_DATA


def test_large_raw_data_stays_in_the_file() -> None:
    values = np.arange(LARGE, dtype=np.float32)
    slim, data = skimmed(model(numpy_helper.from_array(values, "w")))
    assert slim.ByteSize() < 400
    place = place_of(slim.graph.initializer[0].raw_data)
    assert place is not None
    assert data[place.offset : place.offset + place.length] == values.tobytes()


def test_small_models_are_not_changed() -> None:
    whole = model(numpy_helper.from_array(np.ones(9, np.float32), "w"))
    assert skimmed(whole)[0] == whole


def test_large_tensors_in_subgraphs_and_constants_are_found() -> None:
    values = numpy_helper.from_array(np.ones(LARGE, np.uint8), "w")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=values)], "b", [], [], [values]
    )
    whole = model()
    whole.graph.node.append(
        helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    )
    slim, data = skimmed(whole)
    assert slim.ByteSize() < 1000
    inner = slim.graph.node[1].attribute[0].g
    for raw in (inner.initializer[0].raw_data, inner.node[0].attribute[0].t.raw_data):
        place = place_of(raw)
        assert data[place.offset : place.offset + place.length] == b"\1" * LARGE


def test_a_note_cannot_be_forged() -> None:
    assert place_of(secrets.token_bytes(32)) is None
    assert place_of(b"") is None


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_parse_alike_with_and_without_skimming(data) -> None:
    def parse(content):
        try:
            return onnx.ModelProto.FromString(content)
        except Exception:
            return None

    assert parse(bytes(skim(memoryview(data)))) == parse(data)


def test_cut_short() -> None:
    data = model().SerializeToString()
    assert not is_cut_short(memoryview(data))
    assert is_cut_short(memoryview(data[:-1]))
    assert not is_cut_short(memoryview(b"\x0f\x0f"))


# ------------------------------------------------------------------------- damaged files


def refused(path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(RequestError) as caught:
        proto.parse(path)
    assert caught.value.hint
    return caught.value.code


def test_damaged_files(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    data = model(numpy_helper.from_array(np.ones(LARGE, np.float32), "w")).SerializeToString()
    assert refused(path, b"") == "truncated-model"
    assert refused(path, data[:-1]) == "truncated-model"
    assert refused(path, data[: len(data) // 2]) == "truncated-model"
    assert refused(path, b"\x08\x07\x3a\x02\x0a\x7f" + bytes(8)) == "broken-model"
    assert refused(path, b"\x08\x07") == "not-a-model"


def test_missing_file(tmp_path) -> None:
    with pytest.raises(RequestError) as caught:
        proto.parse(tmp_path / "nothing.onnx")
    assert caught.value.code == "unreadable-file"


def test_files_above_two_gibibytes(tmp_path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as stream:
        stream.truncate(2**31)  # sparse: takes no room on the disk
    with pytest.raises(RequestError, match="2 GiB") as caught:
        proto.parse(path)
    assert caught.value.code == "model-too-large"


def test_a_name_that_is_not_unicode(tmp_path) -> None:
    assert proto.text(b"\xff\xfe") == "\ufffd\ufffd"
    assert proto.text("name") == "name"
