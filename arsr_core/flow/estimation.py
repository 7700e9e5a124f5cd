"""TV-L1 optical flow (Zach, Pock and Bischof 2007) of 8-bit grey frames, for recognisers."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, fields
from functools import partial
from importlib import import_module

import torch

from arsr_core import devices
from arsr_core.colour import to_grey
from arsr_core.errors import InputError, checked, require
from arsr_core.flow.dual_tvl1 import SMALLEST, TVL1, dual_tvl1

PIXELS = 2**25  # of all the frames that a GPU works on at a time: 385 pairs of 340x256, 4 GB

PRESETS = {  # changes to TVL1(), for tvl1(..., **PRESETS[name])
    "reference": {},
    # half the time; 0.07 px from the reference on real clips, but 2.5 and 7.8 px on two pairs that move far
    "fast": {"warps": 2},
    # as near as parameters come to the GPU class of OpenCV 2.4, which TSN's tool calls: that has a Gaussian pyramid.
    # Half the time, too; 0.03 px from the reference on real clips (the median), but 1.0 and 2.3 px on those two pairs
    "opencv2": {"median": 1, "scale_step": 0.5},
}


@checked
def tvl1(
    frame0: torch.Tensor, frame1: torch.Tensor, *, backend: str = "auto", workers: int = 1, **parameters: float
) -> torch.Tensor:
    """TV-L1 flow from frame0 to frame1: float32 (N, 2, H, W) in pixels, on the frames' device; no gradient.

    frame0, frame1: (N, 3, H, W), float in [0, 1] (clamped and rounded to 8 bits) or uint8; see `colour.to_grey`.
    backend: "auto", compiled for the frames' device where that can be, see `fastest`; "torch", the plain `dual_tvl1`;
    "opencv", the same algorithm, ten times as slow on a CPU. All are as near to the truth. parameters: fields of
    `TVL1`, e.g. `**PRESETS["fast"]`. workers: pairs computed at a time on a CPU, as threads. Results depend neither on
    it nor on the other pairs of the batch.

    >>> frames = torch.rand(5, 3, 64, 64)
    >>> tvl1(frames[:-1], frames[1:], warps=2).shape
    torch.Size([4, 2, 64, 64])
    """
    if backend not in BACKENDS:
        raise InputError(f"tvl1: no backend {backend!r}; expected one of {', '.join(BACKENDS)}")
    known = [f.name for f in fields(TVL1)]
    if unknown := sorted(set(parameters) - set(known)):
        raise InputError(f"tvl1: no parameter {', '.join(unknown)}; expected some of {', '.join(known)}")
    if workers < 1:
        raise InputError(f"tvl1: workers must be at least 1, got {workers}")
    chosen = TVL1(**parameters)
    require("tvl1", "float or uint8", frame0=(frame0, "N 3 H W"), frame1=(frame1, "N 3 H W"))
    n, _, height, width = frame0.shape
    if min(height, width) < SMALLEST:
        raise InputError(f"tvl1: expected frames of {SMALLEST} px at least, got {height}x{width}; enlarge them")
    if not n:
        return torch.empty(0, 2, height, width, device=frame0.device)
    needed = height * width * (25 * n + 150 * min(n, workers))  # measured
    devices.require_memory(f"tvl1: {n} x {width}x{height}", needed, frame0.device, "give fewer or smaller frames")
    return BACKENDS[backend](to_grey(frame0), to_grey(frame1), chosen, workers).to(frame0.device)


def fastest(device: torch.device) -> tuple[Callable, Callable] | None:
    """The `steps` of `dual_tvl1`: compiled, by Numba for a CPU, by Triton for an NVIDIA GPU; None where these lack."""
    by = {"cpu": "numba", "cuda": "triton" if torch.version.cuda else None}.get(device.type)
    try:
        compiled = import_module(f"arsr_core.flow.dual_tvl1_{by}")
    except ImportError:
        return None
    return compiled.linearise, compiled.solve


def _opencv(grey0: torch.Tensor, grey1: torch.Tensor, parameters: TVL1, workers: int) -> torch.Tensor:
    import cv2

    if not hasattr(cv2, "optflow"):
        raise InputError("TV-L1 needs OpenCV's contributed modules: pip install opencv-contrib-python-headless")
    *first, median = astuple(parameters)  # in OpenCV's order

    def one_pair(grey0, grey1):  # an estimator holds buffers: one a pair makes threads safe
        estimator = cv2.optflow.DualTVL1OpticalFlow_create(*first, medianFiltering=median)
        return torch.from_numpy(estimator.calc(grey0, grey1, None)).permute(2, 0, 1)  # (2, H, W)

    with ThreadPoolExecutor(workers) as pool:
        return torch.stack(list(pool.map(one_pair, grey0.cpu().numpy(), grey1.cpu().numpy())))


def _plain(grey0: torch.Tensor, grey1: torch.Tensor, parameters: TVL1, workers: int, steps=None) -> torch.Tensor:
    solve = partial(dual_tvl1, parameters=parameters, steps=steps)
    pairs = max(1, PIXELS // grey0[0].numel()) if grey0.is_cuda else 1  # a CPU's cache holds one
    with ThreadPoolExecutor(workers) as pool:
        run = map if grey0.is_cuda else pool.map  # another thread would leave the caller's CUDA stream
        return torch.cat(list(run(solve, grey0.split(pairs), grey1.split(pairs))))


def _compiled(grey0: torch.Tensor, grey1: torch.Tensor, parameters: TVL1, workers: int) -> torch.Tensor:
    return _plain(grey0, grey1, parameters, workers, fastest(grey0.device))


BACKENDS = {"auto": _compiled, "torch": _plain, "opencv": _opencv}
