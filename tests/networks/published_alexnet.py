"""AlexNet in its two usual forms: Caffe's with two groups, torchvision's with one column."""

from __future__ import annotations

from torch import nn


def caffe() -> nn.Module:
    """60,965,224 parameters, input 227 × 227: Krizhevsky et al. 2012, Figure 2; bvlc_alexnet.

    The second, fourth and fifth convolution have two groups, as on the two GPUs of the paper.
    """
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, 1, 2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5)),
        *(nn.MaxPool2d(3, 2), nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *_classifier(),
    )


def torchvision() -> nn.Module:
    """61,100,840 parameters: Krizhevsky 2014, "One weird trick", as torchvision documents it."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d(6)),
        *_classifier(),
    )


def _classifier() -> tuple[nn.Module, ...]:
    return (
        *(nn.Flatten(), nn.Linear(256 * 36, 4096), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000)),
    )
