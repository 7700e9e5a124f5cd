"""Where flow can be trusted to bring the next frame back: occlusions and motion boundaries.

The tests and their constants are those of Sundaram et al. (2010) as Ruder et al. (2016) and Lai et al. (2018) use
them. Flow is (N, 2, H, W) in pixels, masks are bool (N, 1, H, W) on the grid of `flow`, the one from t to t+1.
"""

import torch

from arsr_core.errors import require
from arsr_core.flow.warping import warp


def occlusion(flow: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    """True where there and back again does not lead home: |w + f|^2 > 0.01 (|w|^2 + |f|^2) + 0.5.

    flow f: t -> t+1; backward: t+1 -> t; w: backward warped by f onto the grid of t. As at the source, a point that
    leaves the frame meets the nearest border value; `warp` says which points these are.
    """
    require("occlusion", flow=(flow, "N 2 H W"), backward=(backward, "N 2 H W"))
    warped, _ = warp(backward, flow)
    return _squared(warped + flow) > 0.01 * (_squared(warped) + _squared(flow)) + 0.5


def motion_boundary(flow: torch.Tensor) -> torch.Tensor:
    """True where the flow changes from pixel to pixel: |grad u|^2 + |grad v|^2 > 0.01 |f|^2 + 0.002.

    Gradients are differences to the next pixel, zero in the last column and row.
    """
    require("motion_boundary", flow=(flow, "N 2 H W"))
    gradient = torch.zeros_like(flow[:, :1])
    gradient[..., :-1] += _squared(flow.diff(dim=-1))
    gradient[..., :-1, :] += _squared(flow.diff(dim=-2))
    return gradient > 0.01 * _squared(flow) + 0.002


def reliable(flow: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    """Neither occluded nor at a motion boundary: the mask M of `metrics.warping_error`."""
    return ~(occlusion(flow, backward) | motion_boundary(flow))


def _squared(flow: torch.Tensor) -> torch.Tensor:
    return flow.square().sum(1, keepdim=True)
