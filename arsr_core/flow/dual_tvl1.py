"""TV-L1 optical flow on whole batches (Zach, Pock and Bischof 2007; Sanchez, Meinhardt and Facciolo 2013).

Every choice that the papers leave open is that of OpenCV's DualTVL1: pyramid, interpolation, borders, stopping rule,
median filter. No step asks the device for a value, so a GPU never waits: a pair that has converged takes steps of
length zero, whatever the others of its batch do.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from arsr_core.errors import InputError, checked

SMALLEST = 16  # px: no level of the pyramid is smaller
FLAT = torch.finfo(torch.float32).eps  # least squared gradient, so that flat regions divide by no zero


@checked
@dataclass(frozen=True)
class TVL1:
    """Parameters of TV-L1; the defaults are those of OpenCV's DualTVL1. TSN's tool has others: see `PRESETS`."""

    tau: float = 0.25  # time step of the dual update
    lambda_: float = 0.15  # weight of the data term: smaller is smoother
    theta: float = 0.3  # coupling between the data and the smoothness term
    scales: int = 5  # pyramid levels
    warps: int = 5  # linearisations a level: the cost is proportional to it
    epsilon: float = 0.01  # stop when an update is smaller
    inner: int = 30  # iterations between median filters
    outer: int = 10
    scale_step: float = 0.8  # size ratio between levels
    median: int = 5  # width of the median filter on the flow; 1 = none

    def __post_init__(self) -> None:
        positive = all(getattr(self, f.name) > 0 for f in fields(self))
        whole = all(isinstance(n, int) for n in (self.scales, self.warps, self.inner, self.outer))
        if not (positive and whole and self.scale_step < 1 and self.median in (1, 3, 5)):
            raise InputError(
                f"expected positive parameters, whole counts, scale_step < 1 and median 1, 3 or 5, got {self}"
            )


@torch.no_grad()
def dual_tvl1(
    frame0: torch.Tensor,
    frame1: torch.Tensor,
    parameters: TVL1 = TVL1(),  # noqa: B008 - frozen
    steps: tuple[Callable, Callable] | None = None,
) -> torch.Tensor:
    """Flow from frame0 to frame1, coarse to fine: grey (N, H, W) in 0..255, at least 16 px -> (N, 2, H, W) in px.

    steps: `linearise` and `solve` of `dual_tvl1_numba` or `dual_tvl1_triton`; None: those of this file.
    """
    p = parameters
    steps = steps or (linearise, solve)
    pyramid = [torch.stack((frame0, frame1)).float()]  # finest first, each (2, N, H, W)
    while len(pyramid) < p.scales:
        size = [round(n * p.scale_step) for n in pyramid[-1].shape[-2:]]
        if min(size) < SMALLEST:
            break
        pyramid.append(resize(pyramid[-1], size, 1 / p.scale_step))

    flow = torch.zeros_like(pyramid[-1].transpose(0, 1), memory_format=torch.contiguous_format)  # (N, 2, H, W)
    for image0, image1 in reversed(pyramid):
        flow = resize(flow, image0.shape[-2:]) / p.scale_step  # nothing to enlarge at the coarsest level
        target = with_gradient(image1)
        dual = torch.zeros(2, *flow.shape, device=flow.device)  # p: (x and y, N, u and v, H, W)
        for _ in range(p.warps):
            steps[1](flow, dual, steps[0](image0, target, flow), p)
    return flow


def resize(x: torch.Tensor, size: tuple[int, int], step: float | None = None) -> torch.Tensor:
    """Bilinear, not antialiased, borders replicated: (..., H, W) -> (..., *size).

    Output pixel i lies at (i + 1/2) step - 1/2 of the input; step None is the ratio of the sizes.
    """
    for dim in (-1, -2):
        n, m = x.shape[dim], size[dim]
        at = (torch.arange(m, dtype=torch.float64, device=x.device) + 0.5) * (step or n / m) - 0.5
        at = at.clamp_(0, n - 1)
        below = at.long().clamp_(max=n - 2)
        weight = (at - below).float() if dim == -1 else (at - below).float()[:, None]
        x = torch.lerp(x.index_select(dim, below), x.index_select(dim, below + 1), weight)
    return x


def with_gradient(image: torch.Tensor) -> torch.Tensor:
    """The image and its central differences along x and y, borders replicated: (N, H, W) -> (N, 3, H, W)."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    along_x = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    along_y = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return torch.stack((image, along_x, along_y), 1)


def linearise(image0: torch.Tensor, target: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """The brightness residual around `flow`, rho(u) = I1(x + flow) + grad I1(x + flow) . (u - flow) - I0(x).

    image0: (N, H, W); target: `with_gradient` of I1 -> (N, 3, H, W): rho(0) and the gradient. Bicubic (a = -0.75);
    outside the frame all is zero, so that the data say nothing there. OpenCV before 5 rounds positions to 1/32 px,
    which moves its flow by 0.02 px; this follows OpenCV 5.
    """
    height, width = flow.shape[-2:]
    x = flow[:, 0] + torch.arange(width, device=flow.device)  # (N, H, W)
    y = flow[:, 1] + torch.arange(height, device=flow.device)[:, None]
    # double: the detour by [-1, 1] would cost single precision 1e-5 px, enough to move flow where nothing moves
    grid = torch.stack((2 * x.double() / (width - 1) - 1, 2 * y.double() / (height - 1) - 1), -1)
    warped = F.grid_sample(target.double(), grid, mode="bicubic", padding_mode="zeros", align_corners=True).float()
    warped[:, 0] -= (warped[:, 1:] * flow).sum(1) + image0
    return warped


def solve(flow: torch.Tensor, dual: torch.Tensor, linear: torch.Tensor, parameters: TVL1) -> torch.Tensor:
    """Minimise sum of lambda |rho(u)| + |grad u| + |grad v| for one linearisation; flow and dual change in place.

    With g = grad I1 and l = lambda, one iteration is
        u <- u + theta (div p - clamp(rho(u) / (theta |g|^2), -l, l) g),   the thresholding step and Chambolle's,
        p <- (p + tau / theta grad u) / (1 + tau / theta |grad u|),
    with a median filter of the flow every `inner` iterations. A pair stops after the iteration that changes its flow
    by at most epsilon px (root mean square). flow: (N, 2, H, W); dual: (2, N, 2, H, W); linear: see `linearise`.
    Returns each pair's number of iterations, (N,).
    """
    p = parameters
    height, width = flow.shape[-2:]
    rho, g = linear[:, :1], linear[:, 1:].contiguous()
    scale = 1 / (p.theta * g.square().sum(1, keepdim=True).clamp_(min=FLAT))
    rho, slope = rho * scale, g * scale
    t, step, norm = torch.empty_like(rho), torch.empty_like(g), torch.empty_like(g)  # buffers
    gradient = torch.zeros_like(dual)
    active = torch.ones(len(flow), 1, 1, 1, device=flow.device)  # 0 once a pair has converged
    count = torch.zeros_like(active)
    for k in range(p.outer * p.inner):
        if k % p.inner == 0 and p.median > 1:
            torch.where(active > 0, median(flow, p.median), flow, out=flow)
        torch.addcmul(rho, slope[:, :1], flow[:, :1], out=t).addcmul_(slope[:, 1:], flow[:, 1:])
        t.clamp_(-p.lambda_, p.lambda_)
        divergence(dual, out=step).addcmul_(g, t, value=-1).mul_(p.theta * active)
        flow += step

        forward_differences(torch.mul(flow, p.tau / p.theta * active, out=norm), out=gradient)
        torch.mul(gradient[0], gradient[0], out=norm).addcmul_(gradient[1], gradient[1]).sqrt_().add_(1)
        dual.add_(gradient).div_(norm)

        count += active
        change = torch.linalg.vector_norm(step, dim=(1, 2, 3), keepdim=True)
        active *= change > p.epsilon * (height * width) ** 0.5
        if flow.device.type == "cpu" and not active.any():  # a GPU would stall on the question
            break
    return count.flatten()


def divergence(dual: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Backward differences d/dx dual[0] + d/dy dual[1], zero before the first column and row: (N, 2, H, W)."""
    torch.add(*dual, out=out)
    out[..., 1:] -= dual[0, ..., :-1]
    out[..., 1:, :] -= dual[1, ..., :-1, :]
    return out


def forward_differences(x: torch.Tensor, out: torch.Tensor) -> None:
    """Forward differences along x and y into out (2, N, 2, H, W), whose last column and row stay as they are."""
    torch.sub(x[..., 1:], x[..., :-1], out=out[0, ..., :-1])
    torch.sub(x[..., 1:, :], x[..., :-1, :], out=out[1, ..., :-1, :])


def median(x: torch.Tensor, width: int) -> torch.Tensor:
    """Median filter of width 3 or 5, borders replicated: (N, C, H, W) -> (N, C, H, W)."""
    if x.device.type == "cpu":
        import cv2  # whose filter takes a twentieth of the time on a CPU

        return torch.from_numpy(np.stack([cv2.medianBlur(p, width) for p in x.flatten(0, 1).numpy()])).view_as(x)
    return middle(x, width)


def middle(x: torch.Tensor, width: int) -> torch.Tensor:
    """As `median`, on any device."""
    windows = F.pad(x, [width // 2] * 4, mode="replicate").unfold(2, width, 1).unfold(3, width, 1)
    return windows.flatten(-2).median(-1).values
