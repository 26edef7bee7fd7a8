"""U-Net: Ronneberger et al. 2015, "Convolutional networks for biomedical images", Figure 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def unet() -> nn.Module:
    """31,030,658 parameters, the sum over Figure 1: one channel in, two classes out.

    With w = 64 channels at the top, 7574·w² + 118·w + 2: the convolutions of 3 × 3 have
    9·(w + 511·w²) down and 9·255·w² up, the transposed ones 4·170·w², the last one 2·w, and there
    is a bias for each of 107·w + 2 channels.
    """
    return UNet(64)


def small() -> nn.Module:
    """485,682 parameters: the same with w = 8, for tests that run it."""
    return UNet(8)


class UNet(nn.Module):
    """Four times down, four times up; unpadded, so what is handed across is cropped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width << level for level in range(5)]
        pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
        self.down = nn.ModuleList(
            _twice(given, made) for given, made in zip([1, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(wide, half, 2, 2) for wide, half in pairs)
        self.merge = nn.ModuleList(_twice(wide, half) for wide, half in pairs)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        across: list[Tensor] = []
        for level, step in enumerate(self.down):
            x = step(nn.functional.max_pool2d(x, 2) if level else x)
            across.append(x)
        for up, merge, kept in zip(self.up, self.merge, across[-2::-1], strict=True):
            x = up(x)
            edge = (kept.shape[-1] - x.shape[-1]) // 2
            kept = kept[..., edge : edge + x.shape[-2], edge : edge + x.shape[-1]]
            x = merge(torch.cat([kept, x], 1))
        return self.head(x)


def _twice(given: int, made: int) -> nn.Module:
    first, second = nn.Conv2d(given, made, 3), nn.Conv2d(made, made, 3)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
