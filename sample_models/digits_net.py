"""The network behind every model in this folder: a small classifier of 8x8 handwritten digits."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SEED = 20240229


@dataclass(frozen=True)
class Widths:
    """Output channels of every layer but the head; each stage ends in a 2x2 pooling."""

    stem: int = 32
    stages: tuple[tuple[int, ...], ...] = ((64, 64, 64), (48,), (32,))
    hidden: int = 64


class ConvBlock(nn.Module):
    """3x3 convolution, BatchNorm, ReLU; keeps height and width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        # Typed as a plain module because low-rank compression puts two convolutions here.
        self.conv: nn.Module = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        activated: Tensor = torch.relu(self.norm(self.conv(features)))
        return activated


class DigitsNet(nn.Module):
    """Logits of ten digits.

    Input ``image``: float32 [N, 1, 8, 8] in [0, 1]. Output ``logits``: float32 [N, 10].
    """

    # The digits are enlarged so that one inference costs milliseconds: a latency ratio
    # between models that take microseconds would measure the runtime, not the model.
    ENLARGEMENT = 5

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=self.ENLARGEMENT, mode="bilinear")
        self.stem = ConvBlock(1, widths.stem)
        self.stages = nn.Sequential()
        channels = widths.stem
        for stage in widths.stages:
            self.stages.append(_stage(channels, stage))
            channels = stage[-1]
        side = 8 * self.ENLARGEMENT // 2 ** len(widths.stages)
        self.hidden: nn.Module = nn.Linear(channels * side * side, widths.hidden)
        self.head = nn.Linear(widths.hidden, 10)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stages(self.stem(self.enlarge(image)))
        hidden = torch.relu(self.hidden(features.flatten(1)))
        logits: Tensor = self.head(hidden)
        return logits


def _stage(channels_in: int, channels_out: tuple[int, ...]) -> nn.Sequential:
    inputs = (channels_in, *channels_out[:-1])
    blocks = [ConvBlock(i, o) for i, o in zip(inputs, channels_out, strict=True)]
    return nn.Sequential(*blocks, nn.MaxPool2d(2))


def seeded_net(widths: Widths, seed: int = SEED) -> DigitsNet:
    """Build a network with repeatable random weights; torch's global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DigitsNet(widths)


def digits_net() -> nn.Module:
    """Build the original network in eval mode; ``digits.safetensors`` holds its trained weights."""
    return seeded_net(Widths()).eval()
