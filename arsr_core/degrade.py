"""HR -> LR exactly as MATLAB's `imresize` does it, on torch tensors of any batch shape.

`torch.nn.functional.interpolate`, OpenCV and PIL are no substitutes: OpenCV's cubic has a = -0.75 and no
antialiasing; torch's and PIL's treat the borders otherwise (up to 15/255 there).
"""

import math
from functools import lru_cache, partial

import torch
import torch.nn.functional as F

from arsr_core.errors import InputError, checked, require

BLOCK = 32  # outputs a matrix product makes: small, so that cost grows with the side and not its square


@checked
def imresize(
    x: torch.Tensor,
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    antialias: bool = True,
    eight_bit: bool = False,
) -> torch.Tensor:
    """MATLAB `imresize(x, scale, 'bicubic')` of the last two dimensions, differentiable.

    Keys' cubic (a = -0.5), stretched by 1/scale when shrinking (`antialias`), weights normalised, symmetric
    borders, the dimension with the smaller scale first (rows on a tie). Give either `scale` (the output is
    ceil(scale * side)) or `size` = (height, width).

    x: (..., H, W), any floating dtype, which is also the result's. float32 on the CPU is computed in float32;
    everything on a GPU in float64, so no TF32 or autocast setting costs accuracy.
    The result is not clamped: MATLAB does not clamp doubles either, and the cubic overshoots at edges.
    eight_bit=True does what MATLAB does to a uint8 image: `quantise` after each of the two passes.

    >>> imresize(torch.rand(2, 3, 240, 320), 1 / 4).shape
    torch.Size([2, 3, 60, 80])
    """
    require("imresize", x=(x, "... H W"))
    if (scale is None) == (size is None):
        raise InputError(f"imresize: give either scale or size, got scale={scale}, size={size}")
    if size is None:
        if not scale > 0:
            raise InputError(f"imresize: scale must be a positive number, got {scale}")
        if torch.onnx.is_in_onnx_export() and scale == len(QUARTERS):
            return _four_times(x)
        scales = (scale, scale)
        size = tuple(math.ceil(scale * n) for n in x.shape[-2:])
    else:
        if min(size) < 1:
            raise InputError(f"imresize: size must be two positive integers (height, width), got {size}")
        scales = tuple(out / n for out, n in zip(size, x.shape[-2:], strict=True))

    # a user's setting may let products of float32 run in bfloat16 or TF32, on a CPU too
    exact = x.device.type == "cpu" and torch.backends.mkldnn.matmul.fp32_precision in ("none", "ieee")
    single = exact and x.dtype != torch.float64
    y = x.to(torch.float32 if single else torch.float64)
    with torch.autocast(x.device.type, enabled=False):
        for dim in sorted((-2, -1), key=lambda d: scales[d]):
            blocks = _placed(y.device, y.dtype, y.shape[dim], int(size[dim]), scales[dim], antialias)
            parts = [(block, y.narrow(dim, low, high - low)) for low, high, block in blocks]
            y = torch.cat([block @ part if dim == -2 else part @ block.T for block, part in parts], dim)
            if eight_bit:
                y = quantise(y)
    return y.to(x.dtype)


@checked
def to_lr(x: torch.Tensor, scale: int = 4, *, eight_bit: bool = False) -> torch.Tensor:
    """The paper's degradation: bicubic `imresize` by 1/scale. x: (..., H, W) in [0, 1], divisible by scale.

    The default is what MATLAB gives for doubles: unrounded, differentiable. eight_bit=True is what it makes
    of uint8 frames, so the k/255 that an LR video holds (but for the video's own coding).
    """
    if modcrop(x, scale).shape != x.shape:
        h, w = x.shape[-2:]
        raise InputError(f"to_lr: {h}x{w} is not divisible by {scale}; call modcrop(x, {scale}) first")
    return imresize(x, size=(x.shape[-2] // scale, x.shape[-1] // scale), eight_bit=eight_bit)


def modcrop(x: torch.Tensor, scale: int = 4) -> torch.Tensor:
    """Cut bottom rows and right columns to multiples of `scale`. x: (..., H, W); the result is a view."""
    require("modcrop", "any", x=(x, "... H W"))
    h, w = x.shape[-2:]
    if not (isinstance(scale, int) and 1 <= scale <= min(h, w)):
        raise InputError(f"modcrop: expected an integer scale from 1 to {min(h, w)}, got {scale}")
    return x[..., : h - h % scale, : w - w % scale]


def quantise(x: torch.Tensor) -> torch.Tensor:
    """Clamp to [0, 1] and round half up to k/255: what saving as 8 bits keeps. Its gradient is zero."""
    require("quantise", x=(x, "..."))
    return torch.floor(x.clamp(0, 1) * 255 + 0.5) / 255


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a cached tensor born in inference mode could not be used for a gradient later
def _placed(device: torch.device, dtype: torch.dtype, *which) -> list[tuple[int, int, torch.Tensor]]:
    """The blocks on a device, so that a GPU is not made to wait for them at every call."""
    return [(low, high, block.to(device, dtype)) for low, high, block in _blocks(*which)]


def _blocks(n_in: int, n_out: int, scale: float, antialias: bool) -> list[tuple[int, int, torch.Tensor]]:
    """The banded (n_out, n_in) weights by blocks of rows: [(first input, last input + 1, float64 block)]."""
    arange = partial(torch.arange, dtype=torch.float64, device="cpu")
    shrink = scale if scale < 1 and antialias else 1.0
    u = arange(1, n_out + 1) / scale + 0.5 * (1 - 1 / scale)  # the outputs' centres among inputs 1 ... n_in
    taps = torch.floor(u - 2 / shrink)[:, None] + arange(math.ceil(4 / shrink) + 2)  # (n_out, taps)
    weights = _cubic(shrink * (u[:, None] - taps))
    weights = weights / weights.sum(1, keepdim=True)
    index = (taps.long() - 1) % (2 * n_in)
    index = torch.minimum(index, 2 * n_in - 1 - index)  # symmetric border: ... 1 0 | 0 1 2 ...
    blocks = []
    for w, i in zip(weights.split(BLOCK), index.split(BLOCK), strict=True):
        low, high = int(i.min()), int(i.max()) + 1
        blocks.append((low, high, w.new_zeros(len(w), high - low).scatter_add_(1, i - low, w)))
    return blocks


def _cubic(x: torch.Tensor) -> torch.Tensor:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, far * (x <= 2))


# The weights of x4 away from the borders: four places around a pixel, each with five taps of its own.
QUARTERS = _blocks(5, 20, 4, False)[0][2][8:12]


def _four_times(x: torch.Tensor) -> torch.Tensor:
    """`imresize(x, 4)` as an exported graph holds it, for frames of any size: convolutions, no weights from a side."""
    for _ in range(2):
        lines = x.transpose(-2, -1)  # (..., n): columns, then rows
        framed = torch.cat((lines[..., :2].flip(-1), lines, lines[..., -2:].flip(-1)), -1)  # symmetric border
        y = F.conv1d(framed.reshape(-1, 1, framed.shape[-1]), QUARTERS[:, None].to(x)).transpose(1, 2)  # (lines, n, 4)
        x = y.reshape(*lines.shape[:-1], 4 * lines.shape[-1])
    return x
