"""RRDBNet: residual-in-residual dense blocks, the network of ESRGAN (Wang et al., ECCV Workshops 2018) and of SoSR."""

import torch
import torch.nn.functional as F
from torch import nn

from arsr_core.sr.networks.bands import in_bands

BETA = 0.2  # residual scaling, at each dense block and again around three of them


class RRDBNet(nn.Module):
    """(N, 3, H, W) RGB in [0, 1] -> (N, 3, 4H, 4W).

    blocks: triples of dense blocks (paper: 23); features: channels of the trunk; growth: channels that each of a
    dense block's convolutions adds. Upsampling by nearest neighbour and convolution, twice. No batch norm.
    """

    scale, frames = 4, 1

    def __init__(self, *, features: int = 64, blocks: int = 23, growth: int = 32):
        super().__init__()
        self.footprint = 5 * features + 8 * growth
        self.margin = 15 * blocks + 4
        self.conv_first = conv(3, features)
        self.body = nn.Sequential(*(RRDB(features, growth) for _ in range(blocks)))
        self.conv_body = conv(features, features)
        self.conv_up1 = conv(features, features)
        self.conv_up2 = conv(features, features)
        self.conv_hr = conv(features, features)
        self.conv_last = conv(features, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round the grey levels themselves
            first = self.conv_first(x)
        return in_bands(self._enlarged, first + self.conv_body(self.body(first)), margin=2)

    def _enlarged(self, deep: torch.Tensor) -> torch.Tensor:
        deep = _leaky(self.conv_up1(F.interpolate(deep, scale_factor=2)))  # (N, features, 2H, 2W)
        deep = _leaky(self.conv_up2(F.interpolate(deep, scale_factor=2)))  # (N, features, 4H, 4W)
        return self.conv_last(_leaky(self.conv_hr(deep)))


class RRDB(nn.Module):
    """x + BETA * three dense blocks of x: residual in residual."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.add(x, self.rdb3(self.rdb2(self.rdb1(x))), alpha=BETA)


class DenseBlock(nn.Module):
    """Five convolutions, each on the block's input and all outputs before it."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        for i in range(5):
            last = i == 4
            layer = conv(features + i * growth, features if last else growth, gain=0.1)  # paper: smaller initialisation
            self.add_module(f"conv{i + 1}", layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        new = _leaky(self.conv1(x))
        x = x.to(new.dtype)  # under autocast the sums of RRDB stay float32, which costs nothing, and these do not
        dense = torch.cat((x, new), 1)
        for layer in (self.conv2, self.conv3, self.conv4):
            dense = torch.cat((dense, _leaky(layer(dense))), 1)
        return torch.add(x, self.conv5(dense), alpha=BETA)


def conv(inputs: int, outputs: int, *, gain: float = 1.0) -> nn.Conv2d:
    """3x3 with He's initialisation times `gain` and zero bias."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight)
    with torch.no_grad():
        layer.weight *= gain
        layer.bias.zero_()
    return layer


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu_(x, 0.2)
