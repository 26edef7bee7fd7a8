"""DenseNet: Huang et al. 2017, "Densely connected convolutional networks", Table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_GROWTH = 32


def densenet_121() -> nn.Module:
    """7,978,856 parameters, as torchvision documents them; 41,824 channels are normalised."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)]
    layers += [nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate((6, 12, 24, 16)):
        if stage:
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(depth):
            layers.append(Dense(channels))
            channels += _GROWTH
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, 1000))


class Dense(nn.Module):
    """A layer that hands on its input with 32 channels more."""

    def __init__(self, given: int) -> None:
        super().__init__()
        inner = 4 * _GROWTH
        self.branch = nn.Sequential(
            *(nn.BatchNorm2d(given), nn.ReLU(), nn.Conv2d(given, inner, 1, bias=False)),
            *(nn.BatchNorm2d(inner), nn.ReLU()),
            nn.Conv2d(inner, _GROWTH, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], 1)
