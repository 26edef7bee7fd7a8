"""AlexNet and VGG-16 with every convolution as a vertical and a horizontal one.

Tai, Xiao, Zhang, Wang and E 2016, "Convolutional neural networks with low-rank regularization",
arXiv 1511.06067, section 2: the best factors in closed form, by singular values. The ranks are
those of the configurations that its authors published (github.com/chengtaipu/lowrankcnn).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ALEXNET_RANKS", "VGG_16_RANKS", "factorise", "random_weights"]

ALEXNET_RANKS = (8, 40, 60, 100, 200)
VGG_16_RANKS = (5, 24, 64, 64, 64, 128, 160, 192, 192, 256, 320, 320, 320)
_SEED = 0


@torch.no_grad()
def random_weights(network: nn.Module) -> nn.Module:
    """Fill a network with He's normal weights, small biases, and return it."""
    generator = torch.Generator().manual_seed(_SEED)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            assert module.bias is not None
            module.bias.normal_(0, 0.01, generator=generator)
    return network.eval()


def factorise(network: nn.Sequential, ranks: Sequence[int], *, normalised: bool) -> nn.Sequential:
    """The network with each convolution in two, the n-th with the n-th rank.

    Args:
        network: convolutions, dense layers and others in a row; left as it is.
        ranks: one for each convolution.
        normalised: put BatchNorm behind each pair and behind all dense layers but the last, as the
            authors do where they train from scratch.
    """
    left = iter(ranks)
    generator = torch.Generator().manual_seed(_SEED)
    layers: list[nn.Module] = []
    dense = [place for place, module in enumerate(network) if isinstance(module, nn.Linear)]
    for place, module in enumerate(network):
        if isinstance(module, nn.Conv2d):
            layers += _in_two(module, next(left))
            if normalised:
                layers.append(_settled(nn.BatchNorm2d(module.out_channels), generator))
        else:
            layers.append(copy.deepcopy(module))
            if normalised and isinstance(module, nn.Linear) and place != dense[-1]:
                layers.append(_settled(nn.BatchNorm1d(module.out_features), generator))
    if next(left, None) is not None:
        raise ValueError("more ranks than convolutions")
    return nn.Sequential(*layers).eval()


@torch.no_grad()
def _in_two(conv: nn.Conv2d, rank: int) -> list[nn.Module]:
    """A column of the kernel, then a row of it; each group by itself."""
    groups, made = conv.groups, conv.out_channels
    taken, height, width = conv.weight.shape[1:]
    vertical = nn.Conv2d(
        conv.in_channels,
        rank,
        (height, 1),
        (conv.stride[0], 1),
        (int(conv.padding[0]), 0),
        groups=groups,
        bias=False,
    )
    horizontal = nn.Conv2d(
        rank, made, (1, width), (1, conv.stride[1]), (0, int(conv.padding[1])), groups=groups
    )
    columns, rows = [], []
    for kernel in conv.weight.chunk(groups):
        matrix = kernel.permute(1, 2, 0, 3).reshape(taken * height, -1)
        left, right = _halves(matrix, rank // groups)
        columns.append(left.T.reshape(-1, taken, height, 1))
        rows.append(right.reshape(rank // groups, made // groups, 1, width).transpose(0, 1))
    vertical.weight.copy_(torch.cat(columns))
    horizontal.weight.copy_(torch.cat(rows))
    assert conv.bias is not None
    assert horizontal.bias is not None
    horizontal.bias.copy_(conv.bias)
    return [vertical, horizontal]


def _halves(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    root = sizes[:rank].sqrt()
    return left[:, :rank] * root, root[:, None] * right[:rank]


@torch.no_grad()
def _settled(norm: nn.BatchNorm1d | nn.BatchNorm2d, generator: torch.Generator) -> nn.Module:
    """As after training: no two of its vectors alike, as exporters store equal ones once."""
    for values, mean in (
        (norm.weight, 1.0),
        (norm.bias, 0.0),
        (norm.running_mean, 0.0),
        (norm.running_var, 1.0),
    ):
        assert values is not None
        values.normal_(mean, 0.02, generator=generator)
    return norm
