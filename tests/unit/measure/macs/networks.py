"""Well-known networks, built on the meta device: sizes without weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

VGG_11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
VGG_16 = (64, 64, 0, 128, 128, 0, *(256,) * 3, 0, *(512,) * 3, 0, *(512,) * 3, 0)


def lenet_300_100() -> nn.Module:
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def lenet_5() -> nn.Module:
    """Caffe's: 431,080 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def alexnet() -> nn.Module:
    """torchvision's: one column."""
    pool, relu = nn.MaxPool2d(3, 2), nn.ReLU()
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), relu, pool, nn.Conv2d(64, 192, 5, 1, 2), relu, pool),
        *(nn.Conv2d(192, 384, 3, 1, 1), relu, nn.Conv2d(384, 256, 3, 1, 1), relu),
        *(nn.Conv2d(256, 256, 3, 1, 1), relu, pool, nn.AdaptiveAvgPool2d(6), nn.Flatten()),
        *(nn.Linear(9216, 4096), relu, nn.Linear(4096, 4096), relu, nn.Linear(4096, 1000)),
    )


def vgg(plan: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = []
    channels = 3
    for size in plan:
        if size:
            layers += [nn.Conv2d(channels, size, 3, padding=1), nn.ReLU()]
            channels = size
        else:
            layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Linear(4096, 4096)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(4096, 1000))


def normalised(given: int, made: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(given, made, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(made), nn.ReLU())


class Residual(nn.Module):
    def __init__(self, given: int, made: int, stride: int, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        same = given == made and stride == 1
        self.short = nn.Identity() if same else normalised(given, made, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layers(x) + self.short(x))


def basic(given: int, made: int, stride: int) -> nn.Module:
    layers = (normalised(given, made, 3, stride), normalised(made, made, 3))
    return Residual(given, made, stride, *layers)


def bottleneck(given: int, made: int, stride: int) -> nn.Module:
    inner = made // 4
    layers = (normalised(given, inner, 1), normalised(inner, inner, 3, stride))
    return Residual(given, made, stride, *layers, normalised(inner, made, 1))


def resnet(
    block: Callable[[int, int, int], nn.Module], depths: tuple[int, ...], widest: int
) -> nn.Module:
    layers: list[nn.Module] = [normalised(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        made = widest >> (3 - stage)
        for place in range(depth):
            layers.append(block(channels, made, 2 if stage and not place else 1))
            channels = made
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


def mobilenet_1() -> nn.Module:
    """Howard et al. 2017, arXiv 1704.04861, Table 1."""
    layers: list[nn.Module] = [normalised(3, 32, 3, 2)]
    channels = 32
    plan = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5)
    for made, stride in (*plan, (1024, 2), (1024, 1)):
        layers += [normalised(channels, channels, 3, stride, channels)]
        layers += [normalised(channels, made, 1)]
        channels = made
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000))


class Fire(nn.Module):
    def __init__(self, given: int, squeezed: int, made: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(given, squeezed, 1)
        self.narrow = nn.Conv2d(squeezed, made, 1)
        self.wide = nn.Conv2d(squeezed, made, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat([self.narrow(x), self.wide(x)], 1).relu()


def squeezenet_1_1() -> nn.Module:
    pool = nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool, Fire(64, 16, 64), Fire(128, 16, 64), pool),
        *(Fire(128, 32, 128), Fire(256, 32, 128), pool, Fire(256, 48, 192), Fire(384, 48, 192)),
        *(Fire(384, 64, 256), Fire(512, 64, 256), nn.Dropout(), nn.Conv2d(512, 1000, 1)),
        *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **settings: object) -> None:
        super().__init__()
        self.layer = kind(32, 64, batch_first=True, **settings)
        self.head = nn.Linear(64 * (2 if settings else 1), 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


def encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2)


def decoder() -> nn.Module:
    """Up again: transposed convolutions, some in groups."""
    up = nn.ConvTranspose2d(8, 16, 3, stride=2, groups=2)
    return nn.Sequential(up, nn.ReLU(), nn.ConvTranspose2d(16, 4, 2), nn.Conv2d(4, 4, 3))


class Sums(nn.Module):
    """Products written as such."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum("bij,bkj->bik", x, x)
        return torch.matmul(y, x) + torch.bmm(y, x) + torch.baddbmm(x, y, x)
