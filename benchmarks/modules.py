"""PyTorch modules for the benchmark, as factories: ``modules:resnet50``.

ResNet-50 is the network of `networks`, written as torchvision writes it. The others are trap
models, each with its true parameter count in `traps`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

__all__ = [
    "batch_norm",
    "masked",
    "quantized",
    "resnet50",
    "save_resnet50",
    "tied",
    "views",
    "weight_norm",
]

_STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))


class _Block(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.inner = nn.Sequential(
            *_normalised(channels, width, 1, 1),
            nn.ReLU(),
            *_normalised(width, width, 3, stride),
            nn.ReLU(),
            *_normalised(width, out, 1, 1),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(*_normalised(channels, out, 1, stride))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.inner(x) + self.shortcut(x))


def _normalised(taken: int, given: int, size: int, stride: int) -> tuple[nn.Module, nn.Module]:
    convolution = nn.Conv2d(taken, given, size, stride, size // 2, bias=False)
    return convolution, nn.BatchNorm2d(given)


def resnet50() -> nn.Module:
    """ResNet-50, 25,557,032 parameters, seeded."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [*_normalised(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for width, blocks, stride in _STAGES:
        for block in range(blocks):
            layers.append(_Block(channels, width, stride if block == 0 else 1))
            channels = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)]
    return nn.Sequential(*layers).eval()


def save_resnet50(path: Path) -> None:
    """`resnet50` as a file: its program for ``.pt2``, else its state dict, by the suffix."""
    model = resnet50()
    match path.suffix:
        case ".pt2":
            torch.export.save(torch.export.export(model, (torch.zeros(1, 3, 224, 224),)), path)
        case ".safetensors":
            save_file(model.state_dict(), path)
        case _:
            torch.save(model.state_dict(), path)


# ------------------------------------------------------------------------------------- traps


def tied() -> nn.Module:
    """An embedding of 10 x 4 whose weight is also the head's: 40 parameters."""
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 10, bias=False))
    model[1].weight = model[0].weight
    return model


def views() -> nn.Module:
    """Two linear layers whose weights are two Parameter objects over one storage: 16."""
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = nn.Parameter(model[0].weight.data)
    return model


def batch_norm() -> nn.Module:
    """8 x 3 x 3 x 3 + 8 + 8 = 232 parameters; the running statistics are none."""
    return nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)).eval()


def masked() -> nn.Module:
    """8 x 8 + 8 = 72 parameters, half of the weights masked to zero: 40 are left."""
    model = nn.Sequential(nn.Linear(8, 8))
    torch.manual_seed(0)
    nn.init.ones_(model[0].bias)
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    return model


def weight_norm() -> nn.Module:
    """A weight-normalised layer: 8 x 4 directions, 8 magnitudes and 8 biases, all learned: 48."""
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 8)))


def quantized() -> nn.Module:
    """Dynamically quantised 16 -> 8: 8 x 16 + 8 = 136, packed where `parameters()` is empty."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8))
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
