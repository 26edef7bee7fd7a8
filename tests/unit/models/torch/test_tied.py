"""One parameter under two names is one parameter, also where there are no bytes to compare."""

import pytest

from compaudit.models.base import Source, Tensor

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from torch import nn  # noqa: E402

from compaudit.models.torch.live import module_ledger  # noqa: E402


def tensors(module: nn.Module) -> dict[str, Tensor]:
    found = module_ledger(Source("m", "module"), module, "memory")
    return {tensor.name: tensor for tensor in found}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_one_parameter_in_two_modules(device: str, parameters) -> None:
    embedding = nn.Embedding(7, 3, device=device)
    scores = nn.Linear(3, 7, bias=False, device=device)
    scores.weight = embedding.weight
    found = tensors(nn.Sequential(embedding, scores))
    assert (found["0.weight"].tied_to, found["1.weight"].tied_to) == (None, "0.weight")
    assert parameters(tuple(found.values())) == 21


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_two_parameters_over_one_storage(device: str, parameters) -> None:
    first, second = nn.Linear(3, 7, device=device), nn.Linear(3, 7, device=device)
    second.weight = nn.Parameter(first.weight)
    found = tensors(nn.Sequential(first, second))
    assert found["1.weight"].tied_to == "0.weight"
    assert parameters(tuple(found.values())) == 21 + 7 + 7


def test_meta_tensors_of_equal_sizes_are_not_tied(parameters) -> None:
    layers = nn.Sequential(nn.Linear(3, 3, device="meta"), nn.Linear(3, 3, device="meta"))
    assert parameters(tuple(tensors(layers).values())) == 2 * (9 + 3)


def test_a_sparse_parameter_in_two_modules(parameters) -> None:
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    first.weight = second.weight = nn.Parameter(torch.eye(4).to_sparse())
    found = tensors(nn.Sequential(first, second))
    # four values of 4 bytes and their 2 · 4 indices of 8
    assert [tensor.bytes for tensor in found.values()] == [4 * 4 + 2 * 4 * 8, 0]
    assert parameters(tuple(found.values())) == 16


def test_a_quantised_parameter_in_two_modules() -> None:
    codes = torch.quantize_per_channel(
        torch.eye(4), torch.ones(4), torch.zeros(4, dtype=torch.int64), 0, torch.qint8
    )
    first, second = nn.Module(), nn.Module()
    for module in (first, second):
        module.register_buffer("weight", codes)
    found = tensors(nn.Sequential(first, second))
    assert found["1.weight"].tied_to == "0.weight"
    assert found["1.weight.scales"].tied_to == "0.weight.scales"
    assert sum(tensor.bytes for tensor in found.values()) == 16 + 4 * 8 + 4 * 8
