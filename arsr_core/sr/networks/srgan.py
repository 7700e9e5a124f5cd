"""The generator of SRGAN, SRResNet (Ledig et al., CVPR 2017), in the form that is trained now."""

import torch
import torch.nn.functional as F
from torch import nn

from arsr_core.sr.networks.bands import in_bands
from arsr_core.sr.networks.rrdb import conv


class MSRResNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 1] -> (N, 3, 4H, 4W): adds detail to a bilinear enlargement (BasicSR's form).

    blocks: residual blocks; features: their channels. Unlike the printed network it has no batch norm, which public
    weights are without, too.
    """

    scale, frames = 4, 1

    def __init__(self, *, blocks: int = 16, features: int = 64):
        super().__init__()
        self.footprint = 4 * features
        self.margin = 2 * blocks + 3
        self.conv_first = conv(3, features, gain=0.1)
        self.body = nn.Sequential(*(Block(features) for _ in range(blocks)))
        self.upconv1 = conv(features, 4 * features, gain=0.1)
        self.upconv2 = conv(features, 4 * features, gain=0.1)
        self.conv_hr = conv(features, features, gain=0.1)
        self.conv_last = conv(features, 3, gain=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        detail = in_bands(self._enlarged, self.body(_leaky(self.conv_first(x))), margin=2)
        return detail + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)

    def _enlarged(self, deep: torch.Tensor) -> torch.Tensor:
        deep = _leaky(F.pixel_shuffle(self.upconv1(deep), 2))  # (N, features, 2H, 2W)
        deep = _leaky(F.pixel_shuffle(self.upconv2(deep), 2))  # (N, features, 4H, 4W)
        return self.conv_last(_leaky(self.conv_hr(deep)))


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = conv(features, features, gain=0.1)
        self.conv2 = conv(features, features, gain=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.conv1(x).relu_())


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu_(x, 0.1)
