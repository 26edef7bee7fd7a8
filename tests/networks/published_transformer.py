"""Transformers: ViT, GPT-2 (its output layer is tied to its embedding), a plain encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def vit_base() -> nn.Module:
    """86,567,656 parameters: ViT-B/16, Dosovitskiy et al. 2021, as torchvision documents it."""
    return ViT(224, 16, 768, 12, 12)


def vit_tiny() -> nn.Module:
    """5,717,416 parameters: DeiT-Ti, Touvron et al. 2021, Table 1 (5 million).

    Patches 147,648, class token 192, places 197·192, twelve blocks of 444,864, norm 384,
    classifier 193,000.
    """
    return ViT(224, 16, 192, 12, 3)


def gpt2() -> nn.Module:
    """124,439,808 parameters: GPT-2 small, Radford et al. 2019, as its checkpoint has them.

    The table of 50,257 tokens is the output layer's weight, too, and counts once.
    """
    return GPT(50_257, 1024, 768, 12, 12)


def gpt_small() -> nn.Module:
    """4,080 parameters: the same in small, 40·16 tokens, 8·16 places, one block, a norm of 2·16.

    The block: 16·48 + 48, 16·16 + 16, 16·64 + 64, 64·16 + 16 and two norms of 2·16, that is 3,280.
    """
    return GPT(40, 8, 16, 1, 2)


def encoder() -> nn.Module:
    """66,944 parameters: two of torch's own layers of 33,472, width 64 and 128 inside.

    Attention 4·(64·64 + 64), products 64·128 + 128 and 128·64 + 64, two norms of 2·64.
    """
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


class Attention(nn.Module):
    """Self-attention of several heads: one product for query, key and value, one for the result."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Attention and two products, each behind a norm and beside its input."""

    def __init__(self, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, causal)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class ViT(nn.Module):
    """Patches of an image as tokens, one token more for the class."""

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embedding = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*(Block(width, heads, causal=False) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embedding
        return self.head(self.norm(self.blocks(x))[:, 0])


class GPT(nn.Module):
    """Scores of the next token, by the embedding's own table."""

    def __init__(self, words: int, length: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(words, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads, causal=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.places(places)
        return self.head(self.norm(self.blocks(x)))
