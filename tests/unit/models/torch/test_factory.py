from __future__ import annotations

import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Role, RunSettings, Source
from compaudit.models.torch.factory import FactoryFormat

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

nn = torch.nn


def source(factory, weights=None):
    spec = factory if weights is None else f"{factory}@{weights}"
    return Source(
        spec, "module", factory=factory, weights=None if weights is None else str(weights)
    )


@pytest.fixture
def ledger(monkeypatch):
    """The ledger of a module that a factory returns."""
    import types

    def read_module(module):
        made = types.ModuleType("made_here")
        made.make = lambda: module
        monkeypatch.setitem(__import__("sys").modules, "made_here", made)
        model = FactoryFormat().read(source("made_here:make"))
        assert model.files == ()
        assert model.graph is None
        return {tensor.name: tensor for tensor in model.tensors}

    return read_module


def test_a_tied_network(network, parameters):
    model = FactoryFormat().read(source(f"{network}:make"))
    tensors = {tensor.name: tensor for tensor in model.tensors}
    assert parameters(model.tensors) == 206
    assert tensors["fc.weight"].tied_to == "emb.weight"
    assert tensors["bn.running_mean"].role is Role.BUFFER
    assert tensors["offsets"].role is Role.BUFFER
    assert "not persistent" in tensors["offsets"].note
    assert all(tensor.location == "memory" for tensor in model.tensors)


def test_the_module_that_holds_a_tensor_computes_with_it(ledger):
    module = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Sequential(nn.Conv2d(1, 2, 1).half())})
    nn.utils.parametrizations.weight_norm(module["a"])
    uses = {name: tensor.use for name, tensor in ledger(module).items()}
    assert (uses["b.0.weight"].node, uses["b.0.weight"].op) == ("b.0", "Conv2d")
    assert uses["b.0.weight"].computed == "float16"
    assert uses["a.parametrizations.weight.original1"].node == "a"


def test_tied_modules(ledger, parameters):
    layer = nn.Linear(4, 4)
    assert parameters(ledger(nn.Sequential(layer, nn.ReLU(), layer)).values()) == 20


def test_a_dynamically_quantised_layer(ledger, parameters):
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)
    assert not [*quantised.parameters()]
    tensors = ledger(quantised)
    assert parameters(tensors.values()) == 6 * 4 + 4 + 4 * 2 + 2
    assert (tensors["0.weight"].dtype, tensors["0.weight"].bytes) == ("int8", 24)
    assert (tensors["0.bias"].dtype, tensors["0.bias"].bytes) == ("float32", 16)
    assert tensors["0.weight"].quantization is not None


def test_a_dynamically_quantised_lstm(ledger, parameters):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(5, 3)

    quantised = torch.ao.quantization.quantize_dynamic(Recurrent(), {nn.LSTM}, torch.qint8)
    # Four gates of 3: 12×5 + 12×3 weights and twice 12 biases.
    assert parameters(ledger(quantised).values()) == 60 + 36 + 24


def test_quantised_convolution_and_embedding(ledger, parameters):
    import torch.ao.nn.quantized as quantized

    tensors = ledger(nn.Sequential(quantized.Conv2d(3, 4, 2), quantized.Embedding(10, 8)))
    assert parameters(tensors.values()) == 3 * 4 * 2 * 2 + 4 + 80
    assert tensors["1.weight.scales"].role is Role.QUANTIZATION


def test_pruning_counts_the_weight_once_and_its_zeros(ledger, parameters, numbers):
    from torch.nn.utils import prune

    layer = nn.Linear(10, 10)
    prune.random_unstructured(layer, "weight", 0.7)
    tensors = ledger(layer)
    assert parameters(tensors.values()) == 110
    assert np.count_nonzero(numbers(tensors["weight_orig"])) == 30
    assert tensors["weight_mask"].role is Role.CONSTANT


def test_weight_norm_is_magnitudes_and_directions(ledger, parameters):
    tensors = ledger(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)))
    assert parameters(tensors.values()) == 3 + 12 + 3


def test_spectral_norm_keeps_two_buffers(ledger, parameters):
    tensors = ledger(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)))
    assert parameters(tensors.values()) == 15
    assert sorted(t.shape for t in tensors.values() if t.role is Role.BUFFER) == [(3,), (4,)]


def test_weights_that_are_buffers_are_weights(ledger, parameters):
    """Hand-written int8 layers register their codes as buffers."""
    layer = nn.Module()
    layer.register_buffer("weight", torch.ones(4, 3, dtype=torch.int8))
    layer.register_buffer("weight_scale", torch.ones(4))
    layer.bias = nn.Parameter(torch.ones(4))
    tensors = ledger(layer)
    assert parameters(tensors.values()) == 16
    assert tensors["weight_scale"].role is Role.QUANTIZATION


def test_a_parameter_called_scale_is_learned(ledger, parameters):
    layer = nn.Module()
    layer.scale = nn.Parameter(torch.ones(4))
    assert parameters(ledger(layer).values()) == 4


def test_sparse_parameters(ledger, parameters):
    layer = nn.Module()
    layer.weight = nn.Parameter(torch.eye(4).to_sparse())
    tensors = ledger(layer)
    assert parameters(tensors.values()) == 16
    assert tensors["weight"].bytes == 80


class Packed(torch.Tensor):
    """A weight whose codes and scales lie in two inner tensors."""

    @staticmethod
    def __new__(cls, codes, scale, shape):
        return torch.Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32)

    def __init__(self, codes, scale, shape):
        self.codes, self.scale = codes, scale

    def __tensor_flatten__(self):
        return ["codes", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return args[0]
        raise NotImplementedError(func)


@pytest.mark.parametrize(("width", "dtype", "size"), [(8, "int8", 32), (4, "int4", 16)])
def test_tensor_subclasses(ledger, parameters, width, dtype, size):
    layer = nn.Module()
    codes = torch.ones(4, width, dtype=torch.int8)
    layer.weight = nn.Parameter(Packed(codes, torch.ones(4), (4, 8)), requires_grad=False)
    tensors = ledger(layer)
    assert parameters(tensors.values()) == 32
    assert (tensors["weight"].dtype, tensors["weight"].bytes) == (dtype, size)
    assert tensors["weight.scale"].role is Role.QUANTIZATION


def test_meta_parameters(ledger, parameters):
    tensors = ledger(nn.Linear(3, 2, device="meta"))
    assert parameters(tensors.values()) == 8
    assert sum(tensor.bytes for tensor in tensors.values()) == 0


def test_a_lazy_module_is_refused(ledger):
    with pytest.raises(RequestError) as caught:
        ledger(nn.Sequential(nn.LazyLinear(3)))
    assert caught.value.code == "uninitialised-module"


# ------------------------------------------------------------------------ calling the factory


@pytest.mark.parametrize(
    ("factory", "code", "says"),
    [
        ("no_such_module_at_all:make", "factory-missing", "no_such_module_at_all"),
        ("{}:mak", "factory-missing", "mak"),
        ("{}:answer", "factory-missing", "int"),
        ("{}:broken", "factory-failed", "ValueError: no such luck"),
        ("{}:nothing", "factory-not-a-module", "None"),
    ],
)
def test_factories_that_do_not_work(network, factory, code, says):
    with pytest.raises(RequestError) as caught:
        FactoryFormat().read(source(factory.format(network)))
    assert caught.value.code == code
    assert says in caught.value.message
    assert caught.value.hint


def test_a_close_name_is_suggested(network):
    with pytest.raises(RequestError) as caught:
        FactoryFormat().read(source(f"{network}:mak"))
    assert "make" in caught.value.hint


def test_a_module_that_fails_to_import(tmp_path, monkeypatch):
    (tmp_path / "half_written.py").write_text("import not_there_either\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RequestError) as caught:
        FactoryFormat().read(source("half_written:make"))
    assert caught.value.code == "factory-failed"
    assert "not_there_either" in caught.value.message


# --------------------------------------------------------------------------- saved weights


def made(network):
    import importlib

    return importlib.import_module(network).make()


@pytest.mark.parametrize("kind", ["pt", "safetensors", "safetensors-untied"])
def test_weights_are_counted_as_shipped(network, tmp_path, parameters, kind):
    import safetensors.torch

    path = tmp_path / f"w.{kind}"
    module = made(network).half()
    if kind == "pt":
        torch.save(module.state_dict(), path)
    elif kind == "safetensors":
        safetensors.torch.save_model(module, path)
    else:
        copies = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        safetensors.torch.save_file(copies, path)
    model = FactoryFormat().read(source(f"{network}:make", path))
    tensors = {tensor.name: tensor for tensor in model.tensors}
    assert parameters(model.tensors) == 206
    assert model.files == (path,)
    assert tensors["conv.weight"].dtype == "float16"
    assert sum(tensor.bytes for tensor in model.tensors) <= path.stat().st_size
    if kind == "safetensors-untied":
        assert tensors["fc.weight"].role is Role.UNUSED or tensors["emb.weight"].role is Role.UNUSED


def test_loaded_weights_are_the_ones_that_run(network, tmp_path):
    path = tmp_path / "w.pt"
    state = {name: torch.zeros_like(value) for name, value in made(network).state_dict().items()}
    torch.save({"state_dict": state}, path)
    runner = FactoryFormat().load(source(f"{network}:make", path), RunSettings())
    outputs = runner.run({"ids": np.zeros((1, 5), np.int64), "scale": np.float32(1)})
    assert outputs["logits"].tolist() == [[0.0] * 10]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("proj.bias"), "proj.bias is missing"),
        (lambda s: s.update(extra=torch.ones(1)), "extra is unexpected"),
        (lambda s: s.update({"proj.bias": torch.ones(7)}), "size mismatch for proj.bias"),
    ],
)
def test_weights_that_do_not_fit(network, tmp_path, change, says):
    path = tmp_path / "w.pt"
    state = made(network).state_dict()
    change(state)
    torch.save(state, path)
    with pytest.raises(RequestError) as caught:
        FactoryFormat().read(source(f"{network}:make", path))
    assert caught.value.code == "weights-do-not-fit"
    assert says in caught.value.message


def test_at_most_three_misfits_are_named(network, tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"other": torch.ones(1)}, path)
    with pytest.raises(RequestError) as caught:
        FactoryFormat().read(source(f"{network}:make", path))
    assert "and 9 more" in caught.value.message  # 11 missing and 1 unexpected


def test_weights_that_run_code_are_refused(network, tmp_path):
    path = tmp_path / "w.pt"
    torch.save(made(network), path)
    with pytest.raises(RequestError) as caught:
        FactoryFormat().read(source(f"{network}:make", path))
    assert caught.value.code == "untrusted-code"
