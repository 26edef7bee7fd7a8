"""The two first Inception networks, without the auxiliary heads that only training has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# 1 × 1, 3 × 3 reduce, 3 × 3, 5 × 5 reduce, 5 × 5, pool projection
_GOOGLENET = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

# 1 × 1, 3 × 3 reduce, 3 × 3, double 3 × 3 reduce, double 3 × 3, pool projection. Zero: none; 3c and
# 4e have stride 2 and hand the pooled input on. In 4c and 4d the projection of 96 channels is the
# one with which the branches add up to the 576 that the table gives as their output.
_BN_INCEPTION = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 96),
    "4d": (96, 128, 192, 160, 192, 96),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}


def googlenet() -> nn.Module:
    """6,998,552 parameters: Szegedy et al. 2015, "Going deeper with convolutions", Table 1."""
    layers = [*_convolved(3, 64, 7, 2), _pool(), nn.LocalResponseNorm(5)]
    layers += [*_convolved(64, 64, 1), *_convolved(64, 192, 3), nn.LocalResponseNorm(5), _pool()]
    channels = 192
    for name, (one, reduce_3, three, reduce_5, five, pooled) in _GOOGLENET.items():
        if name in ("4a", "5a"):
            layers.append(_pool())
        branches = [
            nn.Sequential(*_convolved(channels, one, 1)),
            nn.Sequential(*_convolved(channels, reduce_3, 1), *_convolved(reduce_3, three, 3)),
            nn.Sequential(*_convolved(channels, reduce_5, 1), *_convolved(reduce_5, five, 5)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), *_convolved(channels, pooled, 1)),
        ]
        layers.append(Branches(*branches))
        channels = one + three + five + pooled
    return nn.Sequential(*layers, *_classifier(channels))


def bn_inception() -> nn.Module:
    """11,194,984 parameters: Ioffe and Szegedy 2015, "Batch normalization", Figure 5.

    No convolution has a bias; 9,952 channels are normalised.
    """
    layers = [*_normalised(3, 64, 7, 2), _pool(), *_normalised(64, 64, 1)]
    layers += [*_normalised(64, 192, 3), _pool()]
    channels = 192
    for name, (one, reduce_3, three, reduce_d, double, pooled) in _BN_INCEPTION.items():
        stride = 1 if one else 2
        branches = [
            nn.Sequential(
                *_normalised(channels, reduce_3, 1), *_normalised(reduce_3, three, 3, stride)
            ),
            nn.Sequential(
                *(*_normalised(channels, reduce_d, 1), *_normalised(reduce_d, double, 3)),
                *_normalised(double, double, 3, stride),
            ),
        ]
        if one:
            pool = nn.MaxPool2d(3, 1, 1) if name == "5b" else nn.AvgPool2d(3, 1, 1)
            branches.insert(0, nn.Sequential(*_normalised(channels, one, 1)))
            branches.append(nn.Sequential(pool, *_normalised(channels, pooled, 1)))
        else:
            branches.append(_pool())
        layers.append(Branches(*branches))
        channels = one + three + double + (pooled if one else channels)
    return nn.Sequential(*layers, *_classifier(channels))


class Branches(nn.Module):
    """Several ways for one input, their channels one behind the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def _convolved(given: int, made: int, size: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(given, made, size, stride, size // 2), nn.ReLU()]


def _normalised(given: int, made: int, size: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(given, made, size, stride, size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(made), nn.ReLU()]


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _classifier(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000)
