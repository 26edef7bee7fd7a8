"""Hugging Face folders on the command line: sixteen bits, and the same in GPTQ's four."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Run

OUT, IN, GROUP = 256, 512, 128
NAMES = {"float16": "F16", "int32": "I32"}
LAYERS = [f"model.layers.{number}.mlp.up_proj" for number in range(2)]


def write(path: Path, tensors: Mapping[str, Any]) -> None:
    """A safetensors file, by its own description."""
    header, data = {}, b""
    for name, array in tensors.items():
        end = len(data) + array.nbytes
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": [len(data), end],
        }
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def packed(codes: Any) -> Any:
    """[n, m] codes of four bits → [n, m / 8] integers, the first in the lowest bits."""
    words = np.zeros((codes.shape[0], codes.shape[1] // 8), np.uint32)
    for place in range(8):
        words |= (codes[:, place::8] << 4 * place).astype(np.uint32)
    return words.view(np.int32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``plain``: two shards of float16. ``gptq``: one, its codes the nearest of sixteen steps."""
    root = tmp_path_factory.mktemp("folders")
    random = np.random.default_rng(2)
    plain, gptq = root / "plain", root / "gptq"
    plain.mkdir()
    gptq.mkdir()
    tensors, weight_map = {}, {}
    for number, name in enumerate(LAYERS):
        weight = random.normal(size=(OUT, IN)).astype(np.float16)
        shard = f"model-0000{number + 1}-of-00002.safetensors"
        write(plain / shard, {f"{name}.weight": weight})
        weight_map[f"{name}.weight"] = shard
        groups = weight.astype(np.float64).reshape(OUT, -1, GROUP)
        scales = (np.abs(groups).max(axis=2) / 7).astype(np.float16)
        codes = np.rint(groups / scales[..., None]).clip(-8, 7).astype(int) + 8
        tensors |= {
            f"{name}.qweight": packed(codes.reshape(OUT, IN)).T.copy(),
            f"{name}.scales": scales.T.copy(),
            f"{name}.qzeros": packed(np.full((IN // GROUP, OUT), 7)),
            f"{name}.g_idx": np.arange(IN, dtype=np.int32) // GROUP,
        }
    (plain / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (plain / "config.json").write_text(json.dumps({"model_type": "llama"}))
    write(gptq / "model.safetensors", tensors)
    stated = {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": True}
    (gptq / "config.json").write_text(json.dumps({"quantization_config": stated}))
    unknown = root / "unknown"
    unknown.mkdir()
    write(unknown / "model.safetensors", tensors)
    (unknown / "config.json").write_text('{"quantization_config": {"quant_method": "hqq"}}')
    return root


def test_inspect(run: Run, folders: Path) -> None:
    for spec in ("gptq", "gptq/", "./gptq"):
        model = run("inspect", spec, "--json", cwd=folders).done()["models"][0]
        assert (model["path"], model["format"]) == (spec, "huggingface")
        assert model["parameters"] == 2 * OUT * IN
        # Half a byte a weight; for each of 4 × 256 groups a half and half a byte; 512 integers.
        layer = OUT * IN // 2 + 4 * 256 * 2 + 4 * 256 // 2 + 512 * 4
        assert model["weight_bytes"] == 2 * layer
        assert model["file_bytes"] == (folders / "gptq/model.safetensors").stat().st_size
        assert model["precision"] == {"uint4": 2 * OUT * IN}
    shown = run("inspect", "gptq", cwd=folders)
    assert shown.code == 0
    assert "262,144" in shown.stdout
    assert "uint4" in shown.stdout


def test_inspect_of_the_folder_one_stands_in(run: Run, folders: Path) -> None:
    shown = run("inspect", ".", cwd=folders / "plain")
    assert shown.code == 0
    assert shown.stdout.startswith(".\n")


def test_compare(run: Run, folders: Path) -> None:
    document = run("compare", "plain", "gptq", "--only", "size", "--json", cwd=folders).done()
    assert document["alpha"]["parameters"] == 1
    # 16 bits over 4 bits, a scale, a zero point and the order of the inputs: 4.28
    bits = 4 + (16 + 4) / GROUP + 32 / OUT
    assert document["alpha"]["weight_bytes"] == pytest.approx(16 / bits)
    files = [*(folders / "plain").glob("*.safetensors*")]
    assert document["original"]["file_bytes"] == sum(path.stat().st_size for path in files)
    shown = run("compare", "plain", "gptq", "--only", "size", cwd=folders)
    assert shown.code == 0
    assert "plain → gptq" in shown.stdout


def test_an_unknown_packing_has_no_parameters_and_says_why(run: Run, folders: Path) -> None:
    model = run("inspect", "unknown", "--json", cwd=folders).done()["models"][0]
    assert model["parameters"] is None
    assert model["file_bytes"] == (folders / "unknown/model.safetensors").stat().st_size
    document = run("compare", "plain", "unknown", "--only", "size", "--json", cwd=folders).done()
    assert document["alpha"]["parameters"] is None
    reasons = [row["reason"] for row in document["skipped"]]
    assert any("hqq" in reason and "qweight" in reason for reason in reasons)


def test_a_folder_is_not_run(run: Run, folders: Path) -> None:
    outcome = run("compare", "plain", "gptq", "--json", cwd=folders)
    document = outcome.broke("plain", "no code", code=2, hint="package.module:factory")
    assert document["error"]["code"] == "not-executable"
    assert document["alpha"]["parameters"] == 1


def test_folders_that_are_no_model(run: Run, folders: Path, tmp_path: Path) -> None:
    missing = tmp_path / "cut"
    missing.mkdir()
    held = {"weight_map": {"a.weight": "model-00001-of-00001.safetensors"}}
    (missing / "model.safetensors.index.json").write_text(json.dumps(held))
    code = run("inspect", str(missing), "--json").refused("model-00001-of-00001", hint="again")
    assert code == "missing-shard"
    (missing / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b"}}')
    code = run("inspect", str(missing), "--json").refused("'../b'", hint="own folder")
    assert code == "unsafe-shard"
    only = tmp_path / "onnx"
    only.mkdir()
    (only / "model.onnx").write_bytes(b"\x08\x08")
    code = run("inspect", str(only), "--json").refused("folder", hint="model.onnx")
    assert code == "is-a-folder"
