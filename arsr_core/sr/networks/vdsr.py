"""VDSR: bicubic, and 20 convolutions that add the detail it lacks (Kim, Lee and Lee, CVPR 2016)."""

import math
from contextlib import nullcontext

import torch
from torch import nn

from arsr_core.colour import rgb_to_y
from arsr_core.degrade import imresize
from arsr_core.errors import InputError

Y_TO_RGB = 255 / 219  # adding d to BT.601 luma, chroma kept, adds d * 255 / 219 to each of R, G and B


class Bicubic(nn.Module):
    """MATLAB's `imresize` x4: (N, 3, H, W) -> (N, 3, 4H, 4W). The baseline, and the first step of VDSR."""

    scale, frames, margin, footprint = 4, 1, 2, 130

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return imresize(x, self.scale)


class VDSR(nn.Module):
    """SR = bicubic(LR) + residual(luma of bicubic(LR)): (N, 3, H, W) RGB in [0, 1] -> (N, 3, 4H, 4W).

    The residual sees `rgb_to_y` (16/255 to 235/255) and is added to luma only; chroma is bicubic's. No biases, as
    in the public PyTorch weights, whose names the layers bear. He initialisation.

    layers: convolutions of 3x3 in all; features: their channels.
    """

    scale, frames = 4, 1

    def __init__(self, *, layers: int = 20, features: int = 64):
        super().__init__()
        if layers < 2:
            raise InputError(f"VDSR: expected 2 layers or more, got {layers}")
        self.footprint = self.scale**2 * (3 * features + 4)
        self.margin = math.floor(layers / 4 + 2.375)  # `layers` HR pixels and the cubic's two LR ones
        self.input = _conv(1, features)
        self.residual_layer = nn.Sequential(*(Layer(features, exact=i == 0) for i in range(layers - 2)))
        self.output = _conv(features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = imresize(x, self.scale)  # (N, 3, 4H, 4W)
        y = rgb_to_y(up)
        with _full_precision(y):
            deep = self.input(y).relu_()
        residual = self.output(self.residual_layer(deep))  # (N, 1, 4H, 4W)
        return up + residual * Y_TO_RGB


class Layer(nn.Module):
    """A convolution and ReLU; exact: in float32 whatever autocast says."""

    def __init__(self, features: int, *, exact: bool = False):
        super().__init__()
        self.conv = _conv(features, features)
        self.exact = exact

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with _full_precision(x) if self.exact else nullcontext():
            return self.conv(x).relu_()


def _full_precision(x: torch.Tensor) -> torch.autocast:
    """bfloat16 in the first two convolutions rounds the grey levels themselves: it cost up to 0.5 dB on real clips."""
    return torch.autocast(x.device.type, enabled=False)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
