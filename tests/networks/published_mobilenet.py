"""MobileNetV2: Sandler et al. 2018, "Inverted residuals and linear bottlenecks", Table 2."""

from __future__ import annotations

from torch import Tensor, nn

# expansion, channels, repetitions, stride of the first
_TABLE_2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def mobilenet_v2() -> nn.Module:
    """3,504,872 parameters, as torchvision documents them; 3.4 million in Table 4."""
    layers = _normalised(3, 32, 3, 2)
    channels = 32
    for expansion, made, repetitions, first in _TABLE_2:
        for place in range(repetitions):
            layers.append(Inverted(channels, made, first if place == 0 else 1, expansion))
            channels = made
    layers += [*_normalised(channels, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(1280, 1000))


class Inverted(nn.Module):
    """Expand, filter each channel by itself, project; beside the input where the sizes agree."""

    def __init__(self, given: int, made: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = given * expansion
        layers = _normalised(given, inner, 1) if expansion > 1 else []
        layers += _normalised(inner, inner, 3, stride, groups=inner)
        self.branch = nn.Sequential(
            *layers, nn.Conv2d(inner, made, 1, bias=False), nn.BatchNorm2d(made)
        )
        self.residual = given == made and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        return x + y if self.residual else y


def _normalised(
    given: int, made: int, size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(given, made, size, stride, size // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(made), nn.ReLU6()]
