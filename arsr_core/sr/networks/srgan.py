"""The generator of SRGAN, SRResNet (Ledig et al., CVPR 2017): as now trained, and as printed."""

import torch
import torch.nn.functional as F
from torch import nn

from arsr_core.sr.networks.bands import in_bands
from arsr_core.sr.networks.rrdb import conv


def generator(*, blocks: int = 16, features: int = 64, batch_norm: bool = False, activated: bool = True) -> nn.Module:
    """SRResNet: `MSRResNet`, which public weights are for, or with batch_norm=True the paper's `SRResNet`.

    Both map (N, 3, H, W) RGB in [0, 1] to (N, 3, 4H, 4W) with `blocks` residual blocks of `features` channels.
    """
    if batch_norm:
        return SRResNet(blocks=blocks, features=features)
    return MSRResNet(blocks=blocks, features=features, activated=activated)


class MSRResNet(nn.Module):
    """SRResNet without batch norm, that adds detail to a bilinear enlargement (BasicSR's and mmagic's form).

    activated: leaky ReLU after each upsampling, as BasicSR has and mmagic has not. The two forms name these layers
    differently (upconv1, upsample1.upsample_conv), so a file of weights tells which it needs.
    """

    scale, frames = 4, 1

    def __init__(self, *, blocks: int = 16, features: int = 64, activated: bool = True):
        super().__init__()
        self.footprint = 4 * features
        self.margin = 2 * blocks + 3
        self.conv_first = conv(3, features, gain=0.1)
        self.body = nn.Sequential(*(Block(features) for _ in range(blocks)))
        up1, up2 = (conv(features, 4 * features, gain=0.1) for _ in range(2))
        self.activated = activated
        if activated:
            self.upconv1, self.upconv2 = up1, up2
        else:
            self.upsample1 = nn.ModuleDict({"upsample_conv": up1})
            self.upsample2 = nn.ModuleDict({"upsample_conv": up2})
        self.conv_hr = conv(features, features, gain=0.1)
        self.conv_last = conv(features, 3, gain=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        detail = in_bands(self._enlarged, self.body(_leaky(self.conv_first(x))), margin=2)
        return detail + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)

    def _enlarged(self, deep: torch.Tensor) -> torch.Tensor:
        if self.activated:
            deep = _leaky(F.pixel_shuffle(self.upconv1(deep), 2))  # (N, features, 2H, 2W)
            deep = _leaky(F.pixel_shuffle(self.upconv2(deep), 2))  # (N, features, 4H, 4W)
        else:
            deep = F.pixel_shuffle(self.upsample1["upsample_conv"](deep), 2)
            deep = F.pixel_shuffle(self.upsample2["upsample_conv"](deep), 2)
        return self.conv_last(_leaky(self.conv_hr(deep)))


class Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = conv(features, features, gain=0.1)
        self.conv2 = conv(features, features, gain=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(self.conv1(x).relu_())


class SRResNet(nn.Module):
    """The paper's Figure 4: 9x9 convolutions at both ends, batch norm, parametric ReLU, pixel shuffle twice."""

    scale, frames = 4, 1

    def __init__(self, *, blocks: int = 16, features: int = 64):
        super().__init__()
        self.footprint = 5 * features
        self.margin = 2 * blocks + 8
        self.conv_first = nn.Sequential(nn.Conv2d(3, features, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*(NormBlock(features) for _ in range(blocks)))
        self.conv_body = nn.Sequential(*_normed(features))
        self.upsample = nn.Sequential(*_upsampled(features), *_upsampled(features))
        self.conv_last = nn.Conv2d(features, 3, 9, padding=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.conv_first(x)
        deep = first + self.conv_body(self.body(first))
        return in_bands(lambda x: self.conv_last(self.upsample(x)), deep, margin=3)


class NormBlock(nn.Module):
    """x + norm(conv(prelu(norm(conv(x)))))."""

    def __init__(self, features: int):
        super().__init__()
        self.layers = nn.Sequential(*_normed(features), nn.PReLU(), *_normed(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def _normed(features: int) -> list[nn.Module]:
    return [nn.Conv2d(features, features, 3, padding=1), nn.BatchNorm2d(features)]


def _upsampled(features: int) -> list[nn.Module]:
    return [nn.Conv2d(features, 4 * features, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()]


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu_(x, 0.1)
