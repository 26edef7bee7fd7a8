"""Small networks whose counts are worked out by hand, and how to read a file as compaudit does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from compaudit.models.base import Format, Head, Model, Role, Source, Tensor
from compaudit.models.safetensors import SafetensorsFormat
from compaudit.models.torch.exported import ExportedFormat
from compaudit.models.torch.pickled import PickledModuleFormat
from compaudit.models.torch.script import ScriptFormat
from compaudit.models.torch.state_dict import StateDictFormat

FILE_FORMATS: tuple[Format, ...] = (
    SafetensorsFormat(),
    ExportedFormat(),
    ScriptFormat(),
    PickledModuleFormat(),
    StateDictFormat(),
)

# Embedding 10×4 tied to the last layer's weight, a convolution 4→8 over 3, BatchNorm 8, 8→4, 4→10.
# Parameters: 40 + (96 + 8) + (8 + 8) + (32 + 4) + 10 = 206; buffers: 8 + 8 + 1, 3 not persistent.
NETWORK = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(10, 4)
        self.conv = torch.nn.Conv1d(4, 8, 3)
        self.bn = torch.nn.BatchNorm1d(8)
        self.fc = torch.nn.Linear(4, 10)
        self.fc.weight = self.emb.weight
        self.proj = torch.nn.Linear(8, 4)
        self.register_buffer("offsets", torch.arange(3.0), persistent=False)

    def forward(self, ids, *, scale):
        x = self.emb(ids).transpose(1, 2)
        x = self.proj(self.bn(self.conv(x)).mean(2) * scale) + self.offsets.sum()
        return {"logits": self.fc(x), "hidden": x}

def make():
    torch.manual_seed(0)
    return Net().eval()

def broken():
    raise ValueError("no such luck")

def nothing():
    return None

answer = 42
"""


def count_parameters(tensors: tuple[Tensor, ...]) -> int:
    """Weights and biases, each tied group once: written again here, not taken from the ledger."""
    return sum(
        tensor.logical_elements
        for tensor in tensors
        if tensor.role in (Role.WEIGHT, Role.BIAS) and tensor.tied_to is None
    )


def all_values(tensor: Tensor) -> np.ndarray:
    assert tensor.values is not None
    return np.concatenate([*tensor.values()])


@pytest.fixture
def parameters() -> Callable[[tuple[Tensor, ...]], int]:
    return count_parameters


@pytest.fixture
def numbers() -> Callable[[Tensor], np.ndarray]:
    return all_values


@pytest.fixture
def read() -> Callable[[Path | str], Model]:
    """Recognise a file by content and read it, whatever that takes."""

    def read_file(path: Path | str) -> Model:
        path = Path(path)
        start = path.read_bytes()[:65536]
        head = Head(path, start, path.stat().st_size)
        format_ = next(format_ for format_ in FILE_FORMATS if format_.recognise(head))
        return format_.read(Source(str(path), format_.name, path=str(path)))

    return read_file


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an importable module with the network above."""
    name = f"network_{abs(hash(tmp_path)) % 10**9}"
    (tmp_path / f"{name}.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)
