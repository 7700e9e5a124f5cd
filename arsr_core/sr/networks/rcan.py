"""RCAN: very deep residual groups whose channels are weighted by attention (Zhang et al., ECCV 2018)."""

import torch
from torch import nn

from arsr_core.errors import InputError
from arsr_core.sr.networks.bands import in_bands

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)  # RGB; the published weights were trained on frames less this mean


class RCAN(nn.Module):
    """(N, 3, H, W) RGB in [0, 1] -> (N, 3, 4H, 4W).

    groups x blocks residual channel attention blocks (paper: 10 x 20) of `features` channels, squeezed to
    features / reduction inside the attention; a convolution closes each group and the body.

    The network computes on (x - mean) * value_range, as EDSR's code does; both are buffers, hence saved with the
    weights. The attention averages over the whole frame: tiles cannot be exact, so `margin` is None.
    """

    scale, frames, margin = 4, 1, None

    def __init__(self, *, groups: int = 10, blocks: int = 20, features: int = 64, reduction: int = 16):
        super().__init__()
        if features % reduction:
            raise InputError(f"RCAN: expected a reduction that divides features, got {reduction=}, {features=}")
        self.footprint = 5 * features
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN))
        self.register_buffer("value_range", torch.tensor(255.0))
        self.conv_first = _conv(3, features)
        self.body = nn.Sequential(*(Group(blocks, features, reduction) for _ in range(groups)))
        self.conv_after_body = _conv(features, features)
        self.upsample = nn.Sequential(
            _conv(features, 4 * features), nn.PixelShuffle(2), _conv(features, 4 * features), nn.PixelShuffle(2)
        )
        self.conv_last = _conv(features, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.mean.view(3, 1, 1)
        first = self.conv_first((x - mean) * self.value_range)
        deep = self.conv_after_body(self.body(first)) + first
        enlarged = in_bands(lambda x: self.conv_last(self.upsample(x)), deep, margin=2)
        return enlarged / self.value_range + mean


class Group(nn.Module):
    """x + conv(blocks(x)): the long skip of residual-in-residual."""

    def __init__(self, blocks: int, features: int, reduction: int):
        super().__init__()
        self.residual_group = nn.Sequential(*(Block(features, reduction) for _ in range(blocks)))
        self.conv = _conv(features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(self.residual_group(x))


class Block(nn.Module):
    """x + attention(conv(relu(conv(x)))): the short skip."""

    def __init__(self, features: int, reduction: int):
        super().__init__()
        conv, again = _conv(features, features), _conv(features, features)
        self.rcab = nn.Sequential(conv, nn.ReLU(inplace=True), again, ChannelAttention(features, reduction))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.rcab(x)


class ChannelAttention(nn.Module):
    """x times one weight in (0, 1) a channel, computed from the channels' means."""

    def __init__(self, features: int, reduction: int):
        super().__init__()
        squeeze = nn.Conv2d(features, features // reduction, 1)
        excite = nn.Conv2d(features // reduction, features, 1)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), squeeze, nn.ReLU(inplace=True), excite, nn.Sigmoid()
        )  # (N, features, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.attention(x)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
