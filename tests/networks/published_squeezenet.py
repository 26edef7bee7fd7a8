"""SqueezeNet: Iandola et al. 2016, Table 1, and version 1.1 of the authors' repository."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def squeezenet_1_0() -> nn.Module:
    """1,248,424 parameters: Table 1 says 1,248,424 before pruning."""
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 7, 2), nn.ReLU(), _pool()),
        *(Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), _pool()),
        *(Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), _pool()),
        *(Fire(512, 64, 256), *_classifier()),
    )


def squeezenet_1_1() -> nn.Module:
    """1,235,496 parameters, as torchvision documents them.

    12,928 fewer than version 1.0: the first convolution is 3·3·3·64 + 64 instead of
    7·7·3·96 + 96, and the first squeeze layer has 64 instead of 96 inputs for 16 outputs.
    """
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), _pool()),
        *(Fire(64, 16, 64), Fire(128, 16, 64), _pool()),
        *(Fire(128, 32, 128), Fire(256, 32, 128), _pool()),
        *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        *_classifier(),
    )


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1 × 1 and 3 × 3 side by side."""

    def __init__(self, given: int, squeezed: int, made: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(given, squeezed, 1)
        self.narrow = nn.Conv2d(squeezed, made, 1)
        self.wide = nn.Conv2d(squeezed, made, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.narrow(x), self.wide(x)], 1))


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _classifier() -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(512, 1000, 1)
    return nn.Dropout(), convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
