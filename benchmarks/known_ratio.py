"""Models whose true speed-up is known: one body, called so many times. Needs PyTorch.

Twenty calls against ten of the very same body take twice as long, whatever the machine does;
layers that are stacked instead would share caches and fusions, and be no exact ratio.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

WIDTH = 384
ROWS = 4
"""A call of the body takes some hundred microseconds on one core."""


class Repeated(nn.Module):
    """A small network that runs its body `calls` times, each time on the same input.

    Input ``x``: float32 [N, ROWS × WIDTH].
    """

    def __init__(self, calls: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.calls = calls
        self.body = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.Tanh()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of every call the last result."""
        rows = x.reshape(-1, WIDTH)
        last = rows
        for _ in range(self.calls):
            last = self.body(rows)
        return last.reshape(len(x), -1)


def _factory(calls: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        return Repeated(calls).eval()

    return make


calls_10 = _factory(10)
calls_11 = _factory(11)
calls_20 = _factory(20)
calls_21 = _factory(21)
