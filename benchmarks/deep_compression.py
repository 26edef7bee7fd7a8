"""Pruning, weight sharing and the published storage of Deep Compression.

Han, Mao and Dally 2016, "Deep compression: compressing deep neural networks with pruning, trained
quantization and Huffman coding", arXiv 1510.00149: sections 2 to 4, and the tables of section 5,
which docs/published/deep_compression_layers.csv holds.
"""

from __future__ import annotations

import csv
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = [
    "Layer",
    "Shared",
    "prune",
    "published_layers",
    "share",
    "step_together",
    "stored_bytes",
    "weights_of",
]

TABLES = Path(__file__).parents[1] / "docs" / "published" / "deep_compression_layers.csv"
_KMEANS_STEPS = 50


@dataclass(frozen=True)
class Layer:
    """One row of Tables 2 to 5.

    Attributes:
        kept: the share of the weights that pruning leaves.
        weight_bits, index_bits: of a kept weight's code, and of the distance to the one before it.
        rate, rate_coded: bytes afterwards over bytes before, without and with Huffman coding.
    """

    name: str
    kept: float
    weight_bits: int
    index_bits: int
    rate: float
    rate_coded: float


def published_layers(network: str) -> list[Layer]:
    """The layers of one network in the paper's order."""
    with TABLES.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["network"] == network]
    return [
        Layer(
            row["layer"],
            _share(row["kept"]),
            int(row["weight_bits"]),
            int(row["index_bits"]),
            _share(row["rate"]),
            _share(row["rate_coded"]),
        )
        for row in rows
    ]


def weights_of(network: nn.Module) -> list[nn.Parameter]:
    """The weights of all convolutions and dense layers, in the order of the network."""
    kinds = (nn.Conv2d, nn.Linear)
    return [module.weight for module in network.modules() if isinstance(module, kinds)]


@torch.no_grad()
def prune(weights: Sequence[nn.Parameter], shares: Sequence[float]) -> Callable[[], None]:
    """Set all but the largest of each layer to zero.

    Args:
        weights: changed in place.
        shares: what is kept of each.

    Returns:
        What puts the zeros back after a step of training (section 2).
    """
    masks = []
    for weight, kept in zip(weights, shares, strict=True):
        sizes = weight.abs().flatten()
        masks.append(weight.abs() >= sizes.topk(max(1, round(kept * len(sizes)))).values[-1])

    @torch.no_grad()
    def put_back() -> None:
        for weight, mask in zip(weights, masks, strict=True):
            weight[~mask] = 0.0

    put_back()
    return put_back


@dataclass(frozen=True)
class Shared:
    """One layer's weight with the codes of its shared values; −1 stands for a pruned weight."""

    weight: nn.Parameter
    codes: Tensor
    values: int


@torch.no_grad()
def share(weights: Sequence[nn.Parameter], bits: Sequence[int]) -> list[Shared]:
    """Replace the kept weights of each layer by the nearest of 2^bits shared values.

    The values come from k-means that starts evenly spread from the least to the greatest weight,
    which the paper found best (section 6.2).
    """
    shared = []
    for weight, width in zip(weights, bits, strict=True):
        kept = weight[weight != 0]
        centres = torch.linspace(float(kept.min()), float(kept.max()), 2**width)
        for _ in range(_KMEANS_STEPS):
            codes = torch.bucketize(kept, (centres[1:] + centres[:-1]) / 2)
            used = torch.bincount(codes, minlength=len(centres))
            sums = torch.zeros(len(centres), dtype=torch.float64).index_add_(
                0, codes, kept.double()
            )
            moved = torch.where(used > 0, (sums / used.clamp(min=1)).float(), centres)
            if torch.equal(moved, centres):
                break
            centres = moved.sort().values
        # A value of exactly zero would be taken for a pruned weight.
        centres[centres == 0] = torch.finfo(torch.float32).tiny
        every = torch.full(weight.shape, -1, dtype=torch.int64)
        every[weight != 0] = torch.bucketize(kept, (centres[1:] + centres[:-1]) / 2)
        weight[weight != 0] = centres[every[weight != 0]]
        shared.append(Shared(weight, every, len(centres)))
    return shared


@torch.no_grad()
def step_together(shared: Iterable[Shared], rate: float) -> None:
    """One step of gradient descent of the shared values: all weights of one move alike (eq. 3)."""
    for layer in shared:
        assert layer.weight.grad is not None
        kept = layer.codes >= 0
        codes = layer.codes[kept]
        sums = torch.zeros(layer.values).index_add_(0, codes, layer.weight.grad[kept])
        layer.weight[kept] -= rate * sums[codes]


def stored_bytes(codes: NDArray[np.int64], layer: Layer, *, coded: bool) -> float:
    """What the paper's file of one layer would take.

    Kept weights stand one behind the other, each with the distance to the one before it; where that
    does not fit its bits, a zero is put between (section 2, figure 2). The shared values are stored
    once, as float32. Huffman coding gives both their own code, and costs a byte for the length of
    every word of it.

    Args:
        codes: of all weights in the order they are stored; −1 for a pruned one.
        layer: says how many bits a code and a distance have.
        coded: with Huffman coding.
    """
    places = np.flatnonzero(codes >= 0)
    distances = np.diff(places, prepend=-1)
    span = 1 << layer.index_bits
    fillers = (distances - 1) // span
    values = np.concatenate([codes[places], np.full(int(fillers.sum()), -1)])
    gaps = np.concatenate([distances - fillers * span, np.full(int(fillers.sum()), span)])
    table = 4 * 2**layer.weight_bits
    if not coded:
        return len(values) * (layer.weight_bits + layer.index_bits) / 8 + table
    total = 0
    for symbols in (values, gaps):
        counts = np.unique(symbols, return_counts=True)[1].tolist()
        total += _huffman_bits(counts) / 8 + len(counts)
    return total + table


def _huffman_bits(counts: Sequence[int]) -> int:
    """The length of a text in its Huffman code: the sum over all merged nodes."""
    if len(counts) == 1:
        return counts[0]
    heap = list(counts)
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


def _share(text: str) -> float:
    return float(text.removesuffix("%")) / 100
