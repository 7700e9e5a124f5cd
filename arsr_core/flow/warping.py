"""Backward warping: bring the next frame back onto this one; and how far that is."""

import torch
import torch.nn.functional as F

from arsr_core.errors import InputError, describe, require


def speed(flow: torch.Tensor) -> torch.Tensor:
    """The length of each flow vector, sqrt(u^2 + v^2), in pixels: float (..., 2, H, W) -> (..., 1, H, W)."""
    require("speed", "any", flow=(flow, "... 2 H W"))
    if flow.requires_grad:  # the norm has a gradient at zero, but takes fifty times as long over values a frame apart
        return torch.linalg.vector_norm(flow, dim=-3, keepdim=True)
    return torch.hypot(*flow.unbind(-3)).unsqueeze(-3)


def warp(image: torch.Tensor, flow: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Backward warping, warped(p) = image(p + flow(p)), bilinear: -> (warped, valid).

    image: (N, C, H, W), float32 or float64; flow: (N, 2, H, W) in pixels; differentiable in both.
    warped: like image; a point outside the image takes the nearest border value.
    valid: bool (N, 1, H, W), true where p + flow(p) lies within the centres of the border pixels.
    With the flow from t to t+1 and the image at t+1, `warped` is an estimate of the image at t.

    >>> image = torch.arange(4.0).view(1, 1, 1, 4)
    >>> flow = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    >>> warped, valid = warp(image, flow)
    >>> warped.flatten().tolist(), valid.flatten().tolist()
    ([1.0, 2.0, 3.0, 3.0], [True, True, True, False])
    """
    require("warp", image=(image, "N C H W"), flow=(flow, "N 2 H W"))
    if image.dtype not in (torch.float32, torch.float64) or flow.dtype != image.dtype:
        raise InputError(f"warp: expected float32 or float64 for both, got {describe(image)}, {describe(flow)}")
    height, width = image.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]  # (N, H, W)
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    valid = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # align_corners: -1 and 1 are the centres of the border pixels; a side of one pixel has only its centre
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), dim=-1)
    warped = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return warped, valid[:, None]
