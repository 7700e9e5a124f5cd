"""VSR-DUF: filters made for each pixel upsample the frame, 3-D dense blocks read the motion (Jo et al., CVPR 2018)."""

import torch
import torch.nn.functional as F
from torch import nn

from arsr_core.errors import InputError

TAPS = 5  # the dynamic filters are 5x5
REDUCING = 3  # the last three blocks take two frames each: 7 -> 5 -> 3 -> 1


class DUF(nn.Module):
    """(N, 7, 3, H, W) RGB in [0, 1] -> the centre frame (N, 3, 4H, 4W).

    SR = dynamic filters * centre frame + residual, both made from the features of all seven frames. Each of the 16
    sub-pixels has its own 5x5 filter, softmax over the 25 taps, one for R, G and B.

    blocks: dense blocks in all (16L: 6, 28L: 12, 52L: 24); features: channels before them; growth: channels that each
    adds; width: channels of the layers behind. momentum: the share of a batch in BatchNorm's running statistics;
    0.001 is the authors', which suits thousands of steps: take 0.1 for short training. bilinear: fresh filters
    enlarge bilinearly, to which random ones, the authors', come only after thousands of steps.
    """

    scale, frames = 4, 1 + 2 * REDUCING

    def __init__(
        self,
        *,
        blocks: int = 6,
        features: int = 64,
        growth: int = 32,
        width: int = 256,
        momentum: float = 0.001,
        bilinear: bool = False,
    ):
        super().__init__()
        if blocks < REDUCING:
            raise InputError(f"VSR-DUF: expected {REDUCING} blocks or more, got {blocks}")
        self.footprint = self.frames * (3 * (features + (blocks - REDUCING) * growth) + growth + 3)
        self.margin = blocks + 2
        self.conv1 = _conv(3, features, (1, 3, 3), padding=(0, 1, 1))
        self.blocks = nn.ModuleList(
            _dense(features + i * growth, growth, i < blocks - REDUCING, momentum) for i in range(blocks)
        )
        channels = features + blocks * growth
        self.bn2 = _norm(channels, momentum)
        self.conv2 = _conv(channels, width, (1, 3, 3), padding=(0, 1, 1))
        pixels = self.scale**2
        self.residual = nn.Sequential(_conv(width, width, 1), nn.ReLU(inplace=True), _conv(width, 3 * pixels, 1))
        self.filters = nn.Sequential(
            _conv(width, 2 * width, 1), nn.ReLU(inplace=True), _conv(2 * width, TAPS**2 * pixels, 1)
        )
        if bilinear:
            with torch.no_grad():
                self.filters[-1].bias.copy_(bilinear_filters(self.scale).add(0.01).log().flatten())
                self.filters[-1].weight.mul_(0.1)
                self.residual[-1].weight.mul_(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, frames, _, h, w = x.shape
        deep = self.conv1(x.transpose(1, 2))  # (N, features, 7, H, W)
        for block in self.blocks:
            new = block(deep)
            cut = (deep.shape[2] - new.shape[2]) // 2
            deep = torch.cat((deep[:, :, cut : deep.shape[2] - cut], new), 1)
        deep = self.conv2(self.bn2(deep).relu_()).relu_()  # (N, width, 1, H, W)
        filters = self.filters(deep).view(n, TAPS**2, self.scale**2, h, w).softmax(1)
        centre = dynamic_filter(x[:, frames // 2], filters)  # (N, 48, H, W)
        return F.pixel_shuffle(centre + self.residual(deep).squeeze(2), self.scale)


def dynamic_filter(frame: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """out[c, s](p) = sum_k filters[k, s](p) frame[c](p + offset_k), zeros outside the frame.

    frame: (N, C, H, W); filters: (N, 25, S, H, W), taps row by row -> (N, C * S, H, W).
    """
    n, c, h, w = frame.shape
    patches = F.unfold(frame, TAPS, padding=TAPS // 2).view(n, c, TAPS**2, h, w)
    with torch.autocast(frame.device.type, enabled=False):  # bfloat16 would cost grey levels here, not only detail
        return torch.einsum("nckhw,nkshw->ncshw", patches, filters.to(patches.dtype)).reshape(n, -1, h, w)


def bilinear_filters(scale: int) -> torch.Tensor:
    """The dynamic filters of bilinear enlargement: (25, scale * scale), each column sums to 1."""
    place = (torch.arange(scale) + 0.5) / scale - 0.5  # of the sub-pixels, in LR pixels from the centre tap
    taps = torch.arange(TAPS) - TAPS // 2
    along = (1 - (taps[:, None] - place).abs()).clamp_min(0)  # (5, scale)
    return torch.einsum("ya,xb->yxab", along, along).reshape(TAPS**2, scale**2)


def _dense(channels: int, growth: int, keeps_frames: bool, momentum: float) -> nn.Sequential:
    return nn.Sequential(
        _norm(channels, momentum),
        nn.ReLU(inplace=True),
        _conv(channels, channels, 1),
        _norm(channels, momentum),
        nn.ReLU(inplace=True),
        _conv(channels, growth, 3, padding=(int(keeps_frames), 1, 1)),
    )


def _norm(channels: int, momentum: float) -> nn.BatchNorm3d:
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=momentum)  # the authors' eps, which their weights need


def _conv(inputs: int, outputs: int, size: int | tuple, padding: int | tuple = 0) -> nn.Conv3d:
    conv = nn.Conv3d(inputs, outputs, size, padding=padding)
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv
