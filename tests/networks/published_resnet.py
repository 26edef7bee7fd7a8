"""ResNet: He et al. 2016, "Deep residual learning for image recognition", Table 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def resnet_18() -> nn.Module:
    """11,689,512 parameters, as torchvision documents them."""
    return _resnet(_basic, (2, 2, 2, 2), 1)


def resnet_50() -> nn.Module:
    """25,557,032 parameters, as torchvision documents them."""
    return _resnet(_bottleneck, (3, 4, 6, 3), 4)


class Residual(nn.Module):
    """A branch, and beside it the input: as it is, or projected to the branch's size."""

    def __init__(self, branch: nn.Module, short: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.short = short

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(x) + self.short(x))


def _convolved(given: int, made: int, size: int, stride: int = 1) -> list[nn.Module]:
    padding = size // 2
    return [nn.Conv2d(given, made, size, stride, padding, bias=False), nn.BatchNorm2d(made)]


def _basic(given: int, width: int, stride: int) -> nn.Module:
    layers = [*_convolved(given, width, 3, stride), nn.ReLU(), *_convolved(width, width, 3)]
    return nn.Sequential(*layers)


def _bottleneck(given: int, width: int, stride: int) -> nn.Module:
    narrow = [*_convolved(given, width, 1), nn.ReLU(), *_convolved(width, width, 3, stride)]
    return nn.Sequential(*narrow, nn.ReLU(), *_convolved(width, 4 * width, 1))


def _resnet(branch, depths: tuple[int, ...], expansion: int) -> nn.Module:
    layers = [*_convolved(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        for place in range(depth):
            stride = 2 if stage and not place else 1
            made = width * expansion
            same = channels == made and stride == 1
            short = [] if same else _convolved(channels, made, 1, stride)
            layers.append(Residual(branch(channels, width, stride), nn.Sequential(*short)))
            channels = made
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))
