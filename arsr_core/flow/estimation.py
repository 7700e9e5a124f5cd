"""TV-L1 optical flow (Zach, Pock and Bischof 2007), as TSN's extraction tool runs it on 8-bit grey frames."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import torch

from .. import InputError
from ..degrade import quantise


@dataclass(frozen=True)
class TVL1:
    """Parameters of TV-L1; the defaults are OpenCV's, which TSN's tool leaves as they are."""

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

    def __post_init__(self):
        positive = all(getattr(self, f.name) > 0 for f in fields(self))
        whole = all(isinstance(n, int) for n in (self.scales, self.warps, self.inner, self.outer))
        if not (positive and whole and self.scale_step < 1 and self.median in (1, 3, 5)):
            raise InputError(
                f"expected positive parameters, whole counts, scale_step < 1 and median 1, 3 or 5, got {self}"
            )


PRESETS = {  # changes to TVL1(), for tvl1(..., **PRESETS[name])
    "reference": {},
    "fast": {"warps": 2},  # a third of the time, 0.05 px from the reference
}


def tvl1(
    frame0: torch.Tensor, frame1: torch.Tensor, *, backend: str = "auto", workers: int = 1, **parameters
) -> torch.Tensor:
    """TV-L1 flow from frame0 to frame1: float32 (N, 2, H, W) in pixels, on the frames' device; no gradient.

    frame0, frame1: (N, 3, H, W), float in [0, 1] (clamped and rounded to 8 bits) or uint8; see `to_grey`.
    backend: a name in BACKENDS, or "auto". parameters: fields of `TVL1`, e.g. `**PRESETS["fast"]`.
    workers: pairs computed at a time; results do not depend on it.

    >>> frames = torch.rand(5, 3, 64, 64)
    >>> tvl1(frames[:-1], frames[1:], warps=2).shape
    torch.Size([4, 2, 64, 64])
    """
    name = "opencv" if backend == "auto" else backend
    if name not in BACKENDS:
        raise InputError(f"tvl1: no backend {backend!r}; expected 'auto' or one of {sorted(BACKENDS)}")
    known = [f.name for f in fields(TVL1)]
    if unknown := sorted(set(parameters) - set(known)):
        raise InputError(f"tvl1: no parameter {', '.join(unknown)}; expected some of {', '.join(known)}")
    if workers < 1:
        raise InputError(f"tvl1: workers must be at least 1, got {workers}")
    grey0, grey1 = to_grey(frame0), to_grey(frame1)
    if grey0.shape != grey1.shape:
        raise InputError(f"tvl1: the frames differ in shape, {tuple(frame0.shape)} and {tuple(frame1.shape)}")
    return BACKENDS[name](grey0, grey1, TVL1(**parameters), workers).to(frame0.device)


def to_grey(frames: torch.Tensor) -> torch.Tensor:
    """8-bit grey exactly as OpenCV's cvtColor (0.299 R + 0.587 G + 0.114 B, in 15-bit fixed point).

    frames: (N, 3, H, W) RGB, uint8 or float in [0, 1] -> uint8 (N, H, W).
    """
    if not isinstance(frames, torch.Tensor):
        raise InputError(f"flow: expected a tensor of frames (N, 3, H, W), got {type(frames).__name__}")
    real = frames.is_floating_point()
    if frames.ndim != 4 or frames.shape[1] != 3 or not (real or frames.dtype == torch.uint8):
        given = f"{frames.dtype} of shape {tuple(frames.shape)}"
        raise InputError(f"flow: expected frames (N, 3, H, W), float in [0, 1] or uint8, got {given}")
    if real:
        frames = (quantise(frames.detach().float()) * 255).round()
    r, g, b = frames.int().unbind(1)
    return ((9798 * r + 19235 * g + 3735 * b + (1 << 14)) >> 15).to(torch.uint8)


def _opencv(grey0: torch.Tensor, grey1: torch.Tensor, parameters: TVL1, workers: int) -> torch.Tensor:
    import cv2

    if not hasattr(cv2, "optflow"):
        raise InputError("TV-L1 needs OpenCV's contributed modules: pip install opencv-contrib-python-headless")
    p = parameters

    def one_pair(grey0, grey1):  # an estimator holds buffers: one a pair makes threads safe
        estimator = cv2.optflow.DualTVL1OpticalFlow_create(
            tau=p.tau,
            lambda_=p.lambda_,
            theta=p.theta,
            nscales=p.scales,
            warps=p.warps,
            epsilon=p.epsilon,
            innnerIterations=p.inner,  # OpenCV's own spelling
            outerIterations=p.outer,
            scaleStep=p.scale_step,
            medianFiltering=p.median,
        )
        return torch.from_numpy(estimator.calc(grey0, grey1, None)).permute(2, 0, 1)  # (2, H, W)

    with ThreadPoolExecutor(workers) as pool:  # OpenCV releases Python's lock: threads scale as processes do
        flows = list(pool.map(one_pair, grey0.cpu().numpy(), grey1.cpu().numpy()))
    return torch.stack(flows) if flows else torch.empty(0, 2, *grey0.shape[1:])


BACKENDS = {"opencv": _opencv}
