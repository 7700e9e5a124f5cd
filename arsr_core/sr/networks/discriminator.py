"""VGG-style discriminators of SRGAN (Ledig et al., CVPR 2017) and ESRGAN (Wang et al., ECCV Workshops 2018)."""

import torch
from torch import nn

from arsr_core.errors import InputError, require


def esrgan(*, patch: int = 128, features: int = 64) -> "Discriminator":
    """ESRGAN's and SoSR's: five stages, 4x4 convolutions halve, 100 hidden units."""
    return Discriminator(patch=patch, features=features, stages=5, halving=4, hidden=100)


def srgan(*, patch: int = 128, features: int = 64) -> "Discriminator":
    """SRGAN's: four stages, 3x3 convolutions halve, 1,024 hidden units (the paper's patches have 96 px)."""
    return Discriminator(patch=patch, features=features, stages=4, halving=3, hidden=1024)


class Discriminator(nn.Module):
    """(N, 3, patch, patch) RGB in [0, 1] -> (N, 1) logits, higher for real; the sigmoid belongs to the loss.

    stages: each a 3x3 convolution that widens (to 8 x features at most) and one of `halving` pixels that halves, with
    batch norm but for the first, and leaky ReLU; hidden: units of the layer before the last.
    """

    def __init__(self, *, patch: int, features: int, stages: int, halving: int, hidden: int):
        super().__init__()
        if patch % 2**stages:
            raise InputError(f"discriminator: patch must be a multiple of {2**stages} px, got {patch}")
        self.patch = patch
        layers, inputs = [], 3
        for stage in range(stages):
            outputs = features * min(2**stage, 8)
            layers += _layer(inputs, outputs, 3, stride=1, norm=stage > 0) + _layer(outputs, outputs, halving, stride=2)
            inputs = outputs
        self.features = nn.Sequential(*layers)  # (N, 8 features, patch / 2**stages, patch / 2**stages)
        side = patch // 2**stages
        self.classifier = nn.Sequential(nn.Linear(inputs * side**2, hidden), _leaky(), nn.Linear(hidden, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        require("discriminator", x=(x, f"N 3 {self.patch} {self.patch}"))
        return self.classifier(self.features(x).flatten(1))


def _layer(inputs: int, outputs: int, size: int, stride: int, norm: bool = True) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, padding=1, bias=not norm)
    return [conv, nn.BatchNorm2d(outputs), _leaky()] if norm else [conv, _leaky()]


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(0.2, inplace=True)
