"""One network as module, state dict, safetensors, .pt2 and ONNX: one count, or a known difference.

Every file that torch itself writes has the module's count. torch's two ONNX exporters rewrite
weights; what each rewriting adds to the count or takes from it is worked out here by hand.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from compaudit.measure.ledger import Ledger, take
from compaudit.models import open as models

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

SCRIPT, DYNAMO = "dynamo=False", "dynamo=True"
EXPORTERS = (SCRIPT, DYNAMO)
IMAGE, ROWS, TOKENS = (1, 3, 8, 8), (2, 6), (1, 5)

# factory → (parameters, size of an input)
NETWORKS = {
    "convolutions": (532, IMAGE),
    "norm_first": (126, IMAGE),
    "transposed": (116, IMAGE),
    "linear": (45, ROWS),
    "language_model": (4080, TOKENS),
    "lstm": (54_666, TOKENS),
    "gru": (47_626, TOKENS),
    "everything": (1808, TOKENS),
    "untrained": (108, ROWS),
}

# (factory, exporter) → what changes, tensor by tensor
DIFFERENCES: dict[tuple[str, str], dict[str, int]] = {
    # BatchNorm behind a convolution is folded into it: scale and shift go, a bias comes.
    **{
        ("convolutions", exporter): {
            "scale and shift of the norm behind the first convolution": -2 * 8,
            "bias that the first convolution did not have": +8,
            "scale and shift of the norm behind the second, which has a bias": -2 * 4,
        }
        for exporter in EXPORTERS
    },
    # Only the newer exporter folds it into a transposed convolution or a linear layer.
    ("transposed", DYNAMO): {"scale and shift": -2 * 4, "bias that was not there": +4},
    ("linear", DYNAMO): {"scale and shift, into a layer with a bias": -2 * 5},
    # A linear layer's weight is stored transposed for MatMul: a tied one is no longer the same.
    ("language_model", SCRIPT): {
        "the table again, transposed for the scores": +40 * 16,
        "places beyond the exported length of 5, folded into what is added": -3 * 16,
    },
    ("language_model", DYNAMO): {
        "the table again, transposed for the scores": +40 * 16,
        "places beyond the exported length of 5, folded into what is added": -3 * 16,
    },
    **{
        ("everything", exporter): {
            "the table again, transposed for the scores": +20 * 12,
            "scale and shift": -2 * 16,
            "bias that the convolution did not have": +16,
        }
        for exporter in EXPORTERS
    },
    # Tensors with equal values are stored once, though nothing ties them.
    **{
        ("untrained", exporter): {"ones and zeros of the second norm": -2 * 6}
        for exporter in EXPORTERS
    },
}

# Elements of buffers: running statistics without the step counter, which no ONNX file has; and the
# zeros that a recurrent layer starts from: an LSTM has two of them, which are one tensor.
BUFFERS = {
    ("convolutions", SCRIPT): 0,
    ("convolutions", DYNAMO): 0,
    ("norm_first", SCRIPT): 2 * 3 + 2 * 4,
    ("norm_first", DYNAMO): 2 * 3 + 2 * 4,
    ("transposed", SCRIPT): 2 * 4,
    ("transposed", DYNAMO): 0,
    ("linear", SCRIPT): 2 * 5,
    ("linear", DYNAMO): 0,
    ("lstm", SCRIPT): 2 * 64,
    ("lstm", DYNAMO): 2 * 64,
    # two layers, one way: the newer exporter stores the zeros of both once
    ("gru", SCRIPT): 2 * 64,
    ("gru", DYNAMO): 64,
    ("everything", SCRIPT): 8,
    ("everything", DYNAMO): 8,
}


def made(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    size = NETWORKS[name][1]
    kind = torch.int64 if size is TOKENS else torch.float32
    module: torch.nn.Module = getattr(importlib.import_module("exporter_traps"), name)()
    return module, torch.zeros(size, dtype=kind)


def ledger(spec: Path | str) -> Ledger:
    return take(models.read(models.recognise(str(spec)), trust_model_code=True))


def exported(name: str, exporter: str, folder: Path, **settings: object) -> Ledger:
    module, inputs = made(name)
    path = folder / "m.onnx"
    torch.onnx.export(module, (inputs,), path, dynamo=exporter == DYNAMO, verbose=False, **settings)
    return ledger(path)


@pytest.mark.parametrize("name", NETWORKS)
def test_whatever_torch_writes_has_the_count_of_the_module(name: str, tmp_path: Path) -> None:
    import safetensors.torch

    module, inputs = made(name)
    torch.save(module.state_dict(), tmp_path / "w.pt")
    safetensors.torch.save_model(module, str(tmp_path / "w.safetensors"))
    torch.export.save(torch.export.export(module, (inputs,)), tmp_path / "m.pt2")
    counts = {path.name: ledger(path).parameters for path in sorted(tmp_path.iterdir())}
    counts["module"] = ledger(f"exporter_traps:{name}").parameters
    counts["torch"] = sum(parameter.numel() for parameter in module.parameters())
    assert counts == dict.fromkeys(counts, NETWORKS[name][0])
    assert len(counts) == 5


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exporter_changes_what_is_known(name: str, exporter: str, tmp_path: Path) -> None:
    found = exported(name, exporter, tmp_path)
    known = sum(DIFFERENCES.get((name, exporter), {}).values())
    assert found.parameters == NETWORKS[name][0] + known
    assert found.elements_by_role.get("buffer", 0) == BUFFERS.get((name, exporter), 0)


UNOPTIMISED = {SCRIPT: {"do_constant_folding": False}, DYNAMO: {"optimize": False}}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ["linear", "convolutions", "language_model"])
def test_without_optimisation_the_count_is_the_modules(
    name: str, exporter: str, tmp_path: Path
) -> None:
    """Except that the newer exporter stores one zero, expanded to a bias, where there is none."""
    zeros = 1 if (name, exporter) == ("convolutions", DYNAMO) else 0
    found = exported(name, exporter, tmp_path, **UNOPTIMISED[exporter])
    assert found.parameters == NETWORKS[name][0] + zeros
