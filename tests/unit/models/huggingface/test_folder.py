"""What of a folder is the model, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.models import open as models
from compaudit.models.base import Role, RunSettings

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def two_shards(kit):
    return kit.sharded({ONE: {"a.weight": WEIGHT}, TWO: {"b.weight": WEIGHT, "b.bias": WEIGHT[0]}})


def refused(kit, code, *said, spec=None):
    with pytest.raises(RequestError) as caught:
        kit.read(spec)
    error = caught.value
    assert error.code == code, error.message
    assert error.model == (spec or str(kit.folder))
    assert error.stage == "open"
    assert error.hint
    for words in said:
        assert words in error.message
    return error


# ------------------------------------------------------------------------------- what is read


def test_one_file(kit):
    kit.write({"a.weight": WEIGHT, "norm.weight": np.ones(3, np.float16)})
    model = kit.read()
    assert model.files == (kit.folder / "model.safetensors",)
    assert [(tensor.name, tensor.location) for tensor in model.tensors] == [
        ("a.weight", "file"),
        ("norm.weight", "file"),
    ]
    assert kit.ledger().parameters == 9


def test_shards_and_their_index_add_up(kit):
    two_shards(kit)
    model, ledger = kit.read(), kit.ledger()
    assert model.files == (kit.folder / ONE, kit.folder / TWO, kit.folder / INDEX)
    assert {tensor.name: tensor.location for tensor in model.tensors} == {
        "a.weight": ONE,
        "b.weight": TWO,
        "b.bias": TWO,
    }
    assert (ledger.parameters, ledger.weight_bytes) == (15, 60)
    assert ledger.file_bytes == sum(path.stat().st_size for path in model.files)
    assert ledger.graph_bytes == ledger.file_bytes - 60
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in model.files}
    listing = "".join(f"{name} {digest}\n" for name, digest in sorted(hashes.items()))
    assert ledger.sha256 == hashlib.sha256(listing.encode()).hexdigest()


def test_the_name_of_a_folder(kit, monkeypatch):
    two_shards(kit)
    monkeypatch.chdir(kit.folder)
    for spec in (str(kit.folder), f"{kit.folder}/", ".", "./", f"{kit.folder}/.", "../model"):
        source = models.recognise(spec)
        assert (source.spec, source.label) == (spec, "model")
        assert len(kit.read(spec).tensors) == 3
    (kit.folder / "inner").mkdir()
    monkeypatch.chdir(kit.folder / "inner")
    assert models.recognise("..").label == "model"


def test_roles_are_told_by_the_names_of_all_shards(kit):
    """``scale`` is a scale only where its codes are, and these are in the other shard."""
    codes = np.ones((2, 3), np.int8)
    kit.sharded({ONE: {"q.weight": codes}, TWO: {"q.scale": np.ones(2, np.float32)}})
    assert kit.tensors()["q.scale"].role is Role.QUANTIZATION


def test_a_single_file_goes_before_the_index(kit):
    """As in transformers; and a file that no index names is no part of the model."""
    two_shards(kit)
    kit.shard("consolidated.safetensors", {"other.weight": WEIGHT})
    assert len(kit.read().tensors) == 3
    kit.shard("model.safetensors", {"c.weight": WEIGHT})
    assert [tensor.name for tensor in kit.read().tensors] == ["c.weight"]
    assert kit.read().files == (kit.folder / "model.safetensors",)


def test_names_of_other_tools(kit):
    kit.shard("gptq_model-4bit-128g.safetensors", {"a.weight": WEIGHT})
    assert kit.read().files == (kit.folder / "gptq_model-4bit-128g.safetensors",)
    index = {"weight_map": {"b.weight": "gptq_model-4bit-128g.safetensors"}}
    kit.config(index, "gptq_model-4bit-128g.safetensors.index.json")
    refused(kit, "broken-model", "'b.weight'", "lacks it")


def test_a_complete_set_without_an_index(kit):
    two_shards(kit)
    (kit.folder / INDEX).unlink()
    assert len(kit.read().tensors) == 3
    (kit.folder / ONE).unlink()
    refused(kit, "missing-shard", ONE)


def test_the_cache_of_links_into_blobs(kit, tmp_path):
    """huggingface_hub keeps every file in ``blobs`` and a snapshot of links to them."""
    two_shards(kit)
    blobs, snapshot = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "0a1b2c"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for place, path in enumerate(sorted(kit.folder.iterdir())):
        path.rename(blobs / f"blob{place}")
        (snapshot / path.name).symlink_to(f"../../blobs/blob{place}")
    model = kit.read(str(snapshot))
    assert len(model.tensors) == 3
    assert model.files == (snapshot / ONE, snapshot / TWO, snapshot / INDEX)


def test_one_shard_under_two_names_is_one_shard(kit):
    two_shards(kit)
    (kit.folder / "link.safetensors").symlink_to(TWO)
    places = {"a.weight": f"./{ONE}", "b.weight": TWO, "b.bias": "link.safetensors"}
    kit.config({"weight_map": places}, INDEX)
    model = kit.read()
    assert len(model.tensors) == len(model.files) == 3


def test_a_shard_in_a_folder_of_the_folder(kit):
    kit.sharded({"unet/one.safetensors": {"a.weight": WEIGHT}})
    assert kit.read().files[0] == kit.folder / "unet/one.safetensors"
    assert kit.ledger().parameters == 6


def test_a_tensor_in_two_shards(kit):
    """The index says which is read; the other costs its bytes and is no parameter."""
    kit.sharded({ONE: {"a.weight": WEIGHT}, TWO: {"b.weight": WEIGHT}})
    kit.shard(ONE, {"a.weight": WEIGHT, "b.weight": WEIGHT})
    found = kit.tensors()
    copy = found[f"b.weight ({ONE})"]
    assert (copy.role, copy.bytes, copy.location) == (Role.UNUSED, 24, ONE)
    assert found["b.weight"].role is Role.WEIGHT
    assert kit.ledger().parameters == 12
    (kit.folder / INDEX).unlink()
    refused(kit, "broken-model", "'b.weight'", "no index")


def test_a_tied_head_that_is_stored_all_the_same(kit):
    """``tie_word_embeddings`` shares no bytes of a file: two stored copies are two tensors."""
    tensors = {"model.embed_tokens.weight": WEIGHT, "lm_head.weight": WEIGHT}
    kit.write(tensors, tie_word_embeddings=True)
    assert (kit.ledger().parameters, kit.ledger().weight_bytes) == (12, 48)


def test_tensors_that_the_index_leaves_out_are_read(kit):
    two_shards(kit)
    kit.config({"weight_map": {"a.weight": ONE, "b.weight": TWO}}, INDEX)
    assert kit.tensors()["b.bias"].role is Role.BIAS


def test_no_configuration(kit):
    kit.shard("model.safetensors", {"a.weight": WEIGHT})
    assert kit.ledger().parameters == 6
    kit.shard("model.safetensors", {"a.qweight": np.ones((2, 2), np.int32)})
    assert "config.json says nothing of its packing" in kit.uncounted()


@pytest.mark.parametrize("part", ["text_config", "llm_config"])
def test_the_configuration_of_a_language_model_within_another(kit, part):
    tensors = {"q.weight": np.ones((2, 2), np.int8), "q.SCB": np.ones(2, np.float32)}
    kit.write(tensors, **{part: {"quantization_config": {"load_in_8bit": True}}})
    assert kit.tensors()["q.weight"].quantization is not None


# --------------------------------------------------------------------------- unknown packings


@pytest.mark.parametrize(
    "method", ["hqq", "aqlm", "eetq", "quip", "quanto", "torchao", "higgs", "vptq", 3, ["x"], None]
)
def test_an_unknown_packing_has_a_ledger_and_no_parameters(kit, method):
    tensors = {"a.weight": WEIGHT, "a.codes": np.ones((2, 3), np.uint8), "q.W_q": WEIGHT}
    kit.write(tensors, {"quant_method": method, "bits": 4})
    reason = kit.uncounted()
    assert "a.weight" in reason
    assert repr(str(method)) in reason


def test_weights_of_another_packing_than_the_one_stated(kit):
    tensors = {"q.qweight": np.ones((2, 2), np.int32), "n.weight": WEIGHT}
    kit.write(tensors, {"quant_method": "fp8"})
    assert "q.qweight holds several weights" in kit.uncounted()


# --------------------------------------------------------------------------------- pickles


def test_pickles(kit):
    torch = pytest.importorskip("torch")
    kit.config({"model_type": "bert"})
    one, two = {"a.weight": torch.ones(2, 3)}, {"a.bias": torch.zeros(2)}
    torch.save({**one, **two}, kit.folder / "pytorch_model.bin")
    assert kit.ledger().parameters == 8
    (kit.folder / "pytorch_model.bin").unlink()
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for name, held in zip(names, (one, two), strict=True):
        torch.save(held, kit.folder / name)
    weight_map = dict(zip(("a.weight", "a.bias"), names, strict=True))
    kit.config({"weight_map": weight_map}, "pytorch_model.bin.index.json")
    model = kit.read()
    assert [tensor.location for tensor in model.tensors] == names
    assert (kit.ledger().parameters, len(model.files)) == (8, 3)
    torch.save(one, kit.folder / names[1])
    refused(kit, "broken-model", "'a.weight'")
    kit.config({"quantization_config": {"quant_method": "gptq"}})
    torch.save(two, kit.folder / names[1])
    assert "safetensors only" in kit.read().uncounted


def test_a_pickle_that_runs_code_is_not_run(kit):
    pytest.importorskip("torch")
    kit.config({"model_type": "bert"})
    bomb = b"\x80\x02cos\nmkdir\nq\x00X\x06\x00\x00\x00MARKERq\x01\x85q\x02Rq\x03."
    (kit.folder / "pytorch_model.bin").write_bytes(bomb)
    with pytest.raises(RequestError) as caught:
        kit.read()
    assert caught.value.model == str(kit.folder)
    assert not Path("MARKER").exists()


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "shard",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "a/../../secret.safetensors",
        "..\\secret.safetensors",
        "C:secret.safetensors",
        "",
        ".",
        "\0",
        "out.safetensors",
        "out/secret.safetensors",
        "zero",
        "loop",
        "pipe",
        "folder",
    ],
)
def test_shards_that_are_not_in_the_folder(kit, tmp_path, shard):
    two_shards(kit)
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = (kit.folder / ONE).read_bytes()
    (outside / "secret.safetensors").write_bytes(secret)
    (tmp_path / "secret.safetensors").write_bytes(secret)
    (kit.folder / "out.safetensors").symlink_to(outside / "secret.safetensors")
    (kit.folder / "out").symlink_to(outside)
    (kit.folder / "zero").symlink_to("/dev/zero")
    (kit.folder / "loop").symlink_to("loop")
    (kit.folder / "folder").mkdir()
    os.mkfifo(kit.folder / "pipe")
    kit.config({"weight_map": {"a.weight": shard}}, INDEX)
    code = "missing-shard" if shard == "loop" else "unsafe-shard"
    refused(kit, code)


def test_a_missing_shard(kit):
    two_shards(kit)
    (kit.folder / TWO).unlink()
    refused(kit, "missing-shard", TWO, INDEX)
    (kit.folder / TWO).symlink_to("gone")
    refused(kit, "missing-shard", TWO)


def test_a_shard_that_lacks_what_the_index_says(kit):
    two_shards(kit)
    kit.shard(TWO, {"b.weight": WEIGHT})
    refused(kit, "broken-model", "'b.bias'", TWO)


def test_a_broken_shard_and_a_pointer_to_one(kit):
    two_shards(kit)
    (kit.folder / TWO).write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    refused(kit, "broken-model", TWO)
    (kit.folder / TWO).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n")
    refused(kit, "git-lfs-pointer", TWO)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "[" * 100_000,
        '{"a": ' * 100_000,
        "\xff\xfe",
        "{}",
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 3}}',
        '{"weight_map": {"a": null}}',
    ],
)
def test_a_broken_index(kit, text):
    two_shards(kit)
    (kit.folder / INDEX).write_bytes(text.encode("latin-1"))
    refused(kit, "broken-model", INDEX)


def test_names_that_no_report_could_show(kit):
    two_shards(kit)
    (kit.folder / INDEX).write_text('{"weight_map": {"a.weight": "\\ud800"}}')
    refused(kit, "unsafe-shard").message.encode()
    (kit.folder / INDEX).write_text(json.dumps({"weight_map": {"\ud800": ONE}}))
    refused(kit, "broken-model").message.encode()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"quantization_config": 4}'])
def test_a_broken_configuration(kit, text):
    two_shards(kit)
    (kit.folder / "config.json").write_text(text)
    refused(kit, "broken-model", "config.json")


def test_a_configuration_that_is_no_file(kit):
    two_shards(kit)
    (kit.folder / "config.json").unlink()
    os.mkfifo(kit.folder / "config.json")
    refused(kit, "unsafe-shard", "config.json")


def test_folders_without_a_model(kit):
    kit.folder.mkdir()
    assert "folder of one" in refused(kit, "is-a-folder", "empty folder").hint
    kit.config({"model_type": "bert"})
    assert "model.safetensors" in refused(kit, "is-a-folder").hint
    (kit.folder / "model.onnx").write_bytes(b"\x08\x08")
    assert refused(kit, "is-a-folder").hint.endswith(str(kit.folder / "model.onnx"))


def test_several_models(kit):
    for name in ("one.safetensors", "two.safetensors"):
        kit.shard(name, {"a.weight": WEIGHT})
    error = refused(kit, "several-models", "2 safetensors files")
    assert error.hint.endswith(str(kit.folder / "one.safetensors"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(kit):
    two_shards(kit)
    kit.folder.chmod(0)
    try:
        refused(kit, "unreadable-file")
    finally:
        kit.folder.chmod(0o700)


def test_a_folder_is_not_run_and_is_no_state_dict(kit):
    two_shards(kit)
    source = models.recognise(str(kit.folder))
    assert models.runtime_of(source) is None
    with pytest.raises(RequestError, match="no code") as caught:
        models.load(source, RunSettings())
    assert caught.value.code == "not-executable"
    with pytest.raises(RequestError) as caught:
        models.recognise(f"package.module:factory@{kit.folder}")
    assert caught.value.code == "is-a-folder"


def test_an_index_of_very_many_tensors(kit):
    shards = {f"s{n}.safetensors": {f"s{n}.weight": WEIGHT} for n in range(50)}
    kit.sharded(shards)
    held = json.loads((kit.folder / INDEX).read_text())
    held["weight_map"].update({f"x{n}": "s49.safetensors" for n in range(50_000)})
    kit.config(held, INDEX)
    refused(kit, "broken-model", "'x0'")
