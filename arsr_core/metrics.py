"""Quality of frames (PSNR, SSIM on luma, as MATLAB SR papers measure), of their flow, and of clips over time.

Frames are float in [0, 1], RGB; results are float64 whatever the input, one value a sample.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F

from arsr_core.colour import rgb_to_y, to_grey
from arsr_core.errors import InputError, checked, require
from arsr_core.flow.warping import speed, warp

FLOWS, MASKS = "N 2 H W | N T-1 2 H W", "N 1 H W | N T-1 1 H W"


@checked
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


@checked
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


# Flow -------------------------------------------------------------------------------------------------------


def epe(flow: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean endpoint error in pixels, mean over the mask of ||flow - reference||: (N,), nan for an empty mask.

    flow, reference: (N, 2, H, W); mask: (N, 1, H, W), true where a pixel counts (default: everywhere). Clips,
    (N, T - 1, 2, H, W) and (N, T - 1, 1, H, W), give one value a clip, the mean over all that counts in it.
    """
    error, mask = _endpoint_error("epe", flow, reference, mask)
    return _mean(error, mask)


@checked
def epe_above(
    flow: torch.Tensor, reference: torch.Tensor, threshold: float = 1.0, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Share in [0, 1] of the mask's pixels with endpoint error above `threshold` pixels: (N,); see `epe`."""
    error, mask = _endpoint_error("epe_above", flow, reference, mask)
    return _mean((error > threshold).double(), mask)


@checked
def still_camera(reference: torch.Tensor, threshold: float = 0.1, share: float = 0.5) -> torch.Tensor:
    """Whether `share` of the pixels or more move less than `threshold` px: bool (N,).

    reference: flow of HR frames, shapes as for `epe`. Measured with TV-L1 on 72 embedded clips, whose truth is known:
    under a moving camera up to 38 % of the pixels seem so still, under a still one 76 % or more. Of those that seem
    to move less than 0.5 px, 91 % or more move all the same under a moving camera, and up to 6 % under a still one.
    """
    require("still_camera", reference=(reference, FLOWS))
    return (speed(reference.double()) < threshold).flatten(1).double().mean(1) >= share


@checked
def phantom_flow(flow: torch.Tensor, reference: torch.Tensor, threshold: float = 0.5) -> torch.Tensor:
    """Motion where there is none: the mean of ||flow|| where ||reference|| < `threshold`, in pixels: (N,).

    flow: of SR frames, reference: of HR frames; shapes as for `epe`. nan unless `still_camera`: else what seems still
    moves, and less of it after blur. What the reference itself has there, phantom_flow(reference, reference), is the
    floor to compare with.
    """
    require("phantom_flow", flow=(flow, FLOWS), reference=(reference, FLOWS))
    length, still = speed(flow.double()), speed(reference.double()) < threshold
    _require_finite("phantom_flow", length, still)
    return _mean(length, still).where(still_camera(reference), torch.nan)


# Clips over time --------------------------------------------------------------------------------------------


def tof(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    """tOF of TecoGAN (Chu et al. 2020), mean of ||F(sr) - F(hr)|| in pixels, F Farneback's flow: (N,).

    sr, hr: clips (N, T, 3, H, W) in [0, 1]; F is OpenCV's, of 8-bit grey frames, on the CPU. As in the authors' code
    the first and the last two frames are left out, and the middle of each frame counts: its sides are the largest
    multiples of 32 that leave 16 px or more.
    """
    require("tof", sr=(sr, "N T 3 H W"), hr=(hr, "N T 3 H W"))
    n, t, _, h, w = sr.shape
    if t < 6 or min(h, w) < 48:
        raise InputError(f"tof: expected 6 frames or more, of 48x48 px or more; got {t} of {w}x{h}")
    height, width = ((side - 16) // 32 * 32 for side in (h, w))
    top, left = (h - height) // 2, (w - width) // 2
    flows = [_farneback(x[:, 2:-2]) for x in (sr, hr)]  # 2 x (N, P, 2, H, W)
    return epe(*(f[..., top : top + height, left : left + width] for f in flows)).to(sr.device)


def warping_error(clip: torch.Tensor, flow: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """E_warp of Lai et al. (2018): sum of M ||warp(V_t+1, F) - V_t||^2 over sum of M, mean over pairs: (N,).

    clip V: (N, T, 3, H, W) in [0, 1]; flow F: (N, T - 1, 2, H, W) and mask M: (N, T - 1, 1, H, W), those of the HR
    clip, M from `flow.reliable`. ||.|| is over the three colours, as in the paper; its code divides by 3 besides.
    Pairs with an empty mask do not count (nan if none has one). Blur lowers it: never report it alone.
    """
    require("warping_error", clip=(clip, "N T 3 H W"), flow=(flow, "N T-1 2 H W"))
    require("warping_error", "any", clip=(clip, "N T 3 H W"), mask=(mask, "N T-1 1 H W"))
    _require_finite("warping_error", clip)
    n, t = clip.shape[:2]
    here, following = clip[:, :-1].flatten(0, 1).double(), clip[:, 1:].flatten(0, 1).double()
    warped, _ = warp(following, flow.flatten(0, 1).double())
    squared = (warped - here).square().sum(1, keepdim=True)  # (N (T - 1), 1, H, W)
    return _mean(squared, mask.flatten(0, 1).bool()).view(n, t - 1).nanmean(1)


@checked
def flicker(clip: torch.Tensor, reference: torch.Tensor, threshold: float = 0.1) -> torch.Tensor:
    """Change where nothing moves: the mean of |Y_t+1 - Y_t|, Y luma, where ||reference|| < `threshold` px: (N,).

    clip: (N, T, 3, H, W) in [0, 1]; reference: flow of the HR clip, (N, T - 1, 2, H, W). nan unless
    `still_camera`. The camera's noise flickers too: compare with the HR clip's own value.
    """
    require("flicker", clip=(clip, "N T 3 H W"), reference=(reference, "N T-1 2 H W"))
    _require_finite("flicker", clip)
    still = speed(reference.double()) < threshold
    change = _mean(rgb_to_y(clip.double()).diff(dim=1).abs(), still)
    return change.where(still_camera(reference), torch.nan)


@checked
def temporal_profile(clip: torch.Tensor, line: tuple[tuple[float, float], tuple[float, float]]) -> torch.Tensor:
    """The x-t slice: what lies on a line in frame after frame, (N, 3, T, L), one row a frame, in clip's dtype.

    clip: (N, T, 3, H, W); line: its ends ((x0, y0), (x1, y1)) in pixels, within the centres of the border pixels.
    Bilinear, at L points of equal distance, at most a pixel, ends included. Still things give vertical streaks,
    moving things slanted ones, flicker dots.

    >>> temporal_profile(torch.rand(1, 24, 3, 120, 160), ((0, 60), (159, 60))).shape
    torch.Size([1, 3, 24, 160])
    """
    require("temporal_profile", clip=(clip, "N T 3 H W"))
    n, t, _, h, w = clip.shape
    (x0, y0), (x1, y1) = line
    if not all(0 <= x <= w - 1 for x in (x0, x1)) or not all(0 <= y <= h - 1 for y in (y0, y1)):
        raise InputError(f"temporal_profile: expected x from 0 to {w - 1} and y from 0 to {h - 1}, got the line {line}")
    points = math.ceil(math.dist((x0, y0), (x1, y1)) - 1e-9) + 1
    x, y = (torch.linspace(*ends, points, dtype=clip.dtype, device=clip.device) for ends in ((x0, x1), (y0, y1)))
    grid = torch.stack((2 * x / max(w - 1, 1) - 1, 2 * y / max(h - 1, 1) - 1), dim=-1)  # -1, 1: the border's centres
    grid = grid.expand(n * t, 1, points, 2)
    samples = F.grid_sample(clip.flatten(0, 1), grid, padding_mode="border", align_corners=True)  # (N T, 3, 1, L)
    return samples.view(n, t, 3, points).transpose(1, 2)


# Common -----------------------------------------------------------------------------------------------------


def _prepare(
    name: str, sr: torch.Tensor, hr: torch.Tensor, crop: int, luma: bool, smallest: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Check, crop and convert a pair of frames or clips; the result is float64."""
    shapes = "N 3 H W | N T 3 H W | N 1 H W | N T 1 H W"
    require(name, sr=(sr, shapes), hr=(hr, shapes))
    _require_finite(name, sr), _require_finite(name, hr)
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


def _endpoint_error(
    name: str, flow: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """-> the (N, [T - 1,] 1, H, W) endpoint error in float64 and the boolean mask of its shape."""
    require(name, flow=(flow, FLOWS), reference=(reference, FLOWS))
    error = speed(flow.double() - reference.double())
    if mask is None:
        mask = torch.ones_like(error, dtype=torch.bool)
    require(name, "any", flow=(flow, FLOWS), mask=(mask, MASKS))
    _require_finite(name, error, mask.bool())
    return error, mask.bool()


def _require_finite(name: str, x: torch.Tensor, mask: torch.Tensor | None = None) -> None:
    """InputError for values that are NaN or infinite, as unknown flow is, where they count."""
    if not (x if mask is None else torch.where(mask, x, 0)).isfinite().all():
        raise InputError(f"{name}: values are NaN or infinite; check what made them, or mask unknown flow")


def _mean(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over the mask of each sample, nan where it is empty: (N, ...) -> (N,)."""
    return torch.where(mask, x, 0).flatten(1).sum(1) / mask.flatten(1).sum(1)


def _farneback(clip: torch.Tensor) -> torch.Tensor:
    """OpenCV's flow with TecoGAN's parameters: (N, T, 3, H, W) -> float32 (N, T - 1, 2, H, W), on the CPU."""
    import cv2

    grey = to_grey(clip.flatten(0, 1)).unflatten(0, clip.shape[:2]).cpu().numpy()  # (N, T, H, W)
    flows = [
        torch.from_numpy(cv2.calcOpticalFlowFarneback(here, following, None, 0.5, 3, 15, 3, 5, 1.2, 0))
        for frames in grey
        for here, following in pairwise(frames)
    ]
    return torch.stack(flows).movedim(-1, 1).unflatten(0, (len(clip), -1))
