"""Quality of frames (PSNR, SSIM on luma, as MATLAB SR papers measure) and of flow (endpoint error).

Frames are float in [0, 1], RGB; results are float64 whatever the input, one value a sample.
"""

import math

import torch

from . import InputError


def rgb_to_y(x: torch.Tensor) -> torch.Tensor:
    """Luma of BT.601, 16-235, as MATLAB `rgb2ycbcr` of doubles: (65.481 R + 128.553 G + 24.966 B + 16) / 255.

    x: (..., 3, H, W) in [0, 1] -> (..., 1, H, W) in [16/255, 235/255]. A common mistake is full-range
    luma (0-255): its differences are 255/219 times larger, so its PSNR is 1.3 dB lower.
    """
    _require_tensors("rgb_to_y", x)
    if x.ndim < 3 or x.shape[-3] != 3 or not x.is_floating_point():
        raise InputError(f"rgb_to_y: expected float (..., 3, H, W), got {x.dtype} of shape {tuple(x.shape)}")
    r, g, b = x.split(1, dim=-3)
    return (65.481 * r + 128.553 * g + 24.966 * b + 16) / 255


def psnr(sr: torch.Tensor, hr: torch.Tensor, crop: int = 4, luma: bool = True) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB, -10 log10(mean (sr - hr)^2): (N,), inf for identical frames.

    sr, hr: (N, 3, H, W) in [0, 1] -> one value a frame; clips (N, T, 3, H, W) -> one value a clip, the mean
    of its frames' PSNR (not the PSNR of the mean error). `crop` px go from each border (usually the scale).
    luma=True compares `rgb_to_y`, unrounded; one-channel input counts as luma already. luma=False takes the
    error over all channels. Values are compared as given, neither clamped nor rounded: papers that save SR as
    8-bit images first measure psnr(degrade.quantise(sr), hr).

    >>> psnr(torch.full((1, 3, 16, 16), 0.5), torch.full((1, 3, 16, 16), 0.6), luma=False)
    tensor([20.0000], dtype=torch.float64)
    """
    sr, hr = _prepare("psnr", sr, hr, crop, luma, smallest=1)
    return _per_clip(-10 * (sr - hr).square().mean((-3, -2, -1)).log10())


def ssim(sr: torch.Tensor, hr: torch.Tensor, crop: int = 4, luma: bool = True) -> torch.Tensor:
    """Structural similarity (Wang et al. 2004), 1 for identical frames: (N,).

    Gaussian window 11x11 of sigma 1.5, population covariance, only windows inside the cropped frame,
    K1 = 0.01, K2 = 0.03, range 1. Shapes, `crop`, `luma` as for `psnr`; luma=False averages the channels.
    """
    sr, hr = _prepare("ssim", sr, hr, crop, luma, smallest=11)
    mean_sr, mean_hr, sr_sr, hr_hr, sr_hr = map(_gaussian, (sr, hr, sr * sr, hr * hr, sr * hr))
    var_sr, var_hr, cov = sr_sr - mean_sr**2, hr_hr - mean_hr**2, sr_hr - mean_sr * mean_hr
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_sr * mean_hr + c1) / (mean_sr**2 + mean_hr**2 + c1)
    structure = (2 * cov + c2) / (var_sr + var_hr + c2)
    return _per_clip((luminance * structure).mean((-3, -2, -1)))


def epe(flow: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean endpoint error in pixels, mean over the mask of ||flow - reference||: (N,), nan for an empty mask.

    flow, reference: (N, 2, H, W); mask: (N, 1, H, W), true where a pixel counts (default: everywhere).
    """
    error, mask = _endpoint_error("epe", flow, reference, mask)
    return torch.where(mask, error, 0).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def epe_above(
    flow: torch.Tensor, reference: torch.Tensor, threshold: float = 1.0, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Share in [0, 1] of the mask's pixels with endpoint error above `threshold` pixels: (N,); see `epe`."""
    error, mask = _endpoint_error("epe_above", flow, reference, mask)
    return ((error > threshold) & mask).sum((1, 2, 3), dtype=torch.float64) / mask.sum((1, 2, 3))


def _prepare(name, sr, hr, crop, luma, smallest):
    """Check, crop and convert a pair of frames or clips; the result is float64."""
    _require_tensors(name, sr, hr)
    real = sr.is_floating_point() and hr.is_floating_point()
    if not real or sr.shape != hr.shape or sr.ndim not in (4, 5) or sr.shape[-3] not in (1, 3):
        given = " and ".join(f"{x.dtype} {tuple(x.shape)}" for x in (sr, hr))
        raise InputError(f"{name}: expected two float tensors of one shape (N, [T,] 3, H, W), got {given}")
    h, w = sr.shape[-2:]
    if crop < 0 or min(h, w) - 2 * crop < smallest:
        raise InputError(f"{name}: crop={crop} does not leave {smallest} px of a {h}x{w} frame")
    sr, hr = (x[..., crop : h - crop, crop : w - crop].double() for x in (sr, hr))
    return (rgb_to_y(sr), rgb_to_y(hr)) if luma and sr.shape[-3] == 3 else (sr, hr)


def _per_clip(x: torch.Tensor) -> torch.Tensor:
    return x.mean(1) if x.ndim == 2 else x  # (N, T) -> (N,)


def _gaussian(x: torch.Tensor) -> torch.Tensor:
    """Separable 11-tap Gaussian of sigma 1.5, valid: (..., H, W) -> (..., H - 10, W - 10)."""
    taps = [math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-5, 6)]
    for dim in (-2, -1):
        size = x.shape[dim] - 10
        y = torch.zeros_like(x.narrow(dim, 0, size))
        for k, tap in enumerate(taps):  # shifted sums: 20 times faster than a float64 convolution on a CPU
            y = y.add_(x.narrow(dim, k, size), alpha=tap / sum(taps))
        x = y
    return x


def _endpoint_error(name, flow, reference, mask):
    """-> the (N, 1, H, W) endpoint error in float64 and the boolean mask of its shape."""
    _require_tensors(name, flow, reference)
    if flow.ndim != 4 or flow.shape[1] != 2 or flow.shape != reference.shape:
        shapes = f"{tuple(flow.shape)} and {tuple(reference.shape)}"
        raise InputError(f"{name}: expected two flows of one shape (N, 2, H, W), got {shapes}")
    error = torch.linalg.vector_norm(flow.double() - reference.double(), dim=1, keepdim=True)
    if mask is None:
        return error, torch.ones_like(error, dtype=torch.bool)
    if mask.shape != error.shape:
        raise InputError(f"{name}: expected a mask {tuple(error.shape)}, got {tuple(mask.shape)}")
    return error, mask.bool()


def _require_tensors(name: str, *values) -> None:
    for value in values:
        if not isinstance(value, torch.Tensor):
            raise InputError(f"{name}: expected tensors, got {type(value).__name__}")
