"""One network, every format, one number of parameters and one of bytes."""

from __future__ import annotations

import importlib

import pytest

from compaudit.models.base import Source
from compaudit.models.torch.factory import FactoryFormat

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


def test_every_format_counts_the_same(network, tmp_path, read, parameters):
    import safetensors.torch

    module = importlib.import_module(network).make()
    arguments = (torch.zeros(2, 7, dtype=torch.int64),), {"scale": torch.tensor(2.0)}
    torch.save(module.state_dict(), tmp_path / "zip.pt")
    torch.save(module.state_dict(), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"model": module.state_dict(), "epoch": 1}, tmp_path / "nested.pt")
    torch.save(module, tmp_path / "module.pt")
    safetensors.torch.save_model(module, tmp_path / "w.safetensors")
    torch.export.save(torch.export.export(module, *arguments), tmp_path / "a.pt2")
    models = {
        path.name: read(path) for path in sorted(tmp_path.glob("*.*")) if path.suffix != ".py"
    }
    models["factory"] = FactoryFormat().read(Source("f", "module", factory=f"{network}:make"))
    counts = {name: parameters(model.tensors) for name, model in models.items()}
    assert counts == dict.fromkeys(models, 206)
    assert {model.source.format for model in models.values()} == {
        "state-dict",
        "pickled-module",
        "safetensors",
        "pt2",
        "module",
    }
    learned = {
        name: sum(t.bytes for t in model.tensors if t.role in ("weight", "bias"))
        for name, model in models.items()
    }
    assert learned == dict.fromkeys(models, 4 * 206)
