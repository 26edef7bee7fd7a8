"""Taggers: an embedding, recurrent layers, a score per token and tag. Counts worked out by hand."""

from __future__ import annotations

from torch import Tensor, nn


def lstm_tagger() -> nn.Module:
    """54,666 parameters: 100·32, in each direction 4·64·(32 + 64) + 2·4·64, and 128·10 + 10.

    Two biases for each row of gates, as cuDNN has them.
    """
    return Tagger(nn.LSTM, bidirectional=True)


def gru_tagger() -> nn.Module:
    """47,626 parameters: 100·32; 3·64·(32 + 64) + 2·3·64; 3·64·(64 + 64) + 2·3·64; 64·10 + 10."""
    return Tagger(nn.GRU, num_layers=2)


class Tagger(nn.Module):
    """100 words, 10 tags."""

    def __init__(self, kind: type[nn.RNNBase], **settings: object) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 32)
        self.layers = kind(32, 64, batch_first=True, **settings)
        self.tags = nn.Linear(128 if self.layers.bidirectional else 64, 10)

    def forward(self, ids: Tensor) -> Tensor:
        return self.tags(self.layers(self.words(ids))[0])
