"""LeNet-300-100 and LeNet-5.

LeCun et al. 1998, "Gradient-based learning applied to document recognition"; the widths of LeNet-5
are those of Caffe's example network, which the papers on compression compare with.
"""

from __future__ import annotations

from torch import nn


def lenet_300_100() -> nn.Module:
    """266,610 parameters: 784·300 + 300, 300·100 + 100, 100·10 + 10.

    Han et al. 2015, "Learning both weights and connections", Table 1: 267 K.
    """
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def lenet_5() -> nn.Module:
    """431,080 parameters: 25·20 + 20, 25·20·50 + 50, 800·500 + 500, 500·10 + 10.

    Caffe, examples/mnist; Han et al. 2015, Table 1: 431 K.
    """
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )
