from __future__ import annotations

import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Role, RunSettings, Source
from compaudit.models.torch.script import ScriptFormat

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

nn = torch.nn


@pytest.fixture
def ledger(tmp_path, read):
    def save_and_read(scripted):
        scripted.save(tmp_path / "s.pt")
        model = read(tmp_path / "s.pt")
        assert model.source.format == "torchscript"
        return {tensor.name: tensor for tensor in model.tensors}

    return save_and_read


def test_parameters_and_buffers(ledger, parameters):
    tensors = ledger(torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))))
    assert parameters(tensors.values()) == 12 + 4 + 4 + 4
    assert tensors["1.running_mean"].role is Role.BUFFER


def test_a_frozen_graph_keeps_its_weights_as_constants(ledger, parameters):
    network = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)).eval()
    tensors = ledger(torch.jit.freeze(torch.jit.script(network)))
    assert parameters(tensors.values()) == 96 + 8 + 16 + 2


def test_quantised_layers_keep_theirs_packed(ledger, parameters):
    network = nn.Sequential(nn.Linear(6, 4))
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)
    tensors = ledger(torch.jit.trace(quantised, torch.ones(2, 6)))
    assert parameters(tensors.values()) == 28
    assert tensors["0.weight"].dtype == "int8"


def test_it_runs(tmp_path):
    torch.jit.script(nn.Linear(3, 2)).save(tmp_path / "s.pt")
    source = Source("s.pt", "torchscript", path=str(tmp_path / "s.pt"))
    runner = ScriptFormat().load(source, RunSettings())
    assert [value.name for value in runner.inputs] == ["input"]
    assert runner.run({"input": np.ones((5, 3), np.float32)})["output"].shape == (5, 2)


def test_broken_code_is_refused(tmp_path):
    import zipfile

    path = tmp_path / "s.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("s/data.pkl", b"\x80\x02}.")
        archive.writestr("s/constants.pkl", b"\x80\x02).")
    with pytest.raises(RequestError) as caught:
        ScriptFormat().read(Source("s.pt", "torchscript", path=str(path)))
    assert caught.value.code == "broken-model"
