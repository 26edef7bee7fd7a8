"""Folders as Hugging Face tools write them, packed here bit by bit from the published layouts."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from compaudit.models import open as models
from compaudit.models.base import Model, Tensor

_NAMES = {
    "int8": "I8",
    "uint8": "U8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
}


class Kit:
    """Writes folders and reads them back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.random = np.random.default_rng(5)

    def shard(self, name: str, tensors: Mapping[str, Any], shift: int = 0) -> Path:
        """One safetensors file, by the format's own description; `shift` moves its tensors."""
        header, data = {}, b""
        for key, array in tensors.items():
            array = np.ascontiguousarray(array)
            end = len(data) + array.nbytes
            header[key] = {
                "dtype": _NAMES[array.dtype.name],
                "shape": list(array.shape),
                "data_offsets": [len(data), end],
            }
            data += array.tobytes()
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8 + shift)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        return path

    def write(self, tensors: Mapping[str, Any], quantization: Any = None, **config: Any) -> Path:
        """A folder of one shard and a config.json."""
        self.shard("model.safetensors", tensors)
        if quantization is not None:
            config["quantization_config"] = quantization
        self.config({"model_type": "llama", **config})
        return self.folder

    def config(self, config: Any, name: str = "config.json") -> None:
        """Any JSON file in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(json.dumps(config))

    def sharded(self, shards: Mapping[str, Mapping[str, Any]], **config: Any) -> Path:
        """A folder of several shards and their index."""
        for name, tensors in shards.items():
            self.shard(name, tensors)
        weight_map = {key: name for name, tensors in shards.items() for key in tensors}
        self.config({"metadata": {}, "weight_map": weight_map}, "model.safetensors.index.json")
        self.config({"model_type": "llama", **config})
        return self.folder

    def read(self, spec: str | None = None) -> Model:
        """The model as the command reads it."""
        source = models.recognise(spec or str(self.folder))
        assert source.format == "huggingface"
        return models.read(source, trust_model_code=False)

    def tensors(self) -> dict[str, Tensor]:
        """The ledger of the folder, nothing uncounted."""
        model = self.read()
        assert model.uncounted is None
        assert sum(tensor.bytes for tensor in model.tensors) == self.data_bytes()
        return {tensor.name: tensor for tensor in model.tensors}

    def data_bytes(self) -> int:
        """Bytes of all shards behind their headers."""
        total = 0
        for path in self.folder.glob("**/*.safetensors"):
            stored = path.read_bytes()
            total += len(stored) - 8 - struct.unpack("<Q", stored[:8])[0]
        return total

    def ledger(self) -> Any:
        """What is counted."""
        from compaudit.measure.ledger import take

        return take(self.read())

    def uncounted(self) -> str:
        """Why parameters are not counted; the bytes are, all the same."""
        model = self.read()
        assert model.uncounted is not None
        assert sum(tensor.bytes for tensor in model.tensors) == self.data_bytes()
        return model.uncounted


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path / "model")


@pytest.fixture(params=[None, 48], ids=["whole", "in chunks"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that yield everything at once, and a few elements at a time."""
    if request.param is not None:
        for module in ("words", "bitsandbytes", "fp4"):
            monkeypatch.setattr(f"compaudit.models.huggingface.{module}.CHUNK", request.param)


def string_of_bits(codes: Any, bits: int, width: int = 32) -> list[int]:
    """Codes as one long number, the first in its lowest bits, cut into integers."""
    number = 0
    for place, code in enumerate(codes):
        assert 0 <= int(code) < 1 << bits
        number |= int(code) << (place * bits)
    words = -(-len(codes) * bits // width)
    return [(number >> (width * word)) & ((1 << width) - 1) for word in range(words)]


@pytest.fixture
def pack() -> Any:
    """Packs the rows of a matrix of codes into int32."""

    def rows(codes: Any, bits: int) -> np.ndarray[Any, Any]:
        words = [string_of_bits(row, bits) for row in codes]
        return np.array(words, np.uint32).view(np.int32)

    return rows


@pytest.fixture
def real() -> Any:
    """The numbers that a tensor's codes stand for, chunk after chunk, at its shape."""

    def values(tensor: Tensor) -> np.ndarray[Any, Any]:
        assert tensor.values is not None
        assert tensor.quantization is not None
        found, start = [], 0
        for chunk in tensor.values():
            part = tensor.quantization.values(chunk, tensor.shape, start)
            assert part is not None
            found.append(np.array(part))
            start += len(chunk)
        assert start == tensor.logical_elements == tensor.stored_elements
        return np.concatenate(found).reshape(tensor.shape)

    return values


@pytest.fixture
def float8() -> Any:
    return ml_dtypes.float8_e4m3fn
