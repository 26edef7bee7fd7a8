"""PyTorch modules that hardly anybody wants: they leak, sleep at random, fail after a while.

Given to the command as ``misbehaving.py:leaks``. All of them compute what `tame` computes.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import torch


class Tame(torch.nn.Module):
    """Four numbers in, three out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense = torch.nn.Linear(4, 3)

    def forward(self, input: torch.Tensor) -> dict[str, torch.Tensor]:
        self.misbehave()
        return {"logits": self.dense(input)}

    def misbehave(self) -> None:
        """What a subclass does before each inference."""


class Leaky(Tame):
    """Keeps a megabyte of every call, and takes its time, so that it does not fill the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[torch.Tensor] = []

    def misbehave(self) -> None:
        time.sleep(0.01)
        self.kept.append(torch.ones(250_000))


class Sleepy(Tame):
    """Takes now 1 ms, now 40."""

    def misbehave(self) -> None:
        time.sleep(random.choice((0.001, 0.001, 0.04)))


class Failing(Tame):
    """Raises in the fourth process that loads it: after one epoch has been timed.

    Before it come the one that reads it, the one that runs it first, and that of the first epoch.
    Each leaves a line in a file where the command was run.
    """

    def __init__(self) -> None:
        super().__init__()
        loads = Path("loads.txt")
        with loads.open("a") as file:
            file.write(f"{os.getpid()}\n")
        self.last = len(loads.read_text().splitlines()) >= 4

    def misbehave(self) -> None:
        if self.last:
            raise ValueError("the cache is full")


def tame() -> torch.nn.Module:
    return Tame()


def leaks() -> torch.nn.Module:
    return Leaky()


def sleeps() -> torch.nn.Module:
    return Sleepy()


def fails() -> torch.nn.Module:
    return Failing()
