"""Small networks that an ONNX exporter rewrites: each with the sum of its own parameters."""

from __future__ import annotations

import torch
from published_recurrent import gru_tagger, lstm_tagger
from published_transformer import gpt_small
from torch import Tensor, nn


def convolutions() -> nn.Module:
    """532 parameters: 8·27, a norm of 2·8; 4·72 + 4, a norm of 2·4. Buffers 2·8 + 1 + 2·4 + 1."""
    return _trained(
        nn.Sequential(
            *(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            *(nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        )
    )


def norm_first() -> nn.Module:
    """126 parameters: a norm of 2·3 that has no convolution before it; 4·27 + 4; ReLU; 2·4."""
    layers = (nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    return _trained(nn.Sequential(*layers))


def transposed() -> nn.Module:
    """116 parameters: a transposed convolution of 3·4·9 without bias, a norm of 2·4."""
    return _trained(nn.Sequential(nn.ConvTranspose2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)))


def linear() -> nn.Module:
    """45 parameters: 6·5 + 5, a norm of 2·5."""
    return _trained(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()))


def language_model() -> nn.Module:
    """4,080 parameters, its table of 40·16 used twice; see `published_transformer.gpt_small`."""
    return _trained(gpt_small())


def lstm() -> nn.Module:
    """54,666 parameters; see `published_recurrent.lstm_tagger`."""
    return _trained(lstm_tagger())


def gru() -> nn.Module:
    """47,626 parameters; see `published_recurrent.gru_tagger`."""
    return _trained(gru_tagger())


def everything() -> nn.Module:
    """1,808 parameters: table 20·12, convolution 16·36, norm 2·16, LSTM 4·8·(16 + 8) + 2·4·8,
    linear 8·12 + 12, bias of the scores 20.
    """
    return _trained(Everything())


def untrained() -> nn.Module:
    """108 parameters: twice 6·6 + 6 and a norm of 2·6. The norms are all ones, and all zeros."""
    layers = (nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 6), nn.LayerNorm(6))
    return nn.Sequential(*layers).eval()


class Everything(nn.Module):
    """A tied table, a convolution with BatchNorm, an LSTM, a product back to the table's width."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 12)
        self.convolution = nn.Conv1d(12, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(16)
        self.layer = nn.LSTM(16, 8, batch_first=True)
        self.back = nn.Linear(8, 12)
        self.scores = nn.Linear(12, 20)
        self.scores.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids).transpose(1, 2)
        x = torch.relu(self.norm(self.convolution(x))).transpose(1, 2)
        return self.scores(self.back(self.layer(x)[0]))


def _trained(module: nn.Module) -> nn.Module:
    """No two tensors alike, as after training: exporters store equal ones once."""
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=source) + 0.5)
    return module.eval()
