"""Flow as colour: the Middlebury wheel (Baker et al. 2011), hue = direction, saturation = length."""

import math

import torch

from arsr_core.errors import InputError, checked, require
from arsr_core.flow.warping import speed

# red, yellow, green, cyan, blue, magenta, red; and the steps from each to the next
_CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))
_STEPS = (15, 6, 4, 11, 13, 6)


def wheel() -> torch.Tensor:
    """The 55 colours of the wheel, RGB in [0, 1] (k/255, as in the original code): (55, 3)."""
    corners = torch.tensor(_CORNERS, dtype=torch.float32)
    parts = []
    for start, end, steps in zip(corners[:-1], corners[1:], _STEPS, strict=True):
        ramp = torch.floor(255 * torch.arange(steps) / steps)[:, None] / 255  # (steps, 1)
        parts.append(start + ramp * (end - start))
    return torch.cat(parts)


@checked
def to_rgb(flow: torch.Tensor, bound: float | None = None) -> torch.Tensor:
    """Colour-code a flow: (N, 2, H, W) in pixels -> RGB (N, 3, H, W) in [0, 1].

    White is no motion, red is to the right, full saturation is a length of `bound` pixels; longer flow is
    darker. bound=None takes the longest vector of the whole batch, so that the frames of one call compare.
    Unknown flow (nan, or beyond 1e9 as `.flo` files mark it) is black.
    """
    require("to_rgb", flow=(flow, "N 2 H W"))
    if bound is not None and not bound > 0:
        raise InputError(f"to_rgb: bound must be positive pixels, got {bound}")
    known = (flow.abs() <= 1e9).all(1, keepdim=True)  # (N, 1, H, W)
    flow = torch.where(known, flow, 0)
    length = speed(flow)
    if bound is None:
        bound = max(length.max().item(), 1e-9) if length.numel() else 1.0
    length = length / bound

    colours = wheel().to(flow)
    angle = torch.atan2(-flow[:, 1], -flow[:, 0]) / math.pi  # [-1, 1]; -1 is to the right
    position = (angle + 1) / 2 * (len(colours) - 1)  # (N, H, W)
    index = position.floor().long()
    weight = (position - index)[..., None]
    hue = torch.lerp(colours[index], colours[(index + 1) % len(colours)], weight)  # (N, H, W, 3)
    hue = hue.movedim(-1, 1)
    rgb = torch.where(length <= 1, 1 - length * (1 - hue), 0.75 * hue)
    return torch.where(known, rgb, 0)
