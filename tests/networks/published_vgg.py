"""VGG: Simonyan and Zisserman 2015, "Very deep convolutional networks", Table 1."""

from __future__ import annotations

from torch import nn


def vgg_16() -> nn.Module:
    """138,357,544 parameters: column D, 138 million in Table 2."""
    return _vgg((2, 2, 3, 3, 3))


def vgg_19() -> nn.Module:
    """143,667,240 parameters: column E, 144 million in Table 2."""
    return _vgg((2, 2, 4, 4, 4))


def _vgg(depths: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for made, depth in zip((64, 128, 256, 512, 512), depths, strict=True):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, made, 3, padding=1), nn.ReLU()]
            channels = made
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))
