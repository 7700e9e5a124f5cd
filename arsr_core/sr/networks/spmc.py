"""SPMC: flow, sub-pixel motion compensation onto the HR grid, recurrent fusion (Tao et al., ICCV 2017).

The authors released a frozen graph and no training code; the layer sizes follow the paper and public rebuilds of it.
"""

import torch
from torch import nn

from arsr_core.colour import rgb_to_y
from arsr_core.degrade import imresize
from arsr_core.errors import InputError
from arsr_core.flow.warping import warp
from arsr_core.sr.networks.vdsr import Y_TO_RGB


class SPMC(nn.Module):
    """(N, frames, 3, H, W) RGB in [0, 1] -> the centre frame (N, 3, 4H, 4W); works on luma, chroma is bicubic's.

    Each frame is scattered along its flow to the centre onto the HR grid; an encoder-decoder with skips, a ConvLSTM at
    its bottom, adds what it finds to the centre's bicubic. The output is the last step's.

    frames: odd; features: channels at HR, twice and four times as many at its half and quarter size; motion: channels
    of the flow network.
    """

    scale = 4
    margin = None  # flow may take a pixel anywhere, and the strides tie a tile to its place in the frame

    def __init__(self, *, frames: int = 3, features: int = 32, motion: int = 24):
        super().__init__()
        if frames < 3 or frames % 2 == 0:
            raise InputError(f"SPMC: expected an odd number of frames, 3 or more, got {frames}")
        self.frames, self.footprint = frames, 86 * features
        self.register_buffer("window", torch.tensor(frames))  # no weight's shape tells it
        self.motion = Motion(motion)
        c = features
        self.enter = _conv(1, c, 5)
        self.down1 = nn.Sequential(_conv(c, 2 * c, 3, stride=2), nn.ReLU(), _conv(2 * c, 2 * c, 3), nn.ReLU())
        self.down2 = nn.Sequential(_conv(2 * c, 4 * c, 3, stride=2), nn.ReLU())
        self.lstm = ConvLSTM(4 * c)
        self.up2 = nn.Sequential(_conv(4 * c, 4 * c, 3), nn.ReLU(), _double(4 * c, 2 * c), nn.ReLU())
        self.up1 = nn.Sequential(_conv(2 * c, 2 * c, 3), nn.ReLU(), _double(2 * c, c), nn.ReLU())
        self.leave = nn.Sequential(_conv(c, c, 3), nn.ReLU(), _conv(c, 1, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x)[:, -1]

    def steps(self, x: torch.Tensor) -> torch.Tensor:
        """The centre frame after each step: (N, frames, 3, 4H, 4W). Recipes supervise the last one alone."""
        n, frames, _, h, w = x.shape
        bicubic = imresize(x[:, frames // 2], self.scale)
        rows, columns = (torch.arange(side + -side % 4, device=x.device).clamp(max=side - 1) for side in (h, w))
        y = rgb_to_y(x)[..., rows[:, None], columns]  # the border replicated: sides are multiples of 4
        state, out = None, []
        for t in range(frames):
            flow = self.motion(y[:, t], y[:, frames // 2])
            full = self.enter(scatter(y[:, t], flow, self.scale)).relu()  # (N, c, 4H, 4W)
            half = self.down1(full)  # (N, 2c, 2H, 2W)
            state = self.lstm(self.down2(half), state)  # hidden and cell, (N, 4c, H, W) each
            detail = self.leave(self.up1(self.up2(state[0]) + half) + full)
            out.append(bicubic + detail[..., : 4 * h, : 4 * w] * Y_TO_RGB)
        return torch.stack(out, 1)


class Motion(nn.Module):
    """Flow from a frame to the reference, coarse then fine: two (N, 1, H, W) -> (N, 2, H, W) in LR pixels."""

    def __init__(self, c: int):
        super().__init__()
        self.register_buffer("reach", torch.tensor(4.0))  # LR pixels: the most that a stage moves a pixel (our choice)
        self.coarse = _stage(_conv(2, c, 5, 2), _conv(c, c, 3), _conv(c, c, 5, 2), _conv(c, c, 3), scale=4)
        self.fine = _stage(_conv(5, c, 5, 2), _conv(c, c, 3), _conv(c, c, 3), _conv(c, c, 3), scale=2)

    def forward(self, frame: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        pair = torch.cat((frame, reference), 1)
        coarse = self.reach * self.coarse(pair)
        exact = torch.promote_types(frame.dtype, torch.float32)  # half precision cannot hold a place in a frame
        warped, _ = warp(reference.to(exact), coarse.to(exact))
        seen = torch.cat((pair, coarse, warped.to(frame.dtype)), 1)  # (N, 5, H, W)
        return coarse + self.reach * self.fine(seen)


class ConvLSTM(nn.Module):
    """Gates from 3x3 convolutions of input and hidden state; the forget gate starts open (bias 1)."""

    def __init__(self, channels: int):
        super().__init__()
        self.gates = _conv(2 * channels, 4 * channels, 3)

    def forward(self, x: torch.Tensor, state: tuple | None) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, cell = state or (torch.zeros_like(x), torch.zeros_like(x))
        enter, new, forget, leave = self.gates(torch.cat((x, hidden), 1)).chunk(4, 1)
        cell = cell * (forget + 1).sigmoid() + enter.sigmoid() * new.tanh()
        return cell.tanh() * leave.sigmoid(), cell


def scatter(frame: torch.Tensor, flow: torch.Tensor, scale: int) -> torch.Tensor:
    """The SPMC layer: each pixel p lands at scale * (p + flow(p)), shared bilinearly by the four HR pixels around it.

    frame: (N, C, H, W); flow: (N, 2, H, W) in its pixels -> (N, C, scale H, scale W). Sums are not normalised, pixels
    that leave the frame are lost, HR pixels that nothing hits are 0. Differentiable in frame and flow.
    """
    n, c, h, w = frame.shape
    height, width = scale * h, scale * w
    rows = torch.arange(h, device=frame.device, dtype=torch.float32)[:, None]
    columns = torch.arange(w, device=frame.device, dtype=torch.float32)
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    x, y = scale * (columns + flow[:, 0]), scale * (rows + flow[:, 1])  # (N, H, W)
    out = frame.new_zeros(n, c, height * width, dtype=flow.dtype)
    for column in (x.floor(), x.floor() + 1):
        for row in (y.floor(), y.floor() + 1):
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            weight = weight * ((column >= 0) & (column < width) & (row >= 0) & (row < height))
            place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            place = place.view(n, 1, -1).expand(-1, c, -1)  # (N, C, H W)
            out = out.scatter_add(2, place, (frame * weight[:, None]).flatten(2).to(out.dtype))
    return out.view(n, c, height, width).to(frame.dtype)


def _stage(*convs: nn.Conv2d, scale: int) -> nn.Sequential:
    layers = [layer for conv in convs for layer in (conv, nn.ReLU())]
    return nn.Sequential(*layers, _conv(convs[-1].out_channels, 2 * scale**2, 3), nn.Tanh(), nn.PixelShuffle(scale))


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2)


def _double(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
