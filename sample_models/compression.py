"""The four compressions that need training: pruned, slim, low-rank, student."""

import copy
from collections.abc import Callable

import torch
from digits_data import Images
from digits_net import ConvBlock, DigitsNet, Widths, seeded_net
from torch import Tensor, nn
from training import Recipe, distillation_loss, fit, predict

# Three steps, because pruning 90 % at once loses more than tuning brings back.
PRUNING_STEPS = (0.6, 0.8, 0.9)
PRUNING_RECIPES = (Recipe(1, 2e-3), Recipe(1, 2e-3), Recipe(3, 2e-3))
SLIM_WIDTHS = Widths(stem=24, stages=((40, 40, 40), (32,), (24,)), hidden=48)
TUNING_RECIPE = Recipe(4, 2e-3)
RANK_SHARE = 1 / 2
STUDENT_WIDTHS = Widths(stem=24, stages=((48, 48), (32,), (16,)), hidden=32)
STUDENT_RECIPE = Recipe(10, 4e-3)


def prune(original: DigitsNet, data: Images) -> DigitsNet:
    """Set the 90 % smallest convolution and dense weights to zero, stored as dense as before."""
    network = copy.deepcopy(original)
    for sparsity, recipe in zip(PRUNING_STEPS, PRUNING_RECIPES, strict=True):
        masks = _magnitude_masks(network, sparsity)
        put_back = _masking(masks)
        put_back()
        fit(network, data, recipe, after_step=put_back)
    return network


def slim(original: DigitsNet, data: Images) -> DigitsNet:
    """Keep only each layer's most important channels in a narrower network, and tune it."""
    network = _keep_channels(original, SLIM_WIDTHS)
    fit(network, data, TUNING_RECIPE)
    return network


def factorise(original: DigitsNet, data: Images) -> DigitsNet:
    """Replace each 3x3 convolution but the stem's by a 3x1 and a 1x3, the hidden layer by two."""
    network = copy.deepcopy(original)
    for block in _blocks(network)[1:]:
        block.conv = _factorised_convolution(_convolution(block))
    network.hidden = _factorised_linear(_linear(network))
    fit(network, data, TUNING_RECIPE)
    return network


def distil(original: DigitsNet, data: Images) -> DigitsNet:
    """Train a smaller network from scratch on the original's softened logits and the labels."""
    network = seeded_net(STUDENT_WIDTHS)
    fit(network, data, STUDENT_RECIPE, distillation_loss(data, predict(original, data.image)))
    return network


def _weights(network: nn.Module) -> list[Tensor]:
    """Return the weights of all convolutions and dense layers."""
    return [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def _magnitude_masks(network: nn.Module, sparsity: float) -> list[tuple[Tensor, Tensor]]:
    weights = _weights(network)
    magnitudes = torch.cat([w.detach().abs().flatten() for w in weights])
    threshold = magnitudes.kthvalue(round(sparsity * len(magnitudes))).values
    return [(weight, weight.detach().abs() > threshold) for weight in weights]


def _masking(masks: list[tuple[Tensor, Tensor]]) -> Callable[[], None]:
    @torch.no_grad()
    def put_back() -> None:
        for weight, mask in masks:
            # Assigned, not multiplied: a negative weight times 0 would be stored as -0.
            weight[~mask] = 0.0

    return put_back


def _blocks(network: DigitsNet) -> list[ConvBlock]:
    return [module for module in network.modules() if isinstance(module, ConvBlock)]


def _convolution(block: ConvBlock) -> nn.Conv2d:
    assert isinstance(block.conv, nn.Conv2d)
    return block.conv


def _linear(network: DigitsNet) -> nn.Linear:
    assert isinstance(network.hidden, nn.Linear)
    return network.hidden


@torch.no_grad()
def _keep_channels(original: DigitsNet, widths: Widths) -> DigitsNet:
    network = seeded_net(widths)
    kept_inputs = torch.tensor([0])
    for block, narrow in zip(_blocks(original), _blocks(network), strict=True):
        weight = _convolution(block).weight
        kept = _largest(_channel_importance(block), len(_convolution(narrow).weight))
        _convolution(narrow).weight.copy_(weight[kept][:, kept_inputs])
        for name, values in narrow.norm.state_dict(keep_vars=True).items():
            source = block.norm.state_dict()[name]
            values.copy_(source[kept] if source.dim() else source)
        kept_inputs = kept
    _keep_dense(original, network, kept_inputs)
    return network


def _keep_dense(original: DigitsNet, network: DigitsNet, kept_inputs: Tensor) -> None:
    wide, narrow = _linear(original), _linear(network)
    kept = _largest(wide.weight.abs().sum(1), narrow.out_features)
    # The flattened features are channels x positions, so whole channels are picked.
    channels = _blocks(original)[-1].norm.num_features
    by_channel = wide.weight.reshape(wide.out_features, channels, -1)
    narrow.weight.copy_(by_channel[kept][:, kept_inputs].flatten(1))
    narrow.bias.copy_(wide.bias[kept])
    network.head.weight.copy_(original.head.weight[:, kept])
    network.head.bias.copy_(original.head.bias)


def _channel_importance(block: ConvBlock) -> Tensor:
    """L1 norm of the filter after BatchNorm's scaling, what the folded filter would have."""
    norm = block.norm
    assert norm.running_var is not None
    folded_scale = norm.weight.abs() / (norm.running_var + norm.eps).sqrt()
    return _convolution(block).weight.abs().sum((1, 2, 3)) * folded_scale


def _largest(importance: Tensor, count: int) -> Tensor:
    return importance.topk(count).indices.sort().values


@torch.no_grad()
def _factorised_convolution(conv: nn.Conv2d) -> nn.Sequential:
    """Split a 3x3 kernel by the SVD of its (in * 3) x (out * 3) matrix.

    Jaderberg et al. 2014 (arXiv 1405.3866), section 2.2, scheme 2.
    """
    channels_out, channels_in, height, width = conv.weight.shape
    rank = round(RANK_SHARE * channels_out)
    kernel = conv.weight.permute(1, 2, 0, 3).reshape(channels_in * height, channels_out * width)
    left, right = _halves(kernel, rank)
    vertical = nn.Conv2d(channels_in, rank, (height, 1), padding=(height // 2, 0), bias=False)
    horizontal = nn.Conv2d(rank, channels_out, (1, width), padding=(0, width // 2), bias=False)
    vertical.weight.copy_(left.T.reshape(rank, channels_in, height, 1))
    by_channel = right.reshape(rank, channels_out, 1, width)
    horizontal.weight.copy_(by_channel.transpose(0, 1))
    return nn.Sequential(vertical, horizontal)


@torch.no_grad()
def _factorised_linear(linear: nn.Linear) -> nn.Sequential:
    rank = round(RANK_SHARE * linear.out_features)
    left, right = _halves(linear.weight, rank)
    # The first factor needs no bias, but without one it is exported as Transpose and MatMul.
    reduce = nn.Linear(linear.in_features, rank)
    reduce.bias.zero_()
    expand = nn.Linear(rank, linear.out_features)
    reduce.weight.copy_(right)
    expand.weight.copy_(left)
    expand.bias.copy_(linear.bias)
    return nn.Sequential(reduce, expand)


def _halves(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Best rank-r product left @ right, the singular values shared between both factors."""
    left, singular_values, right = torch.linalg.svd(matrix, full_matrices=False)
    shared = singular_values[:rank].sqrt()
    return left[:, :rank] * shared, shared[:, None] * right[:rank]
