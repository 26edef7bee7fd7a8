from __future__ import annotations

import importlib
import pickle
import sys

import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Head, RunSettings, Source
from compaudit.models.torch.pickled import PickledModuleFormat
from compaudit.models.torch.pickles import foreign_globals

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


def source(path):
    return Source(str(path), "pickled-module", path=str(path))


def head(path):
    return Head(path, path.read_bytes()[:65536], path.stat().st_size)


@pytest.fixture
def module(network):
    return importlib.import_module(network).make()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_module_is_read_and_run(module, tmp_path, read, parameters, zipped):
    path = tmp_path / "m.pt"
    torch.save(module, path, _use_new_zipfile_serialization=zipped)
    model = read(path)
    assert model.source.format == "pickled-module"
    assert parameters(model.tensors) == 206
    assert sum(tensor.bytes for tensor in model.tensors) <= path.stat().st_size
    runner = PickledModuleFormat().load(source(path), RunSettings())
    feeds = {"ids": np.zeros((1, 5), np.int64), "scale": np.float32(1)}
    assert [*runner.run(feeds)] == ["logits", "hidden"]


def test_what_it_imports_is_found_without_loading_it(module, tmp_path, network):
    torch.save(module, tmp_path / "m.pt")
    assert f"{network}.Net" in foreign_globals(head(tmp_path / "m.pt"))
    torch.save(module.state_dict(), tmp_path / "w.pt")
    assert foreign_globals(head(tmp_path / "w.pt")) == frozenset()


def test_a_checkpoint_with_foreign_objects_is_its_tensors(tmp_path, read, parameters):
    import argparse

    held = {"args": argparse.Namespace(lr=1), "state_dict": torch.nn.Linear(3, 2).state_dict()}
    torch.save(held, tmp_path / "c.pt")
    assert parameters(read(tmp_path / "c.pt").tensors) == 8
    with pytest.raises(RequestError) as caught:
        PickledModuleFormat().load(source(tmp_path / "c.pt"), RunSettings())
    assert caught.value.code == "not-executable"


def test_a_raw_pickle_stores_tied_tensors_twice(module, tmp_path, read, parameters):
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps(module.state_dict()))
    assert parameters(read(tmp_path / "raw.pkl").tensors) == 206 + 40


def test_code_that_is_not_here_is_named(module, tmp_path, network, monkeypatch):
    torch.save(module, tmp_path / "m.pt")
    sys.modules.pop(network)
    monkeypatch.setattr(sys, "path", [])
    importlib.invalidate_caches()
    with pytest.raises(RequestError) as caught:
        PickledModuleFormat().read(source(tmp_path / "m.pt"))
    assert caught.value.code == "missing-code"
    assert network in caught.value.message
