"""The networks of this folder, with what is published of each and an input to run it on."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

IMAGE = (1, 3, 224, 224)


@dataclass(frozen=True)
class Network:
    """One network.

    Attributes:
        factory: as on compaudit's command line, ``module:callable``.
        parameters: published, or the sum in the factory's docstring.
        size: of the input; two dimensions are rows of token ids.
        unseen: multiply-accumulates of one run that belong to no layer, attention between tokens;
            and where torch's own attention is used, its projections, which call no layer either.
    """

    factory: str
    parameters: int
    size: tuple[int, ...] = IMAGE
    unseen: int = 0

    def build(self, device: str = "meta") -> nn.Module:
        """The module, on the meta device without values."""
        module, _, name = self.factory.partition(":")
        with torch.device(device):
            made: nn.Module = getattr(importlib.import_module(module), name)()
        return made.eval()

    def inputs(self, device: str = "meta") -> Tensor:
        """Zeros of the input's size."""
        kind = torch.int64 if len(self.size) == 2 else torch.float32
        return torch.zeros(self.size, dtype=kind, device=device)


NETWORKS = {
    "LeNet-300-100": Network("published_lenet:lenet_300_100", 266_610, (1, 1, 28, 28)),
    "LeNet-5 (Caffe)": Network("published_lenet:lenet_5", 431_080, (1, 1, 28, 28)),
    "AlexNet (Caffe)": Network("published_alexnet:caffe", 60_965_224, (1, 3, 227, 227)),
    "AlexNet (torchvision)": Network("published_alexnet:torchvision", 61_100_840),
    "VGG-16": Network("published_vgg:vgg_16", 138_357_544),
    "VGG-19": Network("published_vgg:vgg_19", 143_667_240),
    "GoogLeNet": Network("published_inception:googlenet", 6_998_552),
    "BN-Inception": Network("published_inception:bn_inception", 11_194_984),
    "ResNet-18": Network("published_resnet:resnet_18", 11_689_512),
    "ResNet-50": Network("published_resnet:resnet_50", 25_557_032),
    "SqueezeNet 1.0": Network("published_squeezenet:squeezenet_1_0", 1_248_424),
    "SqueezeNet 1.1": Network("published_squeezenet:squeezenet_1_1", 1_235_496),
    "DenseNet-121": Network("published_densenet:densenet_121", 7_978_856),
    "MobileNetV2": Network("published_mobilenet:mobilenet_v2", 3_504_872),
    "U-Net": Network("published_unet:unet", 31_030_658, (1, 1, 572, 572)),
    "ViT-B/16": Network("published_transformer:vit_base", 86_567_656, unseen=12 * 2 * 197**2 * 768),
    "DeiT-Ti": Network("published_transformer:vit_tiny", 5_717_416, unseen=12 * 2 * 197**2 * 192),
    "GPT-2 small": Network(
        "published_transformer:gpt2", 124_439_808, (1, 64), unseen=12 * 2 * 64**2 * 768
    ),
    "Transformer encoder": Network(
        *("published_transformer:encoder", 66_944, (2, 16, 64)),
        unseen=2 * 2 * (16 * 4 * 64 * 64 + 2 * 16**2 * 64),
    ),
    "LSTM tagger": Network("published_recurrent:lstm_tagger", 54_666, (2, 20)),
    "GRU tagger": Network("published_recurrent:gru_tagger", 47_626, (2, 20)),
}
