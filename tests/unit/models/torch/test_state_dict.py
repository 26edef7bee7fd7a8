from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

from compaudit.errors import RequestError
from compaudit.models.base import Role, RunSettings, Source
from compaudit.models.torch.state_dict import StateDictFormat

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.fixture
def ledger(read, tmp_path):
    """Save with torch, read with compaudit: the tensors by name."""

    def save_and_read(held, **options):
        path = tmp_path / "held.pt"
        torch.save(held, path, **options)
        model = read(path)
        assert model.source.format == "state-dict"
        assert model.files == (path,)
        assert sum(tensor.bytes for tensor in model.tensors) <= path.stat().st_size
        return {tensor.name: tensor for tensor in model.tensors}

    return save_and_read


@pytest.mark.parametrize("zipped", [True, False])
def test_a_plain_state_dict(ledger, numbers, zipped):
    layer = torch.nn.Linear(3, 2)
    tensors = ledger(layer.state_dict(), _use_new_zipfile_serialization=zipped)
    assert (tensors["weight"].role, tensors["bias"].role) == (Role.WEIGHT, Role.BIAS)
    assert (tensors["weight"].bytes, tensors["bias"].bytes) == (24, 8)
    assert numbers(tensors["weight"]).tolist() == layer.weight.detach().reshape(-1).tolist()


def test_a_checkpoint_is_its_model_and_the_rest_is_unused(ledger):
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    held = {"epoch": 3, "state_dict": layer.state_dict(), "optimizer": optimizer.state_dict()}
    tensors = ledger(held)
    assert tensors["weight"].role is Role.WEIGHT
    moments = [name for name in tensors if name.startswith("optimizer.")]
    assert len(moments) == 6  # step, exp_avg and exp_avg_sq of two parameters
    assert all(tensors[name].role is Role.UNUSED for name in moments)


def test_an_averaged_copy_is_unused(ledger):
    state = torch.nn.Linear(3, 2).state_dict()
    copy = {name: tensor.clone() for name, tensor in state.items()}
    tensors = ledger({"state_dict": state, "state_dict_ema": copy})
    assert tensors["state_dict_ema.weight"].role is Role.UNUSED
    assert tensors["weight"].role is Role.WEIGHT


def test_tied_tensors_count_once(ledger, parameters):
    weight = torch.ones(10, 4)
    tensors = ledger({"emb.weight": weight, "head.weight": weight, "head.bias": torch.ones(10)})
    assert tensors["head.weight"].tied_to == "emb.weight"
    assert parameters(tensors.values()) == 50
    assert sum(tensor.bytes for tensor in tensors.values()) == 4 * 50


def test_equal_contents_are_separate(ledger, parameters):
    tensors = ledger({"a.weight": torch.ones(4), "b.weight": torch.ones(4)})
    assert parameters(tensors.values()) == 8


def test_views_of_one_storage(ledger, parameters):
    whole = torch.arange(24.0)
    tensors = ledger({"q.weight": whole[:8], "k.weight": whole[8:16], "v.weight": whole[16:]})
    assert parameters(tensors.values()) == 24
    assert [tensor.bytes for tensor in tensors.values()] == [32, 32, 32]


def test_a_slice_keeps_the_storage_it_drags_along_out_of_its_bytes(ledger):
    tensors = ledger({"a.weight": torch.arange(1000.0)[:10]})
    assert tensors["a.weight"].bytes == 40


def test_a_permuted_weight_is_read_in_logical_order(ledger, numbers):
    weight = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    tensors = ledger({"conv.weight": weight.to(memory_format=torch.channels_last)})
    assert numbers(tensors["conv.weight"]).tolist() == weight.reshape(-1).tolist()


def test_an_expanded_tensor_stores_one_value(ledger, numbers):
    (tensor,) = ledger({"a.weight": torch.full((1,), 3.0).expand(1000)}).values()
    assert (tensor.fill, tensor.logical_elements, tensor.stored_elements) == (True, 1000, 1)
    assert tensor.bytes == 4
    assert numbers(tensor).tolist() == [3]


def test_pruning_masks(ledger, parameters, numbers):
    from torch.nn.utils import prune

    layer = torch.nn.Linear(10, 10)
    prune.l1_unstructured(layer, "weight", 0.9)
    tensors = ledger(layer.state_dict())
    assert parameters(tensors.values()) == 110
    assert np.count_nonzero(numbers(tensors["weight_orig"])) == 10
    assert tensors["weight_mask"].role is Role.CONSTANT


def test_sparse_tensors_cost_values_and_indices(ledger, numbers):
    tensors = ledger(
        {
            "coo.weight": torch.eye(4).to_sparse(),
            "csr.weight": torch.eye(4).to_sparse_csr(),
        }
    )
    coo, csr = tensors["coo.weight"], tensors["csr.weight"]
    # COO: 4 values × 4 B, 2×4 indices × 8 B. CSR: 4 values × 4 B, 5 + 4 indices × 8 B.
    assert (coo.logical_elements, coo.stored_elements, coo.bytes) == (16, 12, 80)
    assert (csr.logical_elements, csr.stored_elements, csr.bytes) == (16, 13, 88)
    assert numbers(coo).tolist() == numbers(csr).tolist() == [1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore")
def test_quantized_tensors_are_their_codes(ledger, numbers):
    values = torch.tensor([[-1.0, 0.0], [1.0, 2.0]])
    per_tensor = torch.quantize_per_tensor(values, 0.5, 3, torch.qint8)
    per_channel = torch.quantize_per_channel(
        values, torch.tensor([0.5, 1.0]), torch.tensor([1, -2]), 0, torch.qint8
    )
    tensors = ledger({"a.weight": per_tensor, "b.weight": per_channel})
    assert tensors["a.weight"].dtype == "int8"
    assert numbers(tensors["a.weight"]).tolist() == [1, 3, 5, 7]
    assert tensors["a.weight"].quantization.zero_point.numbers.tolist() == [3]
    assert numbers(tensors["b.weight"]).tolist() == [-1, 1, -1, 0]
    assert tensors["b.weight"].quantization.zero_point.numbers.reshape(-1).tolist() == [1, -2]
    assert tensors["b.weight"].quantization.scheme(tensors["b.weight"].shape) == "per_channel"
    assert tensors["b.weight.scales"].role is Role.QUANTIZATION
    assert tensors["b.weight.scales"].bytes == 16  # float64


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_layer_has_its_usual_names(ledger, parameters):
    network = torch.nn.Sequential(torch.nn.Linear(6, 4))
    quantised = torch.ao.quantization.quantize_dynamic(network, {torch.nn.Linear}, torch.qint8)
    tensors = ledger(quantised.state_dict())
    assert parameters(tensors.values()) == 6 * 4 + 4
    assert (tensors["0.weight"].dtype, tensors["0.weight"].bytes) == ("int8", 24)
    assert tensors["0.bias"].role is Role.BIAS
    assert tensors["0.scale"].role is Role.QUANTIZATION


@pytest.mark.parametrize(
    ("dtype", "name", "size"),
    [
        (torch.bfloat16, "bfloat16", 2),
        (torch.float16, "float16", 2),
        (torch.float8_e4m3fn, "float8e4m3fn", 1),
        (torch.float8_e5m2, "float8e5m2", 1),
        (torch.float64, "float64", 8),
        (torch.complex64, "complex64", 8),
        (torch.int8, "int8", 1),
        (torch.uint16, "uint16", 2),
        (torch.bool, "bool", 1),
    ],
)
def test_element_types(ledger, numbers, dtype, name, size):
    (tensor,) = ledger({"x": torch.tensor([0, 1, 1]).to(dtype)}).values()
    assert (tensor.dtype, tensor.bytes) == (name, 3 * size)
    assert np.count_nonzero(numbers(tensor)) == 2


def test_nan_is_not_zero_and_negative_zero_is(ledger, numbers):
    (tensor,) = ledger({"x": torch.tensor([float("nan"), -0.0, 0.0, 1.0])}).values()
    assert np.count_nonzero(numbers(tensor)) == 2


def test_meta_tensors_have_a_shape_and_no_bytes(ledger):
    (tensor,) = ledger({"x.weight": torch.empty(3, 2, device="meta")}).values()
    assert (tensor.shape, tensor.bytes, tensor.values) == ((3, 2), 0, None)
    assert "meta" in tensor.note


def test_empty_and_scalar_tensors(ledger, numbers):
    tensors = ledger({"a.weight": torch.empty(0, 3), "b.num_batches_tracked": torch.tensor(5)})
    assert tensors["a.weight"].bytes == 0
    assert numbers(tensors["b.num_batches_tracked"]).tolist() == [5]


def test_one_saved_tensor(ledger):
    assert ledger(torch.ones(3))["tensor"].logical_elements == 3


def test_no_tensors_at_all(tmp_path, read):
    torch.save({"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(RequestError) as caught:
        read(tmp_path / "x.pt")
    assert caught.value.code == "no-tensors"


def test_a_cycle_is_walked_once(ledger):
    held = {"weight": torch.ones(2), "more": []}
    held["more"].append({"more": held["more"]})
    assert set(ledger(held)) == {"weight"}


def test_the_suffix_does_not_matter(tmp_path, read):
    torch.save({"a.weight": torch.ones(3)}, tmp_path / "x.safetensors")
    assert read(tmp_path / "x.safetensors").source.format == "state-dict"


def test_it_cannot_run():
    with pytest.raises(RequestError) as caught:
        StateDictFormat().load(Source("w.pt", "state-dict", path="w.pt"), RunSettings())
    assert caught.value.code == "not-executable"


# --------------------------------------------------------------------------- lies and breaks


def rewrite(path, change):
    """The same archive with its members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def refusal(read, path):
    with pytest.raises(RequestError) as caught:
        read(path)
    assert str(path) in caught.value.message
    return caught.value.code


def test_a_view_of_17_billion_elements_over_four_bytes_is_refused(tmp_path, read):
    path = tmp_path / "x.pt"
    torch.save({"x.weight": torch.ones(1).expand(17 * 2**30)}, path)
    assert path.stat().st_size < 2000
    assert refusal(read, path) == "unsafe-archive"


def test_a_storage_that_claims_more_than_it_has_is_refused(tmp_path, read):
    path = tmp_path / "x.pt"
    torch.save({"x.weight": torch.ones(777)}, path)

    def lie(name, data):
        return data.replace(struct.pack("<H", 777), struct.pack("<H", 60_000))

    rewrite(path, lambda name, data: lie(name, data) if name.endswith("data.pkl") else data)
    assert refusal(read, path) in ("unsafe-archive", "broken-model")


def test_a_storage_that_claims_its_neighbours_bytes_is_refused(tmp_path, read):
    path = tmp_path / "x.pt"
    torch.save({"x.weight": torch.ones(300), "y.weight": torch.zeros(500)}, path)
    rewrite(
        path,
        lambda name, data: (
            data.replace(struct.pack("<H", 300), struct.pack("<H", 301))
            if name.endswith("data.pkl")
            else data
        ),
    )
    assert refusal(read, path) in ("unsafe-archive", "broken-model")


@pytest.mark.parametrize("keep", [1, 50, 400, -100, -1])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_refused(tmp_path, read, keep, zipped):
    path = tmp_path / "x.pt"
    torch.save({"x.weight": torch.ones(100)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:keep])
    try:
        code = refusal(read, path)
    except StopIteration:  # so short that nothing recognises it
        code = "unknown"
    assert code in ("broken-model", "unsafe-archive", "unknown")


def test_a_sparse_tensor_with_indices_outside_its_shape_is_refused(tmp_path, read):
    path = tmp_path / "x.pt"
    indices, values = torch.tensor([[0, 999]]), torch.ones(2)
    sparse = torch.sparse_coo_tensor(indices, values, (3,), check_invariants=False)
    torch.save({"x.weight": sparse}, path)
    assert refusal(read, path) == "broken-model"
