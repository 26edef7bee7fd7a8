from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Role, RunSettings, Source
from compaudit.models.torch.exported import ExportedFormat

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


def save(module, args, path, kwargs=None, **options):
    program = torch.export.export(module.eval(), args, kwargs, **options)
    torch.export.save(program, path)
    return path


def refusal(call, *args):
    with pytest.raises(RequestError) as caught:
        call(*args)
    return caught.value


@pytest.fixture
def archive(tmp_path):
    return save(torch.nn.Linear(3, 2), (torch.ones(1, 3),), tmp_path / "a.pt2")


def edit(path, name, change):
    with zipfile.ZipFile(path) as held:
        members = {info.filename: held.read(info) for info in held.infolist()}
    with zipfile.ZipFile(path, "w") as held:
        for member, data in members.items():
            new = change(data) if member.endswith(name) else data
            if new is not None:
                held.writestr(member, new)


def test_tensors_and_graph_without_loading(network, tmp_path, read, parameters, numbers):
    import importlib

    module = importlib.import_module(network).make()
    batch = torch.export.Dim("batch")
    path = save(
        module,
        (torch.zeros(2, 7, dtype=torch.int64),),
        tmp_path / "a.pt2",
        {"scale": torch.tensor(2.0)},
        dynamic_shapes={"ids": {0: batch}, "scale": None},
    )
    model = read(path)
    tensors = {tensor.name: tensor for tensor in model.tensors}
    assert parameters(model.tensors) == 206
    assert {tensors["emb.weight"].tied_to, tensors["fc.weight"].tied_to} & {
        "emb.weight",
        "fc.weight",
    }
    assert tensors["bn.running_var"].role is Role.BUFFER
    assert tensors["offsets"].role is Role.BUFFER
    assert "not persistent" in tensors["offsets"].note
    assert numbers(tensors["proj.bias"]).tolist() == module.proj.bias.tolist()
    assert sum(tensor.bytes for tensor in model.tensors) <= path.stat().st_size
    ids, scale = model.graph.inputs
    assert (ids.name, ids.dtype, ids.shape[1]) == ("ids", "int64", 7)
    assert isinstance(ids.shape[0], str)
    assert (scale.name, scale.shape) == ("scale", ())
    assert [value.name for value in model.graph.outputs] == ["logits", "hidden"]
    convolution = next(node for node in model.graph.nodes if node.op == "aten.conv1d.default")
    assert convolution.inputs[1:] == ("conv.weight", "conv.bias")
    assert convolution.attributes["argument_names"] == ("input", "weight", "bias")
    assert any("logits" in node.outputs for node in model.graph.nodes)
    shapes = {value.name: value.shape for value in model.graph.values}
    assert shapes["conv.weight"] == (8, 4, 3)


def test_one_output_and_several(tmp_path, read):
    class Pair(torch.nn.Module):
        def forward(self, x):
            return x + 1, x * 2

    single = read(save(torch.nn.Linear(3, 2), (torch.ones(1, 3),), tmp_path / "a.pt2"))
    pair = read(save(Pair(), (torch.ones(1, 3),), tmp_path / "b.pt2"))
    assert [value.name for value in single.graph.outputs] == ["output"]
    assert [value.name for value in pair.graph.outputs] == ["output_0", "output_1"]


def test_subgraphs_are_nodes_with_a_scope(tmp_path, read):
    class Branch(torch.nn.Module):
        def forward(self, x):
            return torch.cond(x.sum() > 0, lambda y: y.sin(), lambda y: y.cos(), (x,))

    model = read(save(Branch(), (torch.ones(3),), tmp_path / "a.pt2"))
    inner = {node.op for node in model.graph.nodes if node.scope}
    assert {"aten.sin.default", "aten.cos.default"} <= inner


def test_dequantised_codes_are_weights(tmp_path, read, parameters, numbers):
    import torch.ao.quantization.fx._decomposed  # registers the operators

    class Quantised(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("codes", torch.tensor([[1, 2], [0, 5]], dtype=torch.int8))
            self.register_buffer("gains", torch.tensor([0.5, 0.25]))
            self.register_buffer("points", torch.tensor([1, 0]))

        def forward(self, x):
            weight = torch.ops.quantized_decomposed.dequantize_per_channel(
                self.codes, self.gains, self.points, 0, -128, 127, torch.int8
            )
            return torch.nn.functional.linear(x, weight)

    model = read(save(Quantised(), (torch.ones(1, 2),), tmp_path / "a.pt2"))
    tensors = {tensor.name: tensor for tensor in model.tensors}
    assert parameters(model.tensors) == 4
    assert tensors["gains"].role is tensors["points"].role is Role.QUANTIZATION
    assert tensors["codes"].quantization.zero_point.numbers.reshape(-1).tolist() == [1, 0]
    assert tensors["codes"].quantization.zero_point.numbers.shape[0] == 2


def test_the_program_runs_with_its_names(archive):
    runner = ExportedFormat().load(Source("a", "pt2", path=str(archive)), RunSettings())
    assert [(v.name, v.dtype, v.shape) for v in runner.inputs] == [("input", "float32", (1, 3))]
    assert runner.run({"input": np.ones((1, 3), np.float32)})["output"].shape == (1, 2)
    error = refusal(runner.run, {"input": np.ones((4, 3), np.float32)})
    assert error.code == "inputs-do-not-fit"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("models/model.json", lambda data: None),
        ("models/model.json", lambda data: b"{}"),
        ("models/model.json", lambda data: b"[1"),
        ("models/model.json", lambda data: data.replace(b'"input_specs"', b'"other"')),
        ("models/model.json", lambda data: data.replace(b'"as_tensor"', b'"as_surprise"')),
        ("model_weights_config.json", lambda data: None),
        ("model_weights_config.json", lambda data: b'{"config": {"w": 3}}'),
        ("model_weights_config.json", lambda data: data.replace(b"weight_0", b"elsewhere")),
        ("model_weights_config.json", lambda data: data.replace(b"as_int", b"as_other")),
        ("data/weights/weight_0", lambda data: None),
    ],
)
def test_another_layout_is_refused(archive, read, name, change):
    edit(archive, name, change)
    assert refusal(read, archive).code == "unsupported-archive"


def test_more_elements_than_stored_are_refused(archive, read):
    edit(archive, "data/weights/weight_0", lambda data: data[:8])
    assert refusal(read, archive).code == "unsafe-archive"


def test_compressed_members_are_refused(archive, read):
    with zipfile.ZipFile(archive) as held:
        members = {info.filename: held.read(info) for info in held.infolist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as held:
        for name, data in members.items():
            held.writestr(name, data)
    assert refusal(read, archive).code == "unsafe-archive"


def test_pickled_weights_leave_the_count_open(archive, read):
    def pickled(data):
        held = json.loads(data)
        held["config"]["weight"]["use_pickle"] = True
        return json.dumps(held).encode()

    edit(archive, "model_weights_config.json", pickled)
    assert "pickle" in read(archive).uncounted


def test_the_old_layout_is_named(tmp_path, read):
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as held:
        held.writestr("version", "8.2")
        held.writestr("serialized_exported_program.json", "{}")
        held.writestr("serialized_state_dict.pt", "")
    error = refusal(read, path)
    assert error.code == "unsupported-archive"
    assert "torch.export.save" in error.hint
