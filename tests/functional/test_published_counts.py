"""Parameters of well-known networks: the published number, from every kind of file."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from compaudit.measure.ledger import take
from compaudit.models import open as models
from compaudit.models.base import Model, Role

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

from published import NETWORKS, Network  # noqa: E402

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
DOCS = Path(__file__).parents[2] / "docs" / "counts.md"
MIDDLING = 12_000_000


def read(spec: Path | str) -> Model:
    return models.read(models.recognise(str(spec)), trust_model_code=False)


def parameters(model: Model) -> int:
    """Weights and biases, each tied group once; nothing may be left unclassified."""
    assert not [tensor.name for tensor in model.tensors if tensor.role is Role.UNCLASSIFIED]
    return sum(
        tensor.logical_elements
        for tensor in model.tensors
        if tensor.role in (Role.WEIGHT, Role.BIAS) and tensor.tied_to is None
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_live_module(name: str) -> None:
    """On the meta device: a factory that runs there gives tensors with sizes and no values."""
    network = NETWORKS[name]
    with torch.device("meta"):
        model = read(network.factory)
    by_torch = sum(parameter.numel() for parameter in network.build().parameters())
    assert parameters(model) == by_torch == network.parameters
    assert take(model).parameters == network.parameters


@pytest.mark.parametrize("name", NETWORKS)
def test_safetensors(name: str, tmp_path: Path) -> None:
    """A file of zeros that takes no room on the disk, with the names and sizes of the module."""
    path = tmp_path / "w.safetensors"
    write_zeros(path, NETWORKS[name].build())
    assert parameters(read(path)) == NETWORKS[name].parameters


def write_zeros(path: Path, module: torch.nn.Module) -> None:
    """As `safetensors.torch.save_model` would: a tensor under several names is saved once."""
    header: dict[str, dict[str, object]] = {}
    end = 0
    for key, tensor in each_once(module):
        kind = {torch.float32: "F32", torch.int64: "I64"}[tensor.dtype]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[key] = {"dtype": kind, "shape": [*tensor.shape], "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with path.open("r+b") as stream:
        stream.truncate(8 + len(text) + end)


def each_once(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    seen: set[int] = set()
    for key, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield key, tensor


@pytest.mark.parametrize(
    "name", [name for name, network in NETWORKS.items() if network.parameters < MIDDLING]
)
def test_the_state_dict(name: str, tmp_path: Path) -> None:
    module = NETWORKS[name].build("meta").to_empty(device="cpu")
    torch.save(module.state_dict(), tmp_path / "w.pt")
    assert parameters(read(tmp_path / "w.pt")) == NETWORKS[name].parameters


def test_a_tied_weight_counts_once_in_a_state_dict(tmp_path: Path) -> None:
    """GPT-2's table of 50,257 × 768 stands there twice, over one storage."""
    network = Network("published_transformer:gpt_small", 4080)
    state = network.build("cpu").state_dict()
    torch.save(state, tmp_path / "w.pt")
    assert sum(tensor.numel() for tensor in state.values()) == network.parameters + 40 * 16
    assert parameters(read(tmp_path / "w.pt")) == network.parameters


# ------------------------------------------------------------- the light models of the onnx wheel


def shufflenet() -> int:
    """Zhang et al. 2018, Table 1, with four groups and half of its channels: 136, 272, 544.

    Unlike the paper's, a unit is as wide in its middle as at its end, and the very first grouped
    convolution has groups, too. The first unit of a stage is joined to what it was given.
    """
    total = 3 * 9 * 24 + 24 + 2 * 24
    given = 24
    for made, units in ((136, 4), (272, 8), (544, 4)):
        total += _unit(given, made - given) + (units - 1) * _unit(made, made)
        given = made
    return total + 544 * 1000 + 1000


def _unit(given: int, made: int) -> int:
    """A grouped, a depthwise and a grouped convolution, each with the two numbers of its norm."""
    return given * made // 4 + 9 * made + made * made // 4 + 3 * 2 * made


# ZFNet of Zeiler and Fergus, Figure 3, with 512 channels in the third to fifth convolution, pooled
# to 6 × 6, and 1024 instead of 4096 outputs of the second product.
ZFNET_512 = (
    *(49 * 3 * 96 + 96, 25 * 96 * 256 + 256, 9 * 256 * 512 + 512, 2 * (9 * 512 * 512 + 512)),
    *(36 * 512 * 4096 + 4096, 4096 * 1024 + 1024, 1024 * 1000 + 1000),
)

LIGHT_MODELS = {
    "bvlc_alexnet": NETWORKS["AlexNet (Caffe)"].parameters,
    "vgg19": NETWORKS["VGG-19"].parameters,
    "resnet50": NETWORKS["ResNet-50"].parameters,
    "squeezenet": NETWORKS["SqueezeNet 1.1"].parameters,
    "inception_v1": NETWORKS["GoogLeNet"].parameters,
    # Caffe splits BatchNorm in two layers. Here both have scale and shift: once inside
    # BatchNormalization, once as Mul and Add behind it, for each normalised channel.
    "densenet121": NETWORKS["DenseNet-121"].parameters + 2 * 41_824,
    "inception_v2": NETWORKS["BN-Inception"].parameters + 2 * 9_952,
    "shufflenet": shufflenet(),
    "zfnet512": sum(ZFNET_512),
}


@pytest.mark.parametrize("name", LIGHT_MODELS)
def test_the_light_models(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    if not path.exists():
        pytest.skip("this onnx does not ship it")
    assert parameters(read(path)) == LIGHT_MODELS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_shows_the_number(name: str) -> None:
    assert f"| {name} | {NETWORKS[name].parameters:,} |" in DOCS.read_text("utf-8")
