"""Flow as the recogniser's temporal stream takes it: 8-bit coding and stacks, as TSN's extraction tool makes them."""

from collections.abc import Sequence

import torch

from arsr_core.errors import InputError, checked, require


@checked
def encode_uint8(flow: torch.Tensor, bound: float = 20) -> torch.Tensor:
    """Map [-bound, bound] pixels linearly to 0 ... 255, rounded half to even and clamped: uint8 of flow's shape.

    As TSN's tool (and OpenCV's cvRound) does it: round(255 (f + bound) / (2 bound)), in double precision. A flow of
    zero becomes round(127.5) = 128. flow: (..., 2, H, W), finite where it counts: nan is an InputError.

    >>> encode_uint8(torch.tensor([-30.0, -20.0, 0.0, 0.1, 20.0])).tolist()
    [0, 0, 128, 128, 255]
    """
    if not bound > 0:
        raise InputError(f"encode_uint8: bound must be positive pixels, got {bound}")
    require("encode_uint8", flow=(flow, "..."))
    if flow.isnan().any():
        raise InputError("encode_uint8: the flow holds nan (unknown pixels), which 8 bits cannot say; fill them first")
    return (255 * (flow.detach().double() + bound) / (2 * bound)).round().clamp(0, 255).to(torch.uint8)


@checked
def stack(flow: torch.Tensor, starts: Sequence[int], frames: int = 5) -> torch.Tensor:
    """The temporal stream's snippets: `frames` flows in a row as channels x1 y1 x2 y2 ..., one stack for each start.

    flow: (N, T - 1, 2, H, W), float or uint8; starts: first flows, from 0 to T - 1 - frames -> (N, K, 2 frames, H, W).

    >>> stack(torch.zeros(1, 23, 2, 256, 340), starts=[0, 9, 18]).shape
    torch.Size([1, 3, 10, 256, 340])
    """
    require("stack", "any", flow=(flow, "N T-1 2 H W"))
    last = flow.shape[1] - frames
    if frames < 1 or last < 0:
        raise InputError(f"stack: expected {frames} flows or more, of {frames + 1} frames; got {flow.shape[1]}")
    if not len(starts) or not all(0 <= start <= last for start in starts):
        raise InputError(f"stack: expected starts from 0 to {last}, got {list(starts)}")
    stacks = [flow[:, start : start + frames] for start in starts]  # K of (N, F, 2, H, W)
    return torch.stack(stacks, 1).flatten(2, 3)
