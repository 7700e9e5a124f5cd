"""Luma and grey."""

import torch

from arsr_core.degrade import quantise
from arsr_core.errors import InputError, require


def rgb_to_y(x: torch.Tensor) -> torch.Tensor:
    """Luma of BT.601, 16-235, as MATLAB `rgb2ycbcr` of doubles: (65.481 R + 128.553 G + 24.966 B + 16) / 255.

    x: (..., 3, H, W) in [0, 1] -> (..., 1, H, W) in [16/255, 235/255]. A common mistake is full-range
    luma (0-255): its differences are 255/219 times larger, so its PSNR is 1.3 dB lower.
    """
    require("rgb_to_y", x=(x, "... 3 H W"))
    r, g, b = x.split(1, dim=-3)
    return (65.481 * r + 128.553 * g + 24.966 * b + 16) / 255


def to_grey(frames: torch.Tensor) -> torch.Tensor:
    """8-bit grey exactly as OpenCV's cvtColor (0.299 R + 0.587 G + 0.114 B, in 15-bit fixed point).

    frames: (N, 3, H, W) RGB, uint8 or float in [0, 1] -> uint8 (N, H, W). NaN is an InputError.
    """
    require("to_grey", "float or uint8", frames=(frames, "N 3 H W"))
    if frames.is_floating_point():
        if frames.isnan().any():
            raise InputError("to_grey: the frames hold NaN; expected values in [0, 1]")
        frames = (quantise(frames.detach().float()) * 255).round()
    r, g, b = frames.int().unbind(1)
    return ((9798 * r + 19235 * g + 3735 * b + (1 << 14)) >> 15).to(torch.uint8)
